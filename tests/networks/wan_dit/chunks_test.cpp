// SPDX-License-Identifier: LGPL-2.1-or-later
// Chunk by chunk with kept keys and values: what equals a forward of the whole window, what a plan computes and what
// it leaves, and the fast forward against the plain one while caches reuse.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_dit/text_context.h"
#include "engine/networks/wan_dit/transformer.h"
#include "engine/processor.h"
#include "tests/check.h"

using namespace mc;
using cache::Action;
using cache::Plan;
using wan_dit::ChunkWork;
using wan_dit::TextContext;
using wan_dit::Transformer;
using wan_dit::Window;

static std::string demo;

namespace {

struct Model {
    std::unique_ptr<Transformer> t;
    std::shared_ptr<const TextContext> prompt, negative;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(3);
    std::vector<const TextContext*> text;

    explicit Model(Precision precision = Precision::FLOAT32) {
        model::TransformerConfig config;
        auto tensors = model::open_transformer(demo, config);
        t = std::make_unique<Transformer>(Weights(*tensors, at::kCPU), config, precision);
        prompt = t->text_context(at::randn({9, config.text_width}, generator));
        negative = t->text_context(at::randn({4, config.text_width}, generator));
        text = {prompt.get(), negative.get()};
    }
    at::Tensor latents(const Window::Shape& s) {
        return at::randn({16, s.frames, s.height, s.width}, generator);
    }
};

constexpr int CHUNKS = 3, CHUNK = 2, TOKENS = CHUNK * 4 * 6; // of a chunk
Window::Shape shape_of(Attention attention) {
    Window::Shape s{CHUNKS * CHUNK, 8, 12, CHUNK, attention, 24};
    s.branches = 2;
    s.chunks_at_once = CHUNKS;
    return s;
}
Window::Shape remembering(CacheReuse reuse = CacheReuse::REPEAT) {
    Window::Shape s = shape_of(Attention::KV);
    s.remembers = true;
    s.reuse = reuse;
    return s;
}

const std::vector<int64_t> staggered = {300, 300, 620, 620, 999, 999};

double relative(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).norm() / b.norm()).item<double>();
}

Plan some_tokens() { // two positions of three, in every frame
    Plan plan{Action::PARTIAL, {}};
    for (int t = 0; t < TOKENS; t++)
        if (t % 24 % 3) plan.tokens.push_back(t);
    return plan;
}

// All chunks of both branches, each with its plan.
std::vector<ChunkWork> both(const Plan* plan, bool remember = true, bool motion = false, double level = 0) {
    std::vector<ChunkWork> work;
    for (int b = 0; b < 2; b++)
        for (int c = 0; c < CHUNKS; c++) work.push_back({b, c, plan, remember, motion, true, level});
    return work;
}

} // namespace

// Kept keys and values change nothing while every chunk is computed: neither when all are computed at once nor when
// the first ones were computed before.
TEST(chunks_equal_the_causal_window) {
    c10::InferenceMode guard;
    Model m;
    Window whole(*m.t, shape_of(Attention::CAUSAL)), chunks(*m.t, shape_of(Attention::KV));
    at::Tensor x = m.latents(shape_of(Attention::KV));
    at::Tensor expected = whole.forward(x, staggered, *m.prompt).clone();
    CHECK(at::equal(chunks.forward(x, staggered, *m.prompt), expected));
    at::Tensor other = x.clone();
    other.narrow(1, 0, 4).fill_(7); // of chunks that are not in the work: never read
    const ChunkWork last{0, 2};
    chunks.forward(other, staggered, m.text, {&last, 1});
    CHECK(at::equal(chunks.velocity(0).narrow(1, 4, 2), expected.narrow(1, 4, 2)));
}

TEST(branches_do_not_mix) {
    c10::InferenceMode guard;
    Model m;
    Window together(*m.t, shape_of(Attention::KV)), apart(*m.t, shape_of(Attention::KV));
    at::Tensor x = m.latents(shape_of(Attention::KV));
    together.forward(x, staggered, m.text, both(nullptr, false));
    at::Tensor a = apart.forward(x, staggered, *m.prompt).clone();
    CHECK(at::equal(together.velocity(0), a));
    CHECK(at::equal(together.velocity(1), apart.forward(x, staggered, *m.negative)));
    CHECK(!at::equal(together.velocity(0), together.velocity(1)));
}

// With the same input a partial computation finds the keys and values of the others as it would have made them.
TEST(some_tokens_alone_equal_all) {
    c10::InferenceMode guard;
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
        Model m(precision);
        Window window(*m.t, remembering());
        at::Tensor x = m.latents(remembering());
        window.forward(x, staggered, m.text, both(nullptr));
        at::Tensor all = window.velocity(0).clone();
        const Plan plan = some_tokens();
        window.forward(x, staggered, m.text, both(&plan));
        // The reused ones are input + (output - input): not the same bits.
        const double limit = precision == Precision::FLOAT32 ? 1e-5 : 0.02;
        CHECK_NEAR(relative(window.velocity(0), all), 0, limit);
    }
}

TEST(a_plan_leaves_the_keys_of_others) {
    c10::InferenceMode guard;
    Model m;
    Window window(*m.t, remembering());
    at::Tensor x = m.latents(remembering());
    window.forward(x, staggered, m.text, both(nullptr));
    auto before = window.keys_values(1, 5);
    const Plan plan = some_tokens(), reuse{Action::REUSED, {}};
    window.forward(x * 2, staggered, m.text, both(&plan));
    const auto picked = window.keys_values(1, 5);
    CHECK(at::equal(picked.first[TOKENS + 3], before.first[TOKENS + 3]));
    CHECK(at::equal(picked.second[TOKENS + 3], before.second[TOKENS + 3]));
    CHECK(!at::equal(picked.first[TOKENS + 4], before.first[TOKENS + 4]));
    window.forward(x * 3, staggered, m.text, both(&reuse));
    CHECK(at::equal(window.keys_values(1, 5).first, picked.first));
}

// A history of rows with every kind of plan, repeated and extrapolated, motion included.
static void fast_equals_plain(Precision precision, CacheReuse reuse, double limit) {
    c10::InferenceMode guard;
    Model m(precision);
    Window fast(*m.t, remembering(reuse)), plain(*m.t, remembering(reuse));
    plain.use_plain(true);
    at::Tensor x = m.latents(remembering());
    const Plan some = some_tokens(), none{Action::REUSED, {}};
    const std::vector<const Plan*> history = {nullptr, nullptr, &some, &none, &some, &none, nullptr, &none};
    for (size_t row = 0; row < history.size(); row++) {
        x = x * 0.97 + 0.1;
        std::vector<int64_t> timesteps = staggered;
        for (int64_t& t : timesteps) t -= 20 * int64_t(row);
        const auto work = both(history[row], true, row > 0, 0.9 - 0.05 * row);
        fast.forward(x, timesteps, m.text, work);
        plain.forward(x, timesteps, m.text, work);
        for (int b = 0; b < 2; b++) CHECK_NEAR(relative(fast.velocity(b), plain.velocity(b)), 0, limit);
        for (size_t i = 0; i < work.size() && row > 0; i++) {
            CHECK_EQ(fast.change(i).has_previous, work[i].chunk > 0);
            CHECK_EQ(plain.change(i).has_previous, work[i].chunk > 0);
            const size_t first = work[i].chunk > 0 ? 0 : 24;
            at::Tensor a = at::tensor(fast.change(i).tokens).slice(0, first),
                       b = at::tensor(plain.change(i).tokens).slice(0, first);
            CHECK_NEAR(relative(a, b), 0, limit);
        }
    }
    // The fast one shares the patch embeddings of both branches.
    CHECK(fast.flop() <= plain.flop());
    CHECK_NEAR(double(fast.flop()) / double(plain.flop()), 1, 0.005);
}

TEST(fast_equals_plain_float32) {
    fast_equals_plain(Precision::FLOAT32, CacheReuse::REPEAT, 1e-5);
}
TEST(fast_equals_plain_float32_taylor) {
    fast_equals_plain(Precision::FLOAT32, CacheReuse::TAYLOR, 1e-5);
}
TEST(fast_equals_plain_bfloat16) {
    fast_equals_plain(Precision::BFLOAT16, CacheReuse::REPEAT, 0.03);
}

// Where the residual changes linearly with sigma, extrapolating is exact and repeating is not.
TEST(taylor_follows_a_line) {
    c10::InferenceMode guard;
    Model m;
    Window line(*m.t, remembering(CacheReuse::TAYLOR)), same(*m.t, remembering());
    at::Tensor a = m.latents(remembering()), b = a + 0.01 * m.latents(remembering());
    const Plan none{Action::REUSED, {}};
    auto residual_at = [&](double level) { // of a true computation between the two
        Window window(*m.t, remembering());
        window.forward(a + (b - a) * level, staggered, m.text, both(nullptr));
        return window.velocity(0).clone();
    };
    for (Window* w : {&line, &same}) {
        w->forward(a, staggered, m.text, both(nullptr, true, false, 0));
        w->forward(b, staggered, m.text, both(nullptr, true, false, 1));
        w->forward(a + (b - a) * 1.5, staggered, m.text, both(&none, true, false, 1.5));
    }
    const at::Tensor truth = residual_at(1.5);
    CHECK(relative(line.velocity(0), truth) < 0.5 * relative(same.velocity(0), truth));
    // Forgotten with the window: the next computation has no slope.
    line.forget();
    line.forward(b, staggered, m.text, both(nullptr, true, false, 1));
    line.forward(b, staggered, m.text, both(&none, true, false, 0.2));
    same.forward(b, staggered, m.text, both(nullptr, true, false, 1));
    same.forward(b, staggered, m.text, both(&none, true, false, 0.2));
    CHECK(at::equal(line.velocity(0), same.velocity(0)));
}

// FLOP are those of the tokens that are computed.
TEST(flop_follows_the_plan) {
    c10::InferenceMode guard;
    Model m;
    Window window(*m.t, remembering());
    at::Tensor x = m.latents(remembering());
    auto flop_of = [&](const Plan* plan) {
        const int64_t before = window.flop();
        window.forward(x, staggered, m.text, both(plan));
        return window.flop() - before;
    };
    flop_of(nullptr); // time embeddings too
    const Plan some = some_tokens(), none{Action::REUSED, {}};
    const int64_t all = flop_of(nullptr), two_thirds = flop_of(&some), least = flop_of(&none);
    CHECK_NEAR(double(two_thirds - least) / double(all - least), 2. / 3, 1e-9);
    CHECK(least < all / 20);
}

TEST(same_bytes_whatever_the_threads) {
    c10::InferenceMode guard;
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
        Model m(precision);
        at::Tensor x = m.latents(remembering());
        const Plan plan = some_tokens();
        std::vector<at::Tensor> results;
        for (int threads : {1, 2, 3}) {
            set_thread_count(threads);
            Window window(*m.t, remembering());
            window.forward(x, staggered, m.text, both(nullptr));
            window.forward(x * 0.9, staggered, m.text, both(&plan));
            results.push_back(window.velocity(1).clone());
        }
        CHECK(at::equal(results[0], results[1]));
        CHECK(at::equal(results[0], results[2]));
    }
}

TEST(work_that_does_not_fit_is_refused) {
    c10::InferenceMode guard;
    Model m;
    Window kv(*m.t, shape_of(Attention::KV)), causal(*m.t, shape_of(Attention::CAUSAL));
    at::Tensor x = m.latents(shape_of(Attention::KV));
    const Plan none{Action::REUSED, {}};
    const ChunkWork beyond{0, CHUNKS}, unremembered{0, 0, &none, false}, second{0, 1};
    CHECK_ERROR(kv.forward(x, staggered, m.text, {&beyond, 1}), MC_ERROR_INTERNAL, "");
    CHECK_ERROR(kv.forward(x, staggered, m.text, {&unremembered, 1}), MC_ERROR_INTERNAL, "");
    CHECK_ERROR(causal.forward(x, staggered, m.text, {&second, 1}), MC_ERROR_INTERNAL, "");
}

int main(int argc, char** argv) {
    demo = std::string(argv[1]) + "/models/demo/transformer";
    return mc::test::run_tests(argc - 1, argv + 1);
}
