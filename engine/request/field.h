// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a field of a request is: the descriptors that generate.py makes from fields.toml. The element's properties, the
// checks of ranges and settings given as text all walk over fields(); they name only fields that need special care.
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "engine/request/fields.h"

namespace mc {

constexpr unsigned ALL_FAMILIES = ~0u;
constexpr unsigned bit(ModelFamily family) {
    return 1u << unsigned(family);
}
constexpr unsigned ALL_CACHES = ~0u;
constexpr unsigned bit(CacheKind cache) {
    return 1u << unsigned(cache);
}
struct FamilyName {
    const char *name, *title; // title: the name in sentences
};
std::span<const FamilyName> families(); // in the order of ModelFamily

// Which families of models know a field, or a value of a choice.
struct Known {
    unsigned families; // bits
    const char* (*instead)(ModelFamily other); // what to do there, behind "...: drop it; "; null where all know it
    const char* titles; // of those that know it
};

struct ChoiceValue {
    const char *name, *blurb;
    Known known;
};
// Values in the order of the C++ enum; the C enum has _AUTO, 0, before them.
struct Choice {
    const char *name, *c_name, *auto_blurb;
    std::span<const ChoiceValue> values;
};

// `at` gives the field of a request; `unset` is how the element's property reads when the field is empty.
struct TextField {
    std::optional<std::string>& (*at)(Fields&);
    const char* unset; // null: none
};
struct FileField { // the name of a file or folder
    std::optional<std::string>& (*at)(Fields&);
    const char* unset;
};
struct IntField {
    std::optional<int>& (*at)(Fields&);
    int least, most, unset;
    std::optional<int> none; // allowed beside the range: "none at all"
};
struct Int64Field {
    std::optional<int64_t>& (*at)(Fields&);
    int64_t least, most, unset;
};
struct NumberField {
    std::optional<double>& (*at)(Fields&);
    double least, most, unset;
    bool above;                 // least itself is not allowed
    std::optional<double> none; // allowed beside the range: "none at all"
};
struct FlagField { // empty reads as false
    std::optional<bool>& (*at)(Fields&);
};
struct ChoiceField {
    const Choice* choice;
    int (*get)(const Fields&); // -1: empty
    void (*set)(Fields&, int);
};
template <class... F>
struct Overloaded : F... { // for std::visit
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;
using FieldType = std::variant<TextField, FileField, IntField, Int64Field, NumberField, FlagField, ChoiceField>;

// Where the value of an empty field comes from.
enum class Source { REQUIRED, MODEL, PRESET, NONE, FIXED };
enum class Part { MODEL, REQUEST, CACHE };

struct Field {
    const char *name, *nick, *blurb;
    Source source;
    Part part;
    Known known;
    unsigned caches;    // bits of CacheKind: which have it
    bool while_playing; // may change while a video is made, from the next chunk on
    bool property;      // of the element
    FieldType type;
};

std::span<const Field> fields();
const Field* find_field(std::string_view name); // null: there is none
bool is_set(const Field& field, const Fields& values);
void unset(const Field& field, Fields& values);
// The field becomes what it is in `from`, also where it is not set there.
void copy_field(const Field& field, const Fields& from, Fields& to);

// Throws MC_ERROR_SETTINGS for the first value out of its range, with name, value and range.
void check_ranges(const Fields& values);
// Throws MC_ERROR_SETTINGS for the first field that is set, or value of a choice, that models of the family do not
// know, with what to do instead; then as check_ranges. Families call session::check_fields, which calls this.
void check_fields(const Fields& values, ModelFamily family);
// From text, as in "steps" = "30" or "cache" = "none"; "auto" and "" leave a choice or number empty. Throws
// MC_ERROR_SETTINGS for a name or value that is not known, and names those that are.
void set_from_text(Fields& values, std::string_view name, const std::string& text);

} // namespace mc
