// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Between the structs of the C API and mc::Fields. read_c and write_c are made by generate.py; pictures, callbacks and
// the cancel token are not among the fields; the caller handles them.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "engine/error.h"
#include "engine/motioncache.h"
#include "engine/request/changes.h"
#include "engine/request/field.h"

namespace mc {

void read_c(const McModelOptions& from, Fields& to);
void read_c(const McCacheOptions& from, Fields& to);
void read_c(const McRequest& from, Fields& to);
// Text in `to` lives as long as `from`. Sets all that fields.toml lists and nothing else.
void write_c(const Fields& from, McModelOptions& to);
void write_c(const Fields& from, McCacheOptions& to);
void write_c(const Fields& from, McRequest& to);
// The fields that may change while a video is made: Field::while_playing.
void read_c(const McUpdate& from, Fields& to);
void write_c(const Fields& from, McUpdate& to);

// What mc_..._init does: `size` bytes of a caller's struct, which may be older and shorter than ours.
template <typename T>
void init_c(T* caller, size_t size) {
    T whole{};
    write_c(Fields{}, whole);
    whole.struct_size = size;
    std::memcpy(static_cast<void*>(caller), &whole, size < sizeof whole ? size : sizeof whole);
}

// The caller's struct as ours: what an older one lacks is not set. Throws MC_ERROR_SETTINGS for one that was not
// initialised or is of a newer version. `name`: of the function that initialises it.
template <typename T>
T whole_c(const T* caller, const char* name) {
    T whole{};
    init_c(&whole, sizeof whole);
    if (caller->struct_size < sizeof caller->struct_size + sizeof(void*) || caller->struct_size > sizeof whole)
        throw Error(MC_ERROR_SETTINGS, std::string("A struct was not set up with ") + name +
                                           ", or the program was built for a newer libmotioncache: call " + name +
                                           " first, and install the library that the program was built with.");
    std::memcpy(static_cast<void*>(&whole), caller, caller->struct_size);
    return whole;
}

// As much of it as the caller's struct has room for. Texts live as long as `from`.
inline void write_c(const MadeWith& from, McMadeWith* caller) {
    const McMadeWith whole{caller->struct_size,          from.update,         from.prompt.c_str(),
                           from.negative_prompt.c_str(), from.guidance_scale, from.cache_threshold,
                           McCache(int(from.cache) + 1)};
    std::memcpy(static_cast<void*>(caller), &whole, std::min(caller->struct_size, sizeof whole));
}

const char* text_of(McCache cache); // "auto" for MC_CACHE_AUTO, the name of the choice otherwise

// The value of a C enum as C++: 0 is auto, which is empty; the others are in the order of the C++ enum.
template <typename T>
std::optional<T> chosen(int value, const Choice& choice) {
    if (value == 0) return std::nullopt;
    if (value < 0 || value > int(choice.values.size()))
        throw Error(MC_ERROR_SETTINGS, std::string(choice.name) + " has the number " + std::to_string(value) +
                                           ", which this version does not know: take one of the names of " +
                                           choice.c_name + " in motioncache.h.");
    return T(value - 1);
}

} // namespace mc
