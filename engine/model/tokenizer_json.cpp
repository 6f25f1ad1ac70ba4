// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/tokenizer_json.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/model/data_file.h"

namespace mc::model {

// The file holds a quarter of a million pieces; reading it as a stream of events keeps none of them.
namespace {

constexpr uint64_t SIZE_LIMIT = 256 << 20; // published models have 17 MB

struct Reader : nlohmann::json_sax<nlohmann::json> {
    bool byte_fallback = false;
    std::string fault;
    int depth = 0;
    std::string at_top, current; // key at depth 1, and the last key

    bool boolean(bool value) override {
        if (depth == 2 && at_top == "model" && current == "byte_fallback") byte_fallback = value;
        return true;
    }
    bool key(string_t& name) override {
        current = name;
        if (depth == 1) at_top = name;
        return true;
    }
    bool start_object(size_t) override { return ++depth < 256; }
    bool end_object() override { return depth-- > 0; }
    bool start_array(size_t) override { return ++depth < 256; }
    bool end_array() override { return depth-- > 0; }
    bool null() override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
        fault = e.what();
        return false;
    }
};

} // namespace

bool tokenizer_byte_fallback(const std::string& spiece) {
    std::string path = (std::filesystem::path(spiece).parent_path() / "tokenizer.json").string();
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) return true;
    const auto file = DataFile::open(path);
    if (file->size > SIZE_LIMIT)
        throw Error(MC_ERROR_READ,
                    path + " is too long for a tokenizer; fetch the file again, or remove it to use "
                           "spiece.model alone.");
    Reader reader;
    if (!nlohmann::json::sax_parse(file->text(0, size_t(file->size)), &reader))
        throw Error(MC_ERROR_READ,
                    path + " is not JSON; fetch the file again, or remove it to use spiece.model alone.",
                    reader.fault);
    return reader.byte_fallback;
}

} // namespace mc::model
