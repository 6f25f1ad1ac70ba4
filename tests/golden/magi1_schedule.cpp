// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's time tables and chunk schedules against those of the official code: schedules/schedules.json of a golden
// folder. Without a folder only what needs none is tested. Usage: magi1_schedule_test [FILE]
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/families/magi1/stages.h"
#include "engine/families/magi1/time_table.h"
#include "tests/check.h"

namespace {

using namespace mc::magi1;
using Json = nlohmann::json;

Json golden;

Json ranges(const Stages& stages, const Row& row) {
    Json rows = Json::array();
    auto add = [&](Chunks seen) { rows.push_back({seen.begin, seen.end}); };
    if (stages.passes_finished(row)) add(stages.finished_sees(row.begin - 1));
    for (int64_t c = row.begin; c < row.end; c++) add(stages.sees(c, stages.step(row, c)));
    return rows;
}

void compare(const Json& table) {
    Stages stages;
    stages.steps = table.at("num_steps");
    stages.window = table.at("window_size");
    stages.given = table.at("chunk_offset");
    stages.chunks = table.at("chunk_num").get<int64_t>();
    stages.noise2clean = table.at("noise2clean_kvrange").get<std::vector<int>>();
    stages.clean_range = table.at("clean_chunk_kvrange");
    stages.check();
    CHECK_EQ(stages.stage_steps(), table.at("steps_per_stage").get<int>());
    CHECK_EQ(*stages.rows(), table.at("total_steps").get<int64_t>());
    CHECK_EQ(int64_t(table.at("stages").size()) * stages.stage_steps(), *stages.rows());
    if (table.contains("prefix_k_range_chunks")) {
        Json given = Json::array();
        for (int64_t c = 0; c < stages.given; c++) given.push_back({stages.given_sees(c).begin, stages.given_sees(c).end});
        CHECK_EQ(given, table["prefix_k_range_chunks"]);
    }
    int64_t at = 0;
    for (const Json& stage : table.at("stages")) {
        const Row first = stages.row(at);
        CHECK_EQ(first.stage, stage.at("stage").get<int64_t>());
        CHECK_EQ(first.begin, stage.at("chunk_start").get<int64_t>());
        CHECK_EQ(first.end, stage.at("chunk_end").get<int64_t>());
        CHECK_EQ(stages.passes_finished(first), stage.at("clean_chunk_prepended_at_first_step").get<bool>());
        Json steps = Json::array();
        for (int64_t c = first.begin; c < first.end; c++) steps.push_back(stages.step(first, c));
        CHECK_EQ(steps, stage.at("step_of_chunk_at_first_step"));
        for (const Json& part : stage.at("k_range_chunks"))
            for (int index = part.at("denoise_idx")[0]; index <= part["denoise_idx"][1].get<int>(); index++) {
                const Row row = stages.row(at + index);
                CHECK_EQ(row.index, index);
                CHECK_EQ(ranges(stages, row), part.at("rows"));
            }
        at += stages.stage_steps();
    }
}

} // namespace

TEST(golden_time_tables) {
    if (golden.is_null()) SKIP("no golden folder was given");
    CHECK(golden.at("time_tables").size() >= 6);
    for (const Json& table : golden.at("time_tables")) {
        const bool large_last = table.at("shortcut_mode") == "16,16,8";
        const TimeTable times =
            time_table(table.at("num_steps"), large_last ? Shortcut::LARGE_LAST : Shortcut::LARGE_FIRST);
        CHECK_EQ(times.t.size(), table.at("timesteps").size());
        for (size_t k = 0; k < times.t.size(); k++) CHECK_NEAR(times.t[k], table["timesteps"][k].get<double>(), 1e-7);
        for (size_t k = 0; k + 1 < times.t.size(); k++) {
            CHECK_NEAR(times.t[k + 1] - times.t[k], table.at("delta_t")[k].get<double>(), 1e-7);
            const Json& size = table.at("step_size_embedding_argument");
            CHECK_EQ(double(times.step_size[k]), size.is_array() ? size[k].get<double>() : size.get<double>());
        }
    }
}

TEST(golden_chunk_tables) {
    if (golden.is_null()) SKIP("no golden folder was given");
    CHECK(golden.at("chunk_tables").size() >= 9);
    for (const Json& table : golden.at("chunk_tables")) {
        const int before = mc::test::failures();
        compare(table);
        if (mc::test::failures() != before) std::fprintf(stderr, "  in %s\n", table.at("name").get<std::string>().c_str());
    }
}

// Values of the official code, which the comparisons with the borders of the guidance tables depend on.
TEST(quarters_lie_on_the_borders_or_above) {
    for (int steps : {8, 12, 16, 32, 64}) {
        const TimeTable times = time_table(steps);
        CHECK_EQ(times.t[0], 0.f);
        CHECK(double(times.t[size_t(steps) * 3 / 4]) > 0.3);
        CHECK_EQ(times.t[size_t(steps) * 3 / 4], 0.30000001192092896f);
        CHECK_EQ(times.t[size_t(steps) / 2], 0.10000000894069672f);
        CHECK_EQ(times.t[size_t(steps)], 1.0000001192092896f);
    }
}

// What is forgotten is what nobody looks at again.
TEST(first_seen_from_is_what_is_seen) {
    for (int window : {1, 2, 3, 4})
        for (const std::vector<int>& table : std::vector<std::vector<int>>{{5, 4, 3, 2}, {1}, {2, 7}, {}})
            for (int clean : {-1, 1, 3})
                for (int64_t given : {0, 2}) {
                    Stages stages{24, window, given, 9, table, clean};
                    stages.check();
                    std::vector<int64_t> first(size_t(*stages.rows()) + 1, 1000);
                    for (int64_t r = *stages.rows(); r-- > 0;) {
                        const Row row = stages.row(r);
                        int64_t& least = first[size_t(r)] = first[size_t(r) + 1];
                        for (int64_t c = row.begin; c < row.end; c++)
                            least = std::min(least, stages.sees(c, stages.step(row, c)).begin);
                        if (stages.passes_finished(row)) least = std::min(least, stages.finished_sees(row.begin - 1).begin);
                        CHECK(stages.first_seen_from(row) <= least);
                        if (!table.empty()) CHECK(row.end - stages.first_seen_from(row) <= window + 7);
                    }
                }
}

TEST(without_end_rows_go_on) {
    const Stages stages{8, 4, 0, {}, {5, 4, 3, 2}, 1};
    stages.check();
    CHECK(!stages.rows());
    const Row row = stages.row(2'000'000'001);
    CHECK_EQ(row.end - row.begin, 4);
    CHECK_EQ(stages.step(row, row.end - 1), 1);
    CHECK_EQ(stages.step(row, row.begin), 7);
    CHECK_EQ(row.end - stages.first_seen_from(row), 5);
}

TEST(what_does_not_divide_is_refused) {
    const auto refused = [](Stages stages, const char* words) {
        CHECK_ERROR(stages.check(), MC_ERROR_SETTINGS, words);
    };
    refused({10, 4, 0, 3, {}, 1}, "multiple of the 4 chunks");
    refused({12, 3, 0, 3, {}, 1}, "12 steps");
    refused({8, 4, 0, 3, {3, 2, 1}, 1}, "noise2clean_kvrange");
    refused({8, 4, 0, 3, {2, 0}, 1}, "noise2clean_kvrange");
    refused({8, 4, 0, 3, {2, 1}, 0}, "clean_chunk_kvrange");
    refused({8, 4, 3, 3, {2, 1}, 1}, "chunk to generate");
    CHECK_ERROR(time_table(0), MC_ERROR_SETTINGS, "steps is 0");
}

int main(int argc, char** argv) {
    if (argc > 1 && std::strstr(argv[1], ".json")) {
        golden = Json::parse(std::ifstream(argv[1]));
        --argc, ++argv;
    }
    return mc::test::run_tests(argc, argv);
}
