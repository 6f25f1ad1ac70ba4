// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's transformer where no recorded case looks: the fast forward against the plain one in every precision and with
// weights of eight bits, one by one against side by side, plans, pages that are taken again, and files that are wrong.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <cmath>

#include "engine/networks/magi_dit/passes.h"
#include "engine/processor.h"
#include "tests/check.h"
#include "tests/networks/magi_dit/random_network.h"

using namespace mc;
using magi_dit::KeyStore;
using magi_dit::Network;
using magi_dit::Passes;
using magi_dit::Text;
using magi_dit::Work;

namespace {

constexpr Passes::Shape SHAPE{6, 8, 12, 4};
constexpr int TOKENS = 6 * 4 * 6;

struct Model {
    test::TemporaryFolder folder;
    model::MagiDitConfig config;
    std::unique_ptr<Network> network;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(3);
    std::shared_ptr<const Text> caption, token, nothing;

    Model(bool large, bool fp8 = false, Precision precision = Precision::FLOAT32,
          std::optional<kernels::Store> store = {})
        : config(test::small_magi_dit(large, fp8)) {
        // In two shards, as the larger one is published.
        std::vector<test::StoredTensor> all = test::random_tensors(config);
        const auto half = all.begin() + static_cast<long>(all.size() / 2);
        test::write_safetensors(folder / "model-00001-of-00002.safetensors", {all.begin(), half});
        test::write_safetensors(folder / "model-00002-of-00002.safetensors", {half, all.end()});
        const auto tensors = model::open_magi_dit(folder.path, config);
        network = std::make_unique<Network>(Weights(*tensors, at::kCPU), config, precision, store);
        caption = network->text(random({7, config.text_width}));
        token = network->text(random({1, config.text_width}));
        nothing = network->text(random({0, config.text_width}));
    }
    at::Tensor random(at::IntArrayRef shape) { return at::randn(shape, generator); }
    at::Tensor latents() { return random({config.latent_channels(), 6, SHAPE.height, SHAPE.width}); }
};

cache::Plan some_tokens() { // two of three
    cache::Plan plan{cache::Action::PARTIAL, {}};
    for (int t = 0; t < TOKENS; t++)
        if (t % 3) plan.tokens.push_back(t);
    return plan;
}
const cache::Plan SOME = some_tokens();

// A history chunk; then, side by side, two chunks of a window, of which one computes some tokens, a copy that sees
// itself, and a chunk without text.
struct Everything {
    std::vector<at::Tensor> history, old, latents;
    explicit Everything(Model& m) {
        for (int64_t i = 0; i < m.config.layers; i++) {
            history.push_back(m.random({TOKENS, m.config.groups, 2 * m.config.head()}));
            old.push_back(m.random({TOKENS, m.config.groups, 2 * m.config.head()}));
        }
        for (int i = 0; i < 3; i++) latents.push_back(m.latents());
    }
    struct Result {
        std::vector<at::Tensor> velocities, keys;
        at::Tensor queries;
    };
    Result run(const Model& m, bool plain) const {
        Passes passes(*m.network, SHAPE, plain);
        KeyStore keys = passes.key_store();
        const int before = keys.take(), first = keys.take(), second = keys.take(),
                  copy = keys.take(KeyStore::Lasting::FORWARD), alone = keys.take(KeyStore::Lasting::FORWARD);
        for (size_t i = 0; i < history.size(); i++) {
            keys.write(int64_t(i), before, history[i]);
            keys.write(int64_t(i), first, old[i]);
        }
        Result result;
        std::vector<Work> work(4);
        work[0] = {latents[0],      0.7f,  4,    false, {m.caption.get(), m.token.get()}, 1,
                   {before, first}, first, &SOME};
        work[1] = {latents[1], 0.2f, 4, false, {m.token.get()}, 2, {before, first, second}, second};
        work[2] = {latents[0], 0.7f, 4, false, {m.caption.get()}, 3, {copy}, copy};
        work[3] = {latents[2], 0.f, 4, true, {m.nothing.get()}, 0, {alone}, alone};
        for (Work& w : work) w.velocity = at::full(w.x.sizes(), std::nanf(""));
        work[1].queries = &result.queries;
        passes.forward(work, keys);
        for (const Work& w : work) result.velocities.push_back(w.velocity);
        for (int page : {first, second})
            for (int64_t i = 0; i < m.config.layers; i++) result.keys.push_back(keys.read(i, page));
        return result;
    }
};

double relative(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).norm() / b.norm()).item<double>();
}

void fast_is_plain(bool large, bool fp8, Precision precision, std::optional<kernels::Store> store,
                   double allowed) {
    Model m(large, fp8, precision, store);
    const Everything everything(m);
    const auto fast = everything.run(m, false), plain = everything.run(m, true);
    const auto near = [&](const at::Tensor& a, const at::Tensor& b) {
        const double off = relative(a, b); // NaN where anything is none
        if (!(off <= allowed))
            std::fprintf(stderr, "  off by %g, large %d, eight bits %d\n", off, large, fp8);
        CHECK(off <= allowed);
    };
    for (size_t i = 0; i < fast.velocities.size(); i++) near(fast.velocities[i], plain.velocities[i]);
    for (size_t i = 0; i < fast.keys.size(); i++) near(fast.keys[i], plain.keys[i]);
    CHECK(fast.queries.sizes() ==
          at::IntArrayRef({m.config.layers, TOKENS, m.config.heads, m.config.head()}));
    near(fast.queries, plain.queries);
}

} // namespace

TEST(fast_forward_is_the_plain_one) {
    for (bool large : {false, true}) {
        // Where a rounding to eight bits goes the other way, by a sixteenth, it is seen.
        fast_is_plain(large, false, Precision::FLOAT32, {}, 1e-5);
        fast_is_plain(large, true, Precision::FLOAT32, {}, 0.02);
        for (kernels::Store store : {kernels::Store::BF16, kernels::Store::F32_AS_BF16}) {
            fast_is_plain(large, false, Precision::BFLOAT16, store, 0.02);
            fast_is_plain(large, true, Precision::BFLOAT16, store, 0.04);
        }
    }
}

TEST(threads_change_no_bit) {
    Model m(true);
    const Everything everything(m);
    const int before = thread_count();
    set_thread_count(1);
    const auto one = everything.run(m, false);
    set_thread_count(3);
    const auto three = everything.run(m, false);
    set_thread_count(before);
    for (size_t i = 0; i < one.velocities.size(); i++)
        CHECK(at::equal(one.velocities[i], three.velocities[i]));
}

// Chunk after chunk, each in a forward of its own, is what all of them side by side are.
TEST(one_by_one_is_side_by_side) {
    Model m(false);
    for (bool plain : {false, true}) {
        Passes passes(*m.network, SHAPE, plain);
        KeyStore keys = passes.key_store();
        std::vector<Work> work(3);
        for (int c = 0; c < 3; c++) {
            Work& w = work[size_t(c)];
            w = {m.latents(), 0.3f * float(c), 8, false, {m.caption.get()}, c, {}, keys.take()};
            for (int seen = 0; seen <= c; seen++) w.sees.push_back(work[size_t(seen)].page);
            w.velocity = at::empty_like(w.x);
        }
        passes.forward(work, keys);
        for (Work w : work) {
            const at::Tensor together = w.velocity;
            w.velocity = at::empty_like(w.x);
            passes.forward({&w, 1}, keys);
            CHECK(relative(w.velocity, together) < 1e-6);
        }
    }
}

TEST(plan_computes_its_tokens_alone) {
    Model m(true);
    for (bool plain : {false, true}) {
        Passes passes(*m.network, SHAPE, plain);
        KeyStore keys = passes.key_store();
        Work w{m.latents(), 0.4f, 4, false, {m.caption.get()}, 2, {}, keys.take()};
        w.sees = {w.page};
        w.velocity = at::empty_like(w.x);
        passes.forward({&w, 1}, keys);
        const at::Tensor whole = w.velocity.clone(), before = keys.read(1, w.page);
        const int64_t all = passes.flop();
        // Every token from the same latents, some of them again: what they see has not changed, so they get the same.
        w.plan = &SOME;
        passes.forward({&w, 1}, keys);
        const int64_t some = passes.flop() - all;
        const double share = double(SOME.tokens.size()) / TOKENS;
        CHECK(double(some) <= (share + 0.03) * double(all));
        const at::Tensor after = keys.read(1, w.page);
        const at::Tensor by_token =
                             w.velocity.unflatten(2, {4, 2}).unflatten(4, {6, 2}), // [C, f, h, 2, w, 2]
            whole_by_token = whole.unflatten(2, {4, 2}).unflatten(4, {6, 2});
        for (int t = 0; t < TOKENS; t++) {
            const auto at_token = [&](const at::Tensor& v) {
                return v.select(1, t / 24).select(1, t % 24 / 6).select(2, t % 6);
            };
            if (t % 3)
                CHECK(at::allclose(at_token(by_token), at_token(whole_by_token), 1e-4, 1e-5));
            else
                CHECK((at_token(by_token) == 0).all().item<bool>() && at::equal(after[t], before[t]));
        }
        // Nothing computed, nothing written.
        const cache::Plan none{cache::Action::REUSED, {}};
        w.plan = &none;
        passes.forward({&w, 1}, keys);
        CHECK((w.velocity == 0).all().item<bool>() && at::equal(keys.read(1, w.page), after));
    }
}

// A page that another chunk has had is as good as a new one.
TEST(pages_are_taken_again) {
    Model m(false);
    for (bool plain : {false, true}) {
        Passes passes(*m.network, SHAPE, plain);
        const at::Tensor other = m.latents(), x = m.latents();
        const auto velocity = [&](KeyStore& keys) {
            Work w{x, 0.5f, 4, false, {m.caption.get()}, 9, {}, keys.take()};
            w.sees = {w.page};
            w.velocity = at::empty_like(x);
            passes.forward({&w, 1}, keys);
            return w.velocity;
        };
        KeyStore used = passes.key_store(), fresh = passes.key_store();
        Work w{other, 0.1f, 4, false, {m.token.get()}, 0, {}, used.take()};
        w.sees = {w.page};
        passes.forward({&w, 1}, used);
        used.give_back(w.page);
        const int64_t bytes = used.bytes();
        CHECK(at::equal(velocity(used), velocity(fresh)));
        CHECK_EQ(used.bytes(), bytes);
        CHECK_EQ(used.held(), int64_t{1});
        CHECK_ERROR(used.give_back(7), MC_ERROR_INTERNAL, "");
    }
}

TEST(keys_kept_by_group) {
    Model m(true);
    for (bool plain : {false, true}) {
        Passes passes(*m.network, SHAPE, plain);
        KeyStore keys = passes.key_store();
        const int a = keys.take(), b = keys.take(), to = keys.take();
        const at::Tensor of_a = m.random({TOKENS, 2, 32}), of_b = m.random({TOKENS, 2, 32}),
                         of_to = m.random({TOKENS, 2, 32});
        keys.write(2, a, of_a), keys.write(2, b, of_b), keys.write(2, to, of_to);
        CHECK(at::equal(keys.read(2, a), of_a));
        const std::vector<KeyStore::Slot> from{{b, 100}, {a, 3}, {b, 0}, {a, TOKENS - 1}};
        keys.keep(2, 1, from, to);
        at::Tensor expected = of_to.clone();
        for (size_t i = 0; i < from.size(); i++)
            expected[int64_t(i)][1].copy_((from[i].page == a ? of_a : of_b)[from[i].token][1]);
        CHECK(at::equal(keys.read(2, to), expected));
        const std::vector<KeyStore::Slot> itself{{to, 0}};
        CHECK_ERROR(keys.keep(2, 1, itself, to), MC_ERROR_INTERNAL, "");
    }
}

TEST(work_that_cannot_be) {
    Model m(false);
    Passes passes(*m.network, SHAPE);
    KeyStore keys = passes.key_store();
    const Work good{m.latents(), 0.5f, 4, false, {m.caption.get()}, 0, {0}, keys.take()};
    passes.forward({&good, 1}, keys);
    const auto refused = [&](const std::function<void(Work&)>& change) {
        Work w = good;
        change(w);
        CHECK_ERROR(passes.forward({&w, 1}, keys), MC_ERROR_INTERNAL, "");
    };
    const cache::Plan beyond{cache::Action::PARTIAL, {TOKENS}}, twice{cache::Action::PARTIAL, {1, 1}};
    refused([](Work& w) { w.page = 5; });
    refused([](Work& w) { w.sees = {}; });
    refused([](Work& w) { w.step_size = 0; });
    refused([](Work& w) { w.x = w.x.narrow(1, 0, 5); });
    refused([&](Work& w) { w.plan = &beyond; });
    refused([&](Work& w) { w.plan = &twice; });
    const std::vector<Work> same{good, good};
    CHECK_ERROR(passes.forward(same, keys), MC_ERROR_INTERNAL, "");
}

namespace {

// The message of opening and loading what `change` makes of the files; empty: it went well.
std::string refusal(bool fp8,
                    const std::function<void(std::vector<test::StoredTensor>&, const std::string&)>& change) {
    test::TemporaryFolder folder;
    const model::MagiDitConfig config = test::small_magi_dit(false, fp8);
    std::vector<test::StoredTensor> tensors = test::random_tensors(config);
    change(tensors, folder.path);
    test::write_safetensors(folder / "model.safetensors", tensors);
    try {
        const auto opened = model::open_magi_dit(folder.path, config);
        Network(Weights(*opened, at::kCPU), config, Precision::FLOAT32);
        return {};
    } catch (const Error& error) {
        CHECK_EQ(int(error.status), int(MC_ERROR_READ));
        return error.what();
    }
}
test::StoredTensor& named(std::vector<test::StoredTensor>& tensors, const std::string& ending) {
    for (test::StoredTensor& t : tensors)
        if (t.name.ends_with(ending)) return t;
    throw std::runtime_error("no tensor " + ending);
}
bool says(const std::string& message, const std::string& part) {
    if (message.find(part) != std::string::npos) return true;
    std::fprintf(stderr, "  said: %s\n", message.c_str());
    return false;
}

} // namespace

TEST(files_that_are_wrong) {
    using Tensors = std::vector<test::StoredTensor>;
    CHECK_EQ(refusal(true, [](Tensors&, const std::string&) {}), std::string());
    CHECK(says(refusal(true,
                       [](Tensors& t, const std::string&) {
                           std::string& data = named(t, "layers.1.mlp.linear_fc2.smooth_scale").data;
                           std::fill_n(data.begin() + 8, 4, '\0');
                       }),
               "scale"));
    CHECK(says(refusal(true,
                       [](Tensors& t, const std::string&) {
                           named(t, "layers.1.self_attention.linear_qkv.q.input_scale").name += "_";
                       }),
               "layers.1.self_attention.linear_qkv.q.input_scale"));
    CHECK(says(refusal(true,
                       [](Tensors& t, const std::string&) {
                           named(t, "layers.1.mlp.linear_fc1.weight").data[3] = '\x7f';
                       }),
               "linear_fc1.weight"));
    CHECK(says(refusal(true,
                       [](Tensors& t, const std::string&) {
                           test::StoredTensor& w = named(t, "layers.1.mlp.linear_fc1.weight");
                           w.dtype = "U8";
                       }),
               "F8_E4M3"));
    CHECK(says(refusal(false,
                       [](Tensors&, const std::string& folder) {
                           test::write_file(folder + "/model-00002.safetensors.zst", "zstd");
                       }),
               "zstd -d"));
    CHECK(says(
        refusal(false,
                [](Tensors& t, const std::string&) {
                    t.push_back({"videodit_blocks.layers.self_attention.linear_qkv.weight", "F32", {1}, {}});
                }),
        "MAGI-1.1"));
    CHECK(says(refusal(false,
                       [](Tensors& t, const std::string&) {
                           named(t, "rope.bands").shape = {1, 2};
                       }),
               "rope.bands"));
}

int main(int argc, char** argv) {
    c10::InferenceMode guard;
    return test::run_tests(argc, argv);
}
