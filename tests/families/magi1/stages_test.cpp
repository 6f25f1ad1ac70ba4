// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's flow times and chunk schedule beyond what the golden tables hold (tests/golden/magi1_schedule.cpp).
#include <algorithm>

#include "engine/error.h"
#include "engine/families/magi1/stages.h"
#include "engine/families/magi1/flow_times.h"
#include "tests/check.h"

using namespace mc::magi1;

// Values of the official code, which the comparisons with the borders of the guidance tables depend on.
TEST(quarters_lie_on_the_borders_or_above) {
    for (int steps : {8, 12, 16, 32, 64}) {
        const FlowTimes times = flow_times(steps);
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
                        const StageRow row = stages.row(r);
                        int64_t& least = first[size_t(r)] = first[size_t(r) + 1];
                        for (int64_t c = row.begin; c < row.end; c++)
                            least = std::min(least, stages.sees(c, stages.step(row, c)).begin);
                        if (stages.passes_finished(row))
                            least = std::min(least, stages.finished_sees(row.begin - 1).begin);
                        CHECK(stages.first_seen_from(row) <= least);
                        if (!table.empty()) CHECK(row.end - stages.first_seen_from(row) <= window + 7);
                    }
                }
}

// By walking through all rows as the sampler does.
TEST(most_kept_is_what_a_sampler_holds) {
    for (int window : {1, 2, 4})
        for (const std::vector<int>& table : std::vector<std::vector<int>>{{5, 4, 3, 2}, {1}, {2, 7}, {}})
            for (int64_t given : {0, 3})
                for (bool own : {false, true}) {
                    const Stages stages{24, window, given, 20, table, 1};
                    int64_t most = 0, first = stages.first_seen_from(stages.row(0));
                    for (int64_t c = given; c-- > first;) first = std::min(first, stages.given_sees(c).begin);
                    for (int64_t r = 0; r < *stages.rows(); r++) {
                        const StageRow row = stages.row(r);
                        if (r) first = std::max(first, stages.first_seen_from(row));
                        most = std::max(most, (own ? row.end : row.begin) - first);
                    }
                    CHECK_EQ(stages.most_kept(own), most);
                    Stages endless = stages;
                    endless.chunks.reset();
                    if (!table.empty()) CHECK_EQ(endless.most_kept(own), most);
                }
    CHECK_EQ((Stages{16, 4, 0, 13, {5, 4, 3, 2}, 1}.most_kept(false)), 1);
    CHECK_EQ((Stages{16, 4, 0, {}, {5, 4, 3, 2}, 1}.most_kept(true)), 5);
    CHECK_EQ((Stages{16, 4, 0, {}, {1 << 20}, 1}.most_kept(true)), (1 << 20) + 4);
}

TEST(without_end_rows_go_on) {
    const Stages stages{8, 4, 0, {}, {5, 4, 3, 2}, 1};
    stages.check();
    CHECK(!stages.rows());
    const StageRow row = stages.row(2'000'000'001);
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
    CHECK_ERROR(flow_times(0), MC_ERROR_SETTINGS, "steps is 0");
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
