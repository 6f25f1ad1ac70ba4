// SPDX-License-Identifier: LGPL-2.1-or-later
// The judge judged: which differences pass, and that nothing slips through.
#include "tests/check.h"

#include <ATen/ops/tensor.h>
#include <cstring>

#include "engine/error.h"
#include "tests/golden/compare.h"
#include "tests/model/memory_file.h"

using namespace mc::golden;

namespace {

// A case that expects `values` under the name "a.b".
struct Expectation {
    CaseFile file;
    Expectation(const std::vector<float>& values, const char* json) {
        file.json = Json::parse(json);
        file.expected.tensors["a.b"] = {
            mc::model::DType::F32,
            {int64_t(values.size())},
            values.size() * 4,
            std::make_shared<mc::test::MemoryFile>("a.b", values.data(), values.size() * 4)};
    }
    std::vector<Finding> against(std::vector<float> produced) const {
        Produced p;
        p.tensors["a.b"] = at::tensor(produced);
        return compare(file, p);
    }
};

bool any_failed(const std::vector<Finding>& findings) {
    for (const Finding& finding : findings)
        if (finding.failed()) return true;
    return false;
}

constexpr const char* tolerant = R"({"tolerance": {"*": {"atol": 0.1, "rtol": 0.01}}})";

std::vector<Finding> compare_json(const char* file, const char* produced) {
    CaseFile golden;
    golden.json = Json::parse(file);
    Produced p;
    p.values = Json::parse(produced);
    return compare(golden, p);
}

} // namespace

TEST(a_difference_is_divided_by_its_tolerance) {
    const Expectation golden({0, 10, -10}, tolerant);
    CHECK(!any_failed(golden.against({0, 10, -10})));
    CHECK_NEAR(golden.against({0.05f, 10.1f, -10})[0].ratio, 0.5, 1e-4);
    CHECK(!any_failed(golden.against({0, 10, -10.19f})));
    CHECK(any_failed(golden.against({0, 10, -10.21f})));
}

TEST(what_must_fail) {
    const Expectation golden({1, 2}, tolerant);
    CHECK(any_failed(compare(golden.file, {})));
    CHECK(any_failed(golden.against({1, 2, 3})));
    CHECK(any_failed(golden.against({1, NAN})));
    CHECK(any_failed(golden.against({1, INFINITY})));
    CHECK(any_failed(Expectation({1, NAN}, tolerant).against({1, NAN})));
    CHECK(any_failed(Expectation({1}, "{}").against({1})));
    CHECK(any_failed(Expectation({1}, R"({"tolerance": {"b": "exact"}})").against({1})));
    CHECK(
        any_failed(Expectation({1}, R"({"tolerance": {"*": "exact"}, "expected": {"c": {}}})").against({1})));
    CHECK(any_failed(compare({}, {})));
    const Expectation exact({1}, R"({"tolerance": {"a.*": "exact"}})");
    CHECK(!any_failed(exact.against({1})));
    CHECK(any_failed(exact.against({1.0000001f})));
}

TEST(the_first_pattern_counts_and_the_star_last) {
    const Json patterns = Json::parse(R"({"*": {"atol": 1, "rtol": 0}, "z.*, y": {"atol": 2, "rtol": 0},
                                          "z.a": "exact", "x": "exact"})");
    CHECK_NEAR(tolerance_of(patterns, "z.a")->atol, 2, 0);
    CHECK_NEAR(tolerance_of(patterns, "y")->atol, 2, 0);
    CHECK_NEAR(tolerance_of(patterns, "other")->atol, 1, 0);
    CHECK(tolerance_of(patterns, "x")->exact);
    CHECK(!tolerance_of(Json::object(), "x").has_value());
}

TEST(fields_of_the_case_file) {
    const char* file = R"({"tolerance_json": {"t.*.ids": "exact", "slots": {"atol": 0.1, "rtol": 0}},
                           "t": [{"text": "x", "ids": [1, 2]}], "slots": [[{"mean": 1}, "Rep"]], "free": [1]})";
    const char* right = R"({"t": [{"ids": [1, 2]}], "slots": [[{"mean": 1.05}, "Rep"]], "free": [1]})";
    CHECK(!any_failed(compare_json(file, right)));
    for (const char* wrong : {R"({"t": [{"ids": [1, 2]}]})", R"({"slots": [[{"mean": 1}, "Rep"]]})",
                              R"({"t": [{"ids": [1, 3]}], "slots": [[{"mean": 1}, "Rep"]]})",
                              R"({"t": [{"ids": [1]}], "slots": [[{"mean": 1}, "Rep"]]})",
                              R"({"t": [{}], "slots": [[{"mean": 1}, "Rep"]]})",
                              R"({"t": [{"ids": [1, 2]}], "slots": [[{"mean": 1.2}, "Rep"]]})",
                              R"({"t": [{"ids": [1, 2]}], "slots": [[{"mean": 1}, {"mean": 1}]]})",
                              R"({"t": [{"ids": [1, 2]}], "slots": [[{"mean": 1}, null]]})",
                              R"({"t": [{"ids": [1, 2]}], "slots": [[{"mean": null}, "Rep"]]})",
                              R"({"t": [{"ids": [1, 2]}], "slots": [[{"mean": 1}, "Rep"]], "free": [2]})"})
        CHECK(any_failed(compare_json(file, wrong)));
}

namespace {

// A case of a kind that expects a.b = [[1, 2], [3, 4]] under this tolerance.
bool passes(const char* tolerance, const std::vector<float>& produced) {
    const std::vector<float> values{1, 2, 3, 4};
    CaseFile file;
    file.json = {{"kind", "k"}, {"tolerance", Json::parse(tolerance)}};
    file.expected.tensors["a.b"] = {
        mc::model::DType::F32, {2, 2}, 16, std::make_shared<mc::test::MemoryFile>("a.b", values.data(), 16)};
    Produced p;
    p.tensors["a.b"] = at::tensor(produced).view({2, 2});
    return !any_failed(compare(file, p));
}

} // namespace

TEST(tolerances_of_a_case_that_names_its_kind) {
    const std::vector<float> off{1, 2, 3, 4.1f}; // 0.1 of a norm of 5.48
    CHECK(passes(R"({"a.b": {"abs": 0.11}, "default": "exact"})", off));
    CHECK(passes(R"({"a": {"abs": 0.11}, "b": "exact"})", off));
    CHECK(passes(R"({"b": {"abs": 0.11}, "default": "exact"})", off));
    CHECK(passes(R"({"default": {"abs": 0.11}, "*": "exact"})", off));
    CHECK(!passes(R"({"*": {"abs": 0.11}})", off));
    CHECK(!passes(R"({"default": {"abs": 0.09}})", off));
    CHECK(passes(R"({"default": {"rel_l2": 0.019}})", off));
    CHECK(!passes(R"({"default": {"rel_l2": 0.018}})", off));
    CHECK(!passes(R"({"default": {"abs": 0.09, "rel_l2": 0.1}})", off));
    CHECK(!passes(R"({"default": {"abs": 0.11, "rel_l2": 0.018}})", off));
    CHECK(!passes(R"({"default": {"rel_l2": 0.1}})", {1, 2, 3, NAN}));
    CHECK(!passes(R"({"default": "exact: copies"})", off));
    CHECK(passes(R"({"default": "exact: copies"})", {1, 2, 3, 4}));
    CHECK(passes(R"({"a": "as c", "c": {"abs": 0.11}})", off));
    CHECK(passes(R"({"b": "compare as sets per head"})", {3, 2, 1, 4}));
    CHECK(!passes(R"({"b": "compare as sets per head"})", {2, 1, 3, 4}));
    const std::vector<float> exact{1, 2, 3, 4};
    CHECK_ERROR(passes(R"({"b": "nearly"})", exact), MC_ERROR_READ, "nearly");
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
