// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/json_object.h"

#include <nlohmann/json.hpp>
#include <set>

#include "engine/model/data_file.h"
#include "engine/model/read_error.h"

namespace mc::model {

using nlohmann::json;

namespace {

constexpr size_t SIZE_LIMIT = 16 << 20; // the index of the biggest published model has 0.1 MiB
constexpr int DEPTH_LIMIT = 16;
constexpr size_t LIST_LIMIT = 4096;

// The parser itself keeps the last of two equal keys, silently.
class Limits {
  public:
    Limits(const std::string& file, const std::string& remedy) : file_(file), remedy_(remedy) {}
    bool operator()(int depth, json::parse_event_t event, json& value) {
        if (depth > DEPTH_LIMIT) throw read_error(file_, "its JSON nests too deeply", remedy_);
        if (event == json::parse_event_t::object_start)
            keys_.emplace_back();
        else if (event == json::parse_event_t::object_end)
            keys_.pop_back();
        else if (event == json::parse_event_t::key && !keys_.back().insert(value.get<std::string>()).second)
            throw read_error(file_, "has field " + in_quotes(value.get<std::string>()) + " twice", remedy_);
        return true;
    }

  private:
    const std::string &file_, &remedy_;
    std::vector<std::set<std::string>> keys_;
};

template <class Number>
std::string range(const char* what, Number least, Number most) {
    return std::string(what) + " from " + json(least).dump() + " to " + json(most).dump();
}

} // namespace

JsonObject::JsonObject(std::shared_ptr<const json> value, std::string file, std::string remedy)
    : value_(std::move(value)), file_(std::move(file)), remedy_(std::move(remedy)) {}

JsonObject JsonObject::parse(std::string_view text, const std::string& file, const std::string& remedy) {
    if (text.size() > SIZE_LIMIT) throw read_error(file, "is too long for a JSON config", remedy);
    json value;
    try {
        value = json::parse(text.begin(), text.end(), Limits(file, remedy));
    } catch (const json::exception& e) {
        throw read_error(file, "is not valid JSON", remedy, in_quotes(e.what()));
    }
    if (!value.is_object()) throw read_error(file, "holds no JSON object", remedy);
    return JsonObject(std::make_shared<const json>(std::move(value)), file, remedy);
}

JsonObject JsonObject::read(const std::string& file, const std::string& remedy) {
    std::shared_ptr<const DataFile> opened = DataFile::open(file);
    if (opened->size > SIZE_LIMIT) throw read_error(file, "is too long for a JSON config", remedy);
    return parse(opened->text(0, size_t(opened->size)), file, remedy);
}

bool JsonObject::has(const std::string& key) const {
    auto found = value_->find(key);
    return found != value_->end() && !found->is_null();
}

void JsonObject::refuse(const std::string& key, const std::string& expected,
                        const std::string& remedy) const {
    auto found = value_->find(key);
    // Strings of a file may hold any UTF-8; in_quotes makes them fit to print.
    std::string what = found == value_->end() ? "field " + in_quotes(key) + " is missing"
                                              : "field " + in_quotes(key) + " is " + in_quotes(found->dump());
    throw read_error(file_, what + ", expected " + expected, remedy.empty() ? remedy_ : remedy);
}

void JsonObject::refuse_file(const std::string& what) const {
    throw read_error(file_, what, remedy_);
}

const json& JsonObject::field(const std::string& key, const std::string& expected) const {
    auto found = value_->find(key);
    if (found == value_->end()) refuse(key, expected);
    return *found;
}

int64_t JsonObject::integer(const std::string& key, int64_t least, int64_t most) const {
    std::string expected = range("an integer", least, most);
    const json& value = field(key, expected);
    bool fits =
        value.is_number_unsigned() ? value.get<uint64_t>() <= uint64_t(INT64_MAX) : value.is_number_integer();
    if (!fits || value.get<int64_t>() < least || value.get<int64_t>() > most) refuse(key, expected);
    return value.get<int64_t>();
}

double JsonObject::number(const std::string& key, double least, double most) const {
    std::string expected = range("a number", least, most);
    const json& value = field(key, expected);
    if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most))
        refuse(key, expected);
    return value.get<double>();
}

bool JsonObject::boolean(const std::string& key) const {
    const json& value = field(key, "true or false");
    if (!value.is_boolean()) refuse(key, "true or false");
    return value.get<bool>();
}

std::string JsonObject::text(const std::string& key) const {
    const json& value = field(key, "a string");
    if (!value.is_string()) refuse(key, "a string");
    return value.get<std::string>();
}

std::vector<int64_t> JsonObject::integers(const std::string& key, int64_t least, int64_t most) const {
    std::string expected = "a list of " + range("integers", least, most);
    const json& list = field(key, expected);
    if (!list.is_array() || list.size() > LIST_LIMIT) refuse(key, expected);
    std::vector<int64_t> values;
    for (const json& value : list) {
        bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= uint64_t(INT64_MAX)
                                               : value.is_number_integer();
        if (!fits || value.get<int64_t>() < least || value.get<int64_t>() > most) refuse(key, expected);
        values.push_back(value.get<int64_t>());
    }
    return values;
}

std::vector<double> JsonObject::numbers(const std::string& key) const {
    const json& list = field(key, "a list of numbers");
    if (!list.is_array() || list.size() > LIST_LIMIT) refuse(key, "a list of numbers");
    std::vector<double> values;
    for (const json& value : list) {
        if (!value.is_number()) refuse(key, "a list of numbers");
        values.push_back(value.get<double>());
    }
    return values;
}

std::vector<bool> JsonObject::booleans(const std::string& key) const {
    const json& list = field(key, "a list of true and false");
    if (!list.is_array() || list.size() > LIST_LIMIT) refuse(key, "a list of true and false");
    std::vector<bool> values;
    for (const json& value : list) {
        if (!value.is_boolean()) refuse(key, "a list of true and false");
        values.push_back(value.get<bool>());
    }
    return values;
}

JsonObject JsonObject::object(const std::string& key) const {
    const json& value = field(key, "an object");
    if (!value.is_object()) refuse(key, "an object");
    return JsonObject(std::make_shared<const json>(value), file_, remedy_);
}

std::vector<std::string> JsonObject::keys() const {
    std::vector<std::string> names;
    for (const auto& [key, value] : value_->items()) names.push_back(key);
    return names;
}

} // namespace mc::model
