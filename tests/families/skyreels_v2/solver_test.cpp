// SPDX-License-Identifier: LGPL-2.1-or-later
// The solver token by token: with every token computed it is the solver of the golden cases; where tokens are reused it
// follows the same path in longer steps.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>

#include "engine/families/skyreels_v2/solver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::skyreels_v2;

namespace {

constexpr int chunk_frames = 2, chunks = 2, frames = chunk_frames * chunks, rows = 2, columns = 3;
constexpr int tokens = chunk_frames * rows * columns; // of a chunk; a token is 2 x 2 latents

WindowPlan plan_of(int steps, int ar_step = 0) {
    return plan_window({frames, 0, chunk_frames, ar_step, false, 4.0, 0, Attention::KV},
                       skyreels_v2::time_grid(steps, 3.0));
}

at::Tensor random_latents(uint64_t seed) {
    return at::randn({3, frames, 2 * rows, 2 * columns}, at::make_generator<at::CPUGeneratorImpl>(seed));
}

using Choose = std::function<cache::Plan(int chunk, int step)>;
using Velocity = std::function<at::Tensor(const at::Tensor& x, double sigma)>; // of one chunk

cache::Plan all(int, int) {
    return {};
}

// Runs the window; where a token is not computed its velocity is no number.
at::Tensor run(const WindowPlan& plan, const Choose& choose, const Velocity& velocity_of) {
    TokenSolver solver(plan, random_latents(1), rows, columns);
    for (size_t row = 0; row < plan.rows.size(); row++) {
        at::Tensor velocity = at::full_like(solver.latents(), NAN);
        std::vector<cache::Plan> plans;
        for (const sampler::ChunkTurn& turn : plan.turns[row]) {
            const cache::Plan plan_here = choose(turn.chunk, turn.step);
            const auto of_chunk = [&](const at::Tensor& t) {
                return t.narrow(1, turn.chunk * chunk_frames, chunk_frames);
            };
            const at::Tensor v = velocity_of(of_chunk(solver.latents()), turn.sigma);
            at::Tensor mask = at::full({tokens}, plan_here.action == cache::Action::WHOLE, at::kBool);
            for (int32_t t : plan_here.tokens) mask[t].fill_(true);
            mask = mask.view({chunk_frames, rows, columns}).repeat_interleave(2, 1).repeat_interleave(2, 2);
            of_chunk(velocity).copy_(at::where(mask, v, at::full_like(v, NAN)));
            plans.push_back(plan_here);
        }
        solver.step(plan.rows[row], velocity, plan.turns[row], plans);
    }
    return solver.latents();
}

// What a cache without this solver does: it tells the solver the velocity that was last computed.
at::Tensor run_repeating(const WindowPlan& plan, const Choose& choose, const Velocity& velocity_of) {
    Solver solver(plan, random_latents(1));
    at::Tensor velocity = at::zeros_like(solver.latents());
    for (size_t row = 0; row < plan.rows.size(); row++) {
        for (const sampler::ChunkTurn& turn : plan.turns[row]) {
            const int begin = turn.chunk * chunk_frames;
            if (choose(turn.chunk, turn.step).action == cache::Action::WHOLE)
                velocity.narrow(1, begin, chunk_frames)
                    .copy_(velocity_of(solver.latents().narrow(1, begin, chunk_frames), turn.sigma));
        }
        solver.step(plan.rows[row], velocity, plan.turns[row], {});
    }
    return solver.latents();
}

double most(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
}

// The velocity of a picture that has the normal distribution of mean 0.3 and width `width`, a pixel: smooth and bent.
Velocity normal_picture(double width) {
    return [width](const at::Tensor& x, double sigma) {
        const double clean = 1 - sigma, variance = clean * clean * width * width + sigma * sigma;
        const at::Tensor x0 = 0.3 + (clean * width * width / variance) * (x - clean * 0.3);
        return (x - x0) / sigma;
    };
}

} // namespace

TEST(all_tokens_computed_is_the_plain_solver) {
    for (int steps : {1, 2, 3, 12})
        for (int ar_step : {0, 1, 2}) {
            const WindowPlan plan = plan_of(steps, ar_step);
            const at::Tensor video = run(plan, all, normal_picture(0.5));
            CHECK(at::isfinite(video).all().item<bool>());
            CHECK_NEAR(most(video, run_repeating(plan, all, normal_picture(0.5))), 0, 2e-5);
        }
}

// noise - picture at every step: exact however few steps are computed, and whichever.
TEST(a_straight_path_needs_no_token_twice) {
    const WindowPlan plan = plan_of(20, 3);
    const at::Tensor noise = random_latents(1), picture = random_latents(2);
    const at::Tensor line = (noise - picture).narrow(1, 0, chunk_frames);
    const auto straight = [&](const at::Tensor&, double) { return line; };
    // Both chunks follow chunk 0's line from their own noise: what is checked is the distance that they go.
    const auto some = [&](int chunk, int step) -> cache::Plan {
        if (step == 0) return {};
        cache::Plan plan_here{cache::Action::PARTIAL, {}};
        for (int32_t t = 0; t < tokens; t++)
            if ((t * 7 + step * 5 + chunk * 3) % 4 == 0) plan_here.tokens.push_back(t);
        return step % 3 ? cache::Plan{cache::Action::REUSED, {}} : plan_here;
    };
    const at::Tensor video = run(plan, some, straight);
    const double sigma = double(plan.grid.sigmas[0]);
    for (int c = 0; c < chunks; c++)
        CHECK_NEAR(most(video.narrow(1, c * chunk_frames, chunk_frames),
                        noise.narrow(1, c * chunk_frames, chunk_frames) - sigma * line),
                   0, 2e-5);
}

// Against the path with every step computed: steps of the solver's own order are much closer than repeated velocities.
TEST(reused_steps_follow_the_path) {
    const WindowPlan plan = plan_of(50, 5);
    const auto path = run(plan, all, normal_picture(0.4));
    for (int every : {3, 6}) {
        const auto sometimes = [&](int, int step) {
            return step < 3 || step % every == 0 ? cache::Plan{} : cache::Plan{cache::Action::REUSED, {}};
        };
        const double longer = most(run(plan, sometimes, normal_picture(0.4)), path);
        const double repeated = most(run_repeating(plan, sometimes, normal_picture(0.4)), path);
        CHECK(longer > 0);
        if (!(longer < repeated / 2))
            test::fail(__FILE__, __LINE__, std::to_string(longer) + " against " + std::to_string(repeated));
    }
}

// Tokens do not mix: each goes the way that it goes when all others are computed.
TEST(tokens_have_histories_of_their_own) {
    const WindowPlan plan = plan_of(16);
    const auto whole = run(plan, all, normal_picture(0.4));
    const auto half = run(
        plan,
        [](int, int step) {
            cache::Plan plan_here{cache::Action::PARTIAL, {}};
            for (int32_t t = 0; t < tokens; t += 2) plan_here.tokens.push_back(t);
            return step % 4 ? plan_here : cache::Plan{};
        },
        normal_picture(0.4));
    const auto sometimes = run(
        plan,
        [](int, int step) {
            return step % 4 ? cache::Plan{cache::Action::REUSED, {}} : cache::Plan{};
        },
        normal_picture(0.4));
    for (int f = 0; f < frames; f++)
        for (int t = 0; t < rows * columns; t++) {
            const auto of = [&](const at::Tensor& video) {
                return video.select(1, f).narrow(1, 2 * (t / columns), 2).narrow(2, 2 * (t % columns), 2);
            };
            CHECK_NEAR(most(of(half), of((f % chunk_frames * rows * columns + t) % 2 ? sometimes : whole)), 0,
                       1e-6);
        }
}

int main(int argc, char** argv) {
    c10::InferenceMode guard;
    return mc::test::run_tests(argc, argv);
}
