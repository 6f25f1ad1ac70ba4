// SPDX-License-Identifier: LGPL-2.1-or-later
// Time grid, solver coefficients, timestep matrix and windows: what the golden cases do not reach.
#include "tests/check.h"

#include <algorithm>
#include <climits>
#include <numeric>

#include "engine/error.h"
#include "engine/families/skyreels_v2/time_grid.h"
#include "engine/families/skyreels_v2/timestep_matrix.h"
#include "engine/families/skyreels_v2/unipc.h"
#include "engine/families/skyreels_v2/window_plan.h"
#include "engine/families/skyreels_v2/windows.h"

using namespace mc::skyreels_v2;
using enum mc::LongVideo;

namespace {

std::vector<MatrixRow> rows(int frames, int ar_step, int prefix, int chunk, int steps, int base = 0) {
    return timestep_matrix({frames, base ? base : frames, ar_step, prefix, chunk},
                           time_grid(steps, 8).timesteps);
}

std::string text(const std::vector<int64_t>& values) {
    std::string out;
    for (int64_t v : values) out += std::to_string(v) + " ";
    return out;
}

} // namespace

TEST(time_grid_of_published_settings) {
    CHECK_EQ(text(time_grid(4, 8).timesteps), "999 959 888 727 ");
    CHECK_EQ(text(time_grid(2, 8).timesteps), "999 888 ");
    const TimeGrid grid = time_grid(30, 8);
    CHECK_EQ(grid.timesteps.size(), size_t(30));
    CHECK_EQ(grid.timesteps[29], int64_t(216));
    CHECK_NEAR(grid.sigmas[0], 0.9998748921, 1e-7);
    CHECK_NEAR(grid.sigmas[29], 0.2160408749, 1e-7);
    CHECK_EQ(grid.sigmas[30], 0.0f);
    const TimeGrid newer = time_grid(30, 8, mc::skyreels_v2::Grid::DIFFUSERS_0_37);
    CHECK_EQ(newer.timesteps[29], int64_t(221));
    CHECK_NEAR(newer.sigmas[0], 0.999999, 1e-7);
    CHECK_EQ(time_grid(1, 1).timesteps[0], int64_t(999));
}

TEST(time_grid_refuses_what_cannot_work) {
    CHECK_ERROR(time_grid(0, 8), MC_ERROR_SETTINGS, "steps");
    CHECK_ERROR(time_grid(1001, 8), MC_ERROR_SETTINGS, "steps");
    CHECK_ERROR(time_grid(30, 0), MC_ERROR_SETTINGS, "shift");
    CHECK_ERROR(time_grid(30, -1), MC_ERROR_SETTINGS, "shift");
    CHECK_ERROR(time_grid(30, NAN), MC_ERROR_SETTINGS, "shift");
    CHECK_ERROR(time_grid(30, INFINITY), MC_ERROR_SETTINGS, "shift");
    CHECK_ERROR(time_grid(30, 1e9), MC_ERROR_SETTINGS, "nearer to 1");
    CHECK_ERROR(time_grid(30, 1e9, mc::skyreels_v2::Grid::DIFFUSERS_0_37), MC_ERROR_SETTINGS, "nearer to 1");
    CHECK_ERROR(time_grid(30, 1e-60), MC_ERROR_SETTINGS, "nearer to 1");
}

// With the right velocity (noise - x0, the same at every step) every update of any order is exact: the
// coefficients of each line keep a clean picture clean and take the noise down to the next sigma.
TEST(unipc_follows_the_straight_line) {
    for (int steps : {1, 2, 3, 7, 30, 1000})
        for (double shift : {0.5, 1.0, 8.0})
            for (mc::skyreels_v2::Grid which :
                 {mc::skyreels_v2::Grid::OFFICIAL, mc::skyreels_v2::Grid::DIFFUSERS_0_37}) {
                const TimeGrid grid = time_grid(steps, shift, which);
                const auto table = unipc_steps(grid);
                CHECK_EQ(table.size(), size_t(steps));
                const double clean = 0.7, noise = -1.3;
                double x = (1 - table[0].sigma) * clean + table[0].sigma * noise;
                double x_last = NAN, m0 = NAN, m_prev = NAN, worst = 0;
                const auto times = [](double c, double v) { return c == 0 ? 0 : c * v; };
                for (int i = 0; i < steps; i++) {
                    const UniPcStep& s = table[i];
                    const double x0 = x - s.sigma * (noise - clean);
                    const double corrected = s.correct ? times(s.c_last, x_last) + times(s.c_m0, m0) +
                                                             times(s.c_prev, m_prev) + times(s.c_x0, x0)
                                                       : x;
                    m_prev = m0, m0 = x0, x_last = corrected;
                    x = times(s.p_x, corrected) + times(s.p_m0, m0) + times(s.p_prev, m_prev);
                    const double sigma = grid.sigmas[i + 1];
                    worst = std::max(worst, std::fabs(x - ((1 - sigma) * clean + sigma * noise)));
                }
                CHECK_NEAR(worst, 0, 1e-9);
                CHECK_NEAR(x, clean, 1e-9);
            }
}

TEST(unipc_orders) {
    std::string orders;
    for (const UniPcStep& s : unipc_steps(time_grid(5, 8))) orders += std::to_string(s.order);
    CHECK_EQ(orders, "12221");
    CHECK_EQ(unipc_steps(time_grid(1, 8))[0].order, 1);
    CHECK(!unipc_steps(time_grid(1, 8))[0].correct);
    CHECK_EQ(unipc_steps(time_grid(2, 8))[1].order, 1);
}

TEST(timestep_matrix_of_the_published_example) {
    const auto r = rows(25, 5, 0, 5, 30);
    CHECK_EQ(r.size(), size_t(50));
    CHECK_EQ(r[5].timestep[0], int64_t(975));
    CHECK_EQ(r[34].state[0], 31);
    CHECK(!r[34].update[0]);
    CHECK_EQ(r[34].timestep[5], int64_t(216));
    CHECK_EQ(r[49].state[24], 30);
    CHECK(r[49].update[24]);
    CHECK(!r[49].update[0]);
}

// With any settings: every frame outside the prefix takes each step once and in order, the prefix none,
// and frames of a chunk go together.
TEST(timestep_matrix_takes_every_step_once) {
    for (int chunk : {1, 2, 5})
        for (int chunks : {1, 2, 4})
            for (int ar_step : {0, 1, 3, 12})
                for (int prefix_chunks = 0; prefix_chunks <= chunks; prefix_chunks++)
                    for (int steps : {1, 2, 6}) {
                        const int frames = chunk * chunks, prefix = chunk * prefix_chunks;
                        const auto r = rows(frames, ar_step, prefix, chunk, steps);
                        std::vector<int> taken(frames, 0);
                        bool order = true, whole = true;
                        for (const MatrixRow& row : r) {
                            CHECK_EQ(row.begin, 0);
                            CHECK_EQ(row.end, frames);
                            for (int f = 0; f < frames; f++) {
                                if (row.update[f]) order &= row.state[f] == ++taken[f];
                                whole &= row.state[f] == row.state[f / chunk * chunk];
                            }
                        }
                        CHECK(order);
                        CHECK(whole);
                        for (int f = 0; f < frames; f++) CHECK_EQ(taken[f], f < prefix ? 0 : steps);
                        const int open = chunks - prefix_chunks;
                        // a chunk that waits longer than the whole run of the one before starts right after
                        // it
                        CHECK_EQ(int(r.size()), open ? steps + std::min(ar_step, steps) * (open - 1) : 0);
                    }
}

TEST(timestep_matrix_drops_the_tail) {
    const auto r = rows(7, 1, 0, 3, 4);
    CHECK_EQ(r[0].timestep.size(), size_t(6));
    CHECK_EQ(r[0].end, 6);
}

TEST(timestep_matrix_rolls_over_a_longer_window) {
    const auto r = rows(12, 3, 0, 2, 6, 6);
    CHECK_EQ(r.front().begin, 0);
    CHECK_EQ(r.front().end, 6);
    CHECK_EQ(r.back().begin, 6);
    CHECK_EQ(r.back().end, 12);
    for (const MatrixRow& row : r) CHECK_EQ(row.end - row.begin, 6);
}

TEST(timestep_matrix_refuses_what_cannot_work) {
    CHECK_ERROR(rows(10, 2, 0, 1, 30, 5), MC_ERROR_SETTINGS, "take at least 6");
    CHECK_EQ(rows(10, 6, 0, 1, 30, 5).back().end, 10);
    CHECK_ERROR(rows(10, 5, 0, 5, 30, 3), MC_ERROR_SETTINGS, "base-num-frames");
    CHECK_ERROR(rows(10, 0, 0, 0, 30), MC_ERROR_SETTINGS, "causal-block-size");
    CHECK_ERROR(rows(10, -1, 0, 1, 30), MC_ERROR_SETTINGS, "ar-step");
    CHECK_ERROR(rows(10, 0, -1, 1, 30), MC_ERROR_SETTINGS, "given");
    CHECK_ERROR(rows(0, 0, 0, 1, 30, 1), MC_ERROR_SETTINGS, "window");
    CHECK(rows(3, 0, 0, 5, 30, 5).empty());
}

TEST(latent_frames_of_frames) {
    CHECK_EQ(latent_frames(1), 1);
    CHECK_EQ(latent_frames(4), 1);
    CHECK_EQ(latent_frames(5), 2);
    CHECK_EQ(latent_frames(97), 25);
}

TEST(plan_length_of_published_settings) {
    CHECK_EQ(plan_length(97, 97, 17, 5, PIXEL).windows.size(), size_t(1));
    CHECK_EQ(plan_length(97, 97, 17, 5, PIXEL).frames, 97);
    const Length length = plan_length(737, 97, 17, 5, PIXEL);
    CHECK_EQ(length.frames, 737);
    CHECK_EQ(length.windows.size(), size_t(9));
}

TEST(plan_length_of_one_window) {
    CHECK_EQ(plan_length(1, 97, 17, 1, PIXEL).frames, 1);
    CHECK_EQ(plan_length(1, 97, 17, 5, PIXEL).frames, 17);
    CHECK_EQ(plan_length(2, 97, 17, 1, PIXEL).frames, 5);
    CHECK_EQ(plan_length(5, 97, 17, 1, PIXEL).frames, 5);
    CHECK_EQ(plan_length(6, 97, 17, 1, PIXEL).frames, 9);
    CHECK_EQ(plan_length(90, 97, 17, 1, PIXEL).frames, 93);
    CHECK_EQ(plan_length(90, 97, 17, 5, PIXEL).frames, 97);
    // base and overlap do not matter while one window is enough
    CHECK_EQ(plan_length(13, 97, 0, 2, PIXEL).frames, 13);
    CHECK_EQ(plan_length(13, 97, 500, 2, PIXEL).frames, 13);
}

// Any number of frames gives a legal length: long enough, not a chunk longer than needed, made of whole
// chunks, with something new in every window.
TEST(plan_length_of_any_number_of_frames) {
    struct Setting {
        int base, overlap, chunk;
    };
    for (const Setting& s : {Setting{97, 17, 5},
                             {97, 17, 1},
                             {17, 9, 1},
                             {21, 5, 2},
                             {33, 9, 3},
                             {33, 21, 3},
                             {97, 18, 5},
                             {17, 4, 1},
                             {5, 1, 1},
                             {5, 4, 1},
                             {100, 20, 5},
                             {12, 2, 1}})
        for (int frames = 1; frames <= 700; frames++)
            for (auto joined_by : {PIXEL, LATENT}) {
                const Length length = plan_length(frames, s.base, s.overlap, s.chunk, joined_by);
                const int base = latent_frames(s.base), overlap = latent_frames(s.overlap);
                // Pixels taken over are dropped one by one, latents with all the frames they stand for.
                const auto produced = [&](const auto& windows) {
                    int sum = 0;
                    for (size_t i = 0; i < windows.size(); i++)
                        sum += i == 0               ? 4 * windows[i] - 3
                               : joined_by == PIXEL ? 4 * windows[i] - 3 - s.overlap
                                                    : 4 * (windows[i] - overlap);
                    return sum;
                };
                CHECK(length.frames >= frames);
                int latents = 0;
                for (size_t i = 0; i < length.windows.size(); i++) {
                    const int window = length.windows[i];
                    CHECK_EQ(window % s.chunk, 0);
                    CHECK(window <= base);
                    CHECK(i == 0 || window > overlap);
                    latents += window - (i ? overlap : 0);
                }
                CHECK_EQ(produced(length.windows), length.frames);
                CHECK_EQ(latents, length.latent_frames);
                if (length.latent_frames > s.chunk) // a chunk less is too short
                    CHECK(produced(window_lengths(length.latent_frames - s.chunk, base, overlap)) < frames);
            }
}

TEST(plan_length_refuses_what_cannot_work) {
    CHECK_ERROR(plan_length(0, 97, 17, 1, PIXEL), MC_ERROR_SETTINGS, "num-frames");
    CHECK_ERROR(plan_length(-5, 97, 17, 1, PIXEL), MC_ERROR_SETTINGS, "num-frames");
    CHECK_ERROR(plan_length(10, 97, 17, 0, PIXEL), MC_ERROR_SETTINGS, "causal-block-size");
    CHECK_ERROR(plan_length(10, 0, 17, 1, PIXEL), MC_ERROR_SETTINGS, "base-num-frames");
    CHECK_ERROR(plan_length(200, 97, 0, 1, PIXEL), MC_ERROR_SETTINGS, "overlap-history");
    CHECK_ERROR(plan_length(200, 97, 97, 1, PIXEL), MC_ERROR_SETTINGS, "overlap-history");
    CHECK_ERROR(plan_length(200, 97, 5, 5, PIXEL), MC_ERROR_SETTINGS, "take 17.");
    CHECK_ERROR(plan_length(200, 97, 17, 2, PIXEL), MC_ERROR_SETTINGS, "take 93 or 101");
    CHECK_ERROR(plan_length(97, 97, 17, 2, PIXEL), MC_ERROR_SETTINGS, "take 93 or 101");
    CHECK_ERROR(plan_length(30, 9, 5, 5, PIXEL), MC_ERROR_SETTINGS, "take 17.");
    CHECK_ERROR(plan_length(INT_MAX, 97, 17, 1, PIXEL), MC_ERROR_SETTINGS, "num-frames");
    CHECK_ERROR(plan_length(INT_MAX, INT_MAX, 17, 1000, PIXEL), MC_ERROR_SETTINGS, "num-frames");
    CHECK_ERROR(plan_length(1, 97, 17, INT_MAX, PIXEL), MC_ERROR_SETTINGS, "base-num-frames");
}

// Wherever a window is held back: each chunk takes all its steps, row by row; those before are not disturbed, and the
// next one begins when none is under way.
TEST(chunks_that_have_not_begun_wait_for_those_under_way) {
    using namespace mc::skyreels_v2;
    using Kind = mc::sampler::ChunkTurn::Kind;
    int held = 0;
    for (int ar_step : {1, 3, 4, 6, 9})
        for (int prefix : {0, 2})
            for (auto finished : {mc::FinishedChunks::FROZEN, mc::FinishedChunks::REFRESHED}) {
                const int steps = 6;
                WindowSettings s{10, prefix, 2, ar_step, false, 2, 0, mc::Attention::KV, finished};
                const WindowPlan plan = plan_window(s, time_grid(steps, 8));
                for (size_t row = 0; row < plan.rows.size(); row++) {
                    int begins = -1, under_way = 0;
                    for (const mc::sampler::ChunkTurn& t : plan.turns[row])
                        if (t.kind == Kind::STEP) t.step ? (void)under_way++ : (void)(begins = t.chunk);
                    if (begins < 0 || !under_way) continue;
                    const WindowPlan late = held_back(plan, row);
                    held++;
                    CHECK(late.rows.size() > plan.rows.size() && late.turns.size() == late.rows.size());
                    std::vector<int> taken(5, 0), refreshed(5, 0);
                    std::vector<size_t> last(5, 0);
                    for (size_t r = 0; r < late.rows.size(); r++) {
                        CHECK(std::any_of(late.rows[r].update.begin(), late.rows[r].update.end(),
                                          [](bool u) { return u; }));
                        int others = 0, starts = -1;
                        for (const mc::sampler::ChunkTurn& t : late.turns[r]) {
                            if (t.kind == Kind::REFRESH) refreshed[size_t(t.chunk)]++;
                            if (t.kind != Kind::STEP) continue;
                            CHECK_EQ(t.step, taken[size_t(t.chunk)]++);
                            CHECK(!t.step || last[size_t(t.chunk)] == r - 1);
                            CHECK_EQ(late.rows[r].state[size_t(2 * t.chunk)], t.step + 1);
                            CHECK_EQ(late.rows[r].timestep[size_t(2 * t.chunk)], late.grid.timesteps[size_t(t.step)]);
                            last[size_t(t.chunk)] = r;
                            t.step ? (void)others++ : (void)(starts = t.chunk);
                        }
                        if (starts == begins) CHECK(others == 0 && r > row);
                        if (starts > begins && ar_step < steps) CHECK(others > 0); // go together again
                        if (r >= row) continue;
                        CHECK(late.rows[r].state == plan.rows[r].state && late.turns[r].size() == plan.turns[r].size());
                    }
                    for (int c = 0; c < 5; c++) {
                        CHECK_EQ(taken[size_t(c)], c < prefix / 2 ? 0 : steps);
                        const bool again =
                            finished == mc::FinishedChunks::REFRESHED && c >= prefix / 2 && c < 4;
                        CHECK_EQ(refreshed[size_t(c)], int(again));
                    }
                }
            }
    CHECK(held > 20);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
