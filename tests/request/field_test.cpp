// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of fields, walked: each field by itself through text, C and back.
#include "engine/request/field.h"

#include <cmath>
#include <cstring>
#include <set>

#include "engine/request/c_request.h"
#include "tests/check.h"

using namespace mc;

namespace {

// Some text that the field takes.
std::string text_for(const Field& field) {
    if (const auto* f = std::get_if<IntField>(&field.type)) return std::to_string(f->most);
    if (const auto* f = std::get_if<Int64Field>(&field.type)) return std::to_string(f->most);
    if (const auto* f = std::get_if<NumberField>(&field.type)) return std::to_string(int(f->most));
    if (std::holds_alternative<FlagField>(field.type)) return "true";
    if (const auto* f = std::get_if<ChoiceField>(&field.type)) return f->choice->values.back().name;
    return "some text";
}

Fields through_c(const Fields& values) {
    McModelOptions model{};
    McCacheOptions cache{};
    McRequest request{};
    write_c(values, model);
    write_c(values, cache);
    write_c(values, request);
    Fields back;
    read_c(model, back);
    read_c(cache, back);
    read_c(request, back);
    return back;
}

std::string refusal(const Fields& values) {
    try {
        check_ranges(values);
    } catch (const Error& e) {
        return e.what();
    }
    return "";
}

} // namespace

TEST(each_field_goes_through_text_and_c_by_itself) {
    for (const Field& field : fields()) {
        Fields values;
        CHECK(!is_set(field, values));
        set_from_text(values, field.name, text_for(field));
        CHECK(is_set(field, values));
        for (const Field& other : fields())
            if (&other != &field) CHECK(!is_set(other, values));
        CHECK_EQ(refusal(values), std::string());
        if (!std::holds_alternative<FileField>(field.type) || field.part == Part::MODEL)
            CHECK(through_c(values) == values); // pictures go as pixels
        unset(field, values);
        CHECK(values == Fields{});
    }
    CHECK(through_c(Fields{}) == Fields{});
}

TEST(what_is_out_of_range_is_named) {
    for (const Field& field : fields()) {
        const auto refused = [&](auto& at, auto bad) {
            Fields values;
            at(values) = bad;
            CHECK(refusal(values).rfind(std::string(field.name) + " is ", 0) == 0);
        };
        if (const auto* f = std::get_if<IntField>(&field.type)) {
            refused(f->at, f->least - 1);
            refused(f->at, f->most + 1);
        }
        if (const auto* f = std::get_if<NumberField>(&field.type)) {
            for (double bad : {f->least - 0.5, f->most * 1.01, double(NAN), double(INFINITY)}) refused(f->at, bad);
            if (f->above) refused(f->at, f->least);
            Fields values;
            f->at(values) = f->none.value_or(f->most);
            CHECK_EQ(refusal(values), std::string());
        }
    }
}

TEST(what_a_family_does_not_know_is_refused_with_what_does_it_instead) {
    const auto refused = [](const std::string& name, const std::string& text, ModelFamily family) {
        Fields values;
        set_from_text(values, name, text);
        try {
            check_fields(values, family);
        } catch (const Error& e) {
            CHECK_EQ(e.status, MC_ERROR_SETTINGS);
            return std::string(e.what());
        }
        return std::string();
    };
    int fields_refused = 0, values_refused = 0;
    for (size_t i = 0; i < families().size(); i++) {
        const auto family = static_cast<ModelFamily>(i);
        check_fields({}, family);
        const auto sentence = [&](const std::string& what, const Known& known) {
            return known.families & bit(family)
                       ? ""
                       : what + " is for " + known.titles + ", not for " + families()[i].title +
                             ": drop it; " + known.instead(family) + ".";
        };
        for (const Field& field : fields()) {
            const std::string name = field.name;
            if (const auto* f = std::get_if<ChoiceField>(&field.type)) {
                for (const ChoiceValue& value : f->choice->values) {
                    const std::string of_field = sentence(name, field.known),
                                      of_value = sentence(name + "=" + value.name, value.known);
                    CHECK_EQ(refused(name, value.name, family), of_field.empty() ? of_value : of_field);
                    values_refused += of_field.empty() && !of_value.empty();
                }
            } else {
                CHECK_EQ(refused(name, text_for(field), family), sentence(name, field.known));
                fields_refused += !(field.known.families & bit(family));
            }
        }
    }
    CHECK(fields_refused > 5 && values_refused > 0);
    CHECK_EQ(refused("reference-windows", "false", ModelFamily::MAGI1), std::string()); // asks for nothing
    CHECK_EQ(refused("steps", "1001", ModelFamily::MAGI1), "steps is 1001 but must be from 1 to 1000.");
}

TEST(text_that_is_none_is_refused_with_what_would_do) {
    Fields values;
    const auto words = [&](const char* name, const char* text) {
        try {
            set_from_text(values, name, text);
        } catch (const Error& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(words("step", "3").find("steps") != std::string::npos);
    CHECK_EQ(words("steps", "3.5"), "steps is \"3.5\" but must be a whole number.");
    CHECK_EQ(words("shift", "3x"), "shift is \"3x\" but must be a number.");
    CHECK_EQ(words("attention", "half"), "attention is \"half\" but must be one of auto, full, causal, kv.");
    CHECK_EQ(words("reference-windows", "perhaps"), "reference-windows is \"perhaps\" but must be true or false.");
    CHECK(values == Fields{});
    CHECK_EQ(words("steps", "7"), "");
    CHECK_EQ(*values.steps, 7);
    CHECK_EQ(words("steps", "auto"), "");
    CHECK(values == Fields{});
}

TEST(names_are_there_once) {
    std::set<std::string> names;
    for (const Field& field : fields()) {
        CHECK(names.insert(field.name).second);
        CHECK(find_field(field.name) == &field);
        CHECK(std::strlen(field.blurb) > 0);
    }
    CHECK(find_field("no-such-field") == nullptr);
    CHECK_EQ(std::string(text_of(MC_CACHE_AUTO)), "auto");
    CHECK_EQ(std::string(text_of(MC_CACHE_MOTIONCACHE)), "motioncache");
}

int main(int argc, char** argv) {
    return test::run_tests(argc, argv);
}
