// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/request/field.h"

#include <charconv>
#include <cmath>

#include "engine/error.h"
#include "engine/request/c_request.h"

namespace mc {
namespace {

[[noreturn]] void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

// The shortest text that reads back as the same number.
template <typename T>
std::string text_of(T value) {
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

template <typename T>
std::string range_of(T least, T most, bool above) {
    return (above ? "above " : "from ") + text_of(least) + (above ? " up to " : " to ") + text_of(most);
}

template <typename T>
void check(const char* name, const std::optional<T>& value, T least, T most, bool above = false,
           std::optional<T> none = {}) {
    if (!value || (none && *value == *none)) return;
    if (!(*value >= least && *value <= most) || (above && *value == least))
        refuse(std::string(name) + " is " + text_of(*value) + " but must be " + range_of(least, most, above) +
               (none ? ", or " + text_of(*none) : "") + ".");
}

template <typename T>
T parsed(const char* name, const std::string& text) {
    T value{};
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size())
        refuse(std::string(name) + " is \"" + text + "\" but must be a " +
               (std::is_integral_v<T> ? "whole number." : "number."));
    return value;
}

int chosen(const char* name, const Choice& choice, const std::string& text) {
    std::string known = "auto";
    for (size_t i = 0; i < choice.values.size(); i++) {
        if (text == choice.values[i].name) return int(i);
        known += std::string(", ") + choice.values[i].name;
    }
    refuse(std::string(name) + " is \"" + text + "\" but must be one of " + known + ".");
}

void check_known(const std::string& what, const Known& known, ModelFamily family) {
    if (known.families & bit(family)) return;
    refuse(what + " is for " + known.titles + ", not for " + families()[size_t(family)].title + ": drop it; " +
           known.instead(family) + ".");
}

} // namespace

const char* text_of(McCache cache) {
    return cache == MC_CACHE_AUTO ? "auto" : name_of(CacheKind(cache - 1));
}

const Field* find_field(std::string_view name) {
    for (const Field& field : fields())
        if (name == field.name) return &field;
    return nullptr;
}

bool is_set(const Field& field, const Fields& values) {
    Fields& readable = const_cast<Fields&>(values); // `at` serves both ways; nothing is written here
    return std::visit(Overloaded{[&](const ChoiceField& f) { return f.get(values) >= 0; },
                                 [&](const auto& f) { return f.at(readable).has_value(); }},
                      field.type);
}

void unset(const Field& field, Fields& values) {
    std::visit(Overloaded{[&](const ChoiceField& f) { f.set(values, -1); },
                          [&](const auto& f) { f.at(values).reset(); }},
               field.type);
}

void copy_field(const Field& field, const Fields& from, Fields& to) {
    Fields& readable = const_cast<Fields&>(from); // as in is_set
    std::visit(Overloaded{[&](const ChoiceField& f) { f.set(to, f.get(from)); },
                          [&](const auto& f) { f.at(to) = f.at(readable); }},
               field.type);
}

void check_ranges(const Fields& values) {
    Fields copy = values;
    for (const Field& field : fields())
        std::visit(
            Overloaded{[&](const IntField& f) { check(field.name, f.at(copy), f.least, f.most, false, f.none); },
                       [&](const Int64Field& f) { check(field.name, f.at(copy), f.least, f.most); },
                       [&](const NumberField& f) {
                           check(field.name, f.at(copy), f.least, f.most, f.above, f.none);
                       },
                       [](const auto&) {}},
            field.type);
}

void check_fields(const Fields& values, ModelFamily family) {
    Fields copy = values;
    for (const Field& field : fields()) {
        const auto* flag = std::get_if<FlagField>(&field.type);
        if (flag ? !flag->at(copy).value_or(false) : !is_set(field, values))
            continue; // a flag that is false asks nothing
        check_known(field.name, field.known, family);
        if (const auto* f = std::get_if<ChoiceField>(&field.type)) {
            const ChoiceValue& value = f->choice->values[size_t(f->get(values))];
            check_known(std::string(field.name) + "=" + value.name, value.known, family);
        }
    }
    check_ranges(values);
}

void set_from_text(Fields& values, std::string_view name, const std::string& text) {
    const Field* field = find_field(name);
    if (!field) {
        std::string known;
        for (const Field& f : fields()) known += (known.empty() ? "" : ", ") + std::string(f.name);
        refuse("There is no setting \"" + std::string(name) + "\": take one of " + known + ".");
    }
    const bool is_text =
        std::holds_alternative<TextField>(field->type) || std::holds_alternative<FileField>(field->type);
    if (!is_text && (text.empty() || text == "auto")) return unset(*field, values);
    std::visit(
        Overloaded{
            [&](const IntField& f) { f.at(values) = parsed<int>(field->name, text); },
            [&](const Int64Field& f) { f.at(values) = parsed<int64_t>(field->name, text); },
            [&](const NumberField& f) { f.at(values) = parsed<double>(field->name, text); },
            [&](const FlagField& f) {
                if (text != "true" && text != "false" && text != "1" && text != "0")
                    refuse(std::string(field->name) + " is \"" + text + "\" but must be true or false.");
                f.at(values) = text == "true" || text == "1";
            },
            [&](const ChoiceField& f) { f.set(values, chosen(field->name, *f.choice, text)); },
            [&](const auto& f) { f.at(values) = text; },
        },
        field->type);
}

} // namespace mc
