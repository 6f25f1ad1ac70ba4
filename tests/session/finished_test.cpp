// SPDX-License-Identifier: LGPL-2.1-or-later
// What chunks see of those before them that are finished: with refreshed ones the kept keys and values give
// the video that computing everything in every row gives, with frozen ones another.
#include "engine/families/skyreels_v2/inputs.h"
#include "tests/session/demo.h"

using namespace mc;
using namespace mc::session;
using test::demo;
using test::small;

namespace {

struct Run {
    std::vector<at::Tensor> rows; // the latents behind every row of every window
    at::Tensor video;
    Stats stats;
};

Run run(const std::shared_ptr<const Family>& model, Request r) {
    Run result;
    r.cache.kind = CacheKind::NONE;
    r.trace = [&](const std::string& name, const at::Tensor& value) {
        if (name == "steps.latents") result.rows.push_back(value.clone());
    };
    Session s(model, r);
    std::vector<at::Tensor> parts;
    while (auto frames = s.next()) parts.push_back(frames->pixels);
    result.video = at::cat(parts, 1);
    result.stats = s.stats();
    return result;
}
Run causal(const std::shared_ptr<const Family>& model, Request r) {
    r.attention = Attention::CAUSAL;
    return run(model, r);
}
Run kept(const std::shared_ptr<const Family>& model, Request r, FinishedChunks finished) {
    r.attention = Attention::KV;
    r.finished_chunks = finished;
    return run(model, r);
}

double relative(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).norm() / b.norm()).item<double>();
}

// Of any row.
double farthest(const Run& a, const Run& b) {
    CHECK_EQ(a.rows.size(), b.rows.size());
    double most = 0;
    for (size_t i = 0; i < std::min(a.rows.size(), b.rows.size()); i++)
        most = std::max(most, relative(a.rows[i], b.rows[i]));
    return most;
}

// Four chunks that begin two rows after each other, so that the first are finished while the last are
// sampled.
Request staggered() {
    Request r = small();
    r.num_frames = 45;
    r.steps = 4;
    r.ar_step = 2;
    return r;
}
// Two windows with three chunks and more each, of which the second takes over `overlap` frames.
Request windows(int overlap) {
    Request r = staggered();
    r.base_num_frames = 45;
    r.num_frames = 69;
    r.overlap_history = overlap;
    r.addnoise_condition = 0;
    return r;
}

} // namespace

TEST(refreshed_chunks_equal_causal_recomputation) {
    auto m = demo();
    const Run everything = causal(m, staggered()),
              refreshed = kept(m, staggered(), FinishedChunks::REFRESHED);
    const double far = farthest(refreshed, everything);
    std::printf("     latents, relative: %.2g\n", far);
    CHECK(far < 1e-5);
    CHECK_NEAR(relative(refreshed.video, everything.video), 0, 1e-4);
    CHECK_EQ(refreshed.stats.count.extra, 2 * 3); // no chunk comes after the last one
    CHECK(refreshed.stats.flop_transformer < everything.stats.flop_transformer * 3 / 4);
}

TEST(frozen_chunks_give_another_video) {
    auto m = demo();
    const Run everything = causal(m, staggered()), frozen = kept(m, staggered(), FinishedChunks::FROZEN);
    std::printf("     latents, relative: %.2g\n", farthest(frozen, everything));
    CHECK(farthest(frozen, everything) > 1e-3);
    CHECK_EQ(frozen.stats.count.extra, 0);
    // Nothing is finished while the first two chunks are sampled, and the first attends to no other.
    const size_t both = 4;
    for (size_t i = 0; i < both; i++) CHECK(relative(frozen.rows[i], everything.rows[i]) < 1e-5);
    CHECK(relative(frozen.rows.back().narrow(1, 0, 3), everything.rows.back().narrow(1, 0, 3)) < 1e-5);
    // With all chunks in step there are no finished ones.
    Request r = staggered();
    r.ar_step = 0;
    CHECK(farthest(kept(m, r, FinishedChunks::FROZEN), causal(m, r)) < 1e-5);
}

// A prefix is finished from the start: one pass without noise is as good as one in every row.
TEST(refreshed_windows_equal_causal_recomputation) {
    auto m = demo();
    for (int overlap : {9, 21}) // one chunk, two
        for (auto joint : {LongVideo::LATENT, LongVideo::PIXEL}) {
            Request r = windows(overlap);
            r.long_video = joint;
            // The reference passes the second prefix chunk in each row: the same without noise.
            r.reference_windows = overlap == 21 && joint == LongVideo::LATENT;
            const Run everything = causal(m, r);
            CHECK(farthest(kept(m, r, FinishedChunks::REFRESHED), everything) < 1e-4);
            if (overlap == 9) CHECK(farthest(kept(m, r, FinishedChunks::FROZEN), everything) > 1e-3);
        }
}

// With noise on the prefix they differ: recomputed it is noised anew in every row, kept it has the first
// row's.
TEST(a_noised_prefix_is_kept_as_it_was_first) {
    auto m = demo();
    Request r = windows(9);
    r.long_video = LongVideo::LATENT;
    r.addnoise_condition = 200;
    const Run everything = causal(m, r), refreshed = kept(m, r, FinishedChunks::REFRESHED);
    CHECK(farthest(refreshed, everything) > 1e-4);
    // The same noise in every row makes them equal again.
    auto inputs = std::make_shared<skyreels_v2::Inputs>();
    inputs->prefix_noise = [](int window, int, at::IntArrayRef shape) {
        at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(window);
        return at::randn(shape, generator);
    };
    r.family_inputs = inputs;
    CHECK(farthest(kept(m, r, FinishedChunks::REFRESHED), causal(m, r)) < 1e-4);
}

int main(int argc, char** argv) {
    test::root = argv[1];
    return test::run_tests(argc - 1, argv + 1);
}
