// SPDX-License-Identifier: LGPL-2.1-or-later
// The forward of devices against the plain one on the same device, with row kernels and without, through a history of
// everything that caches ask for; what it uploads and waits for; what it moves between products.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <thread>

#include "engine/device.h"
#include "engine/networks/linear.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_dit/text_context.h"
#include "engine/networks/wan_dit/transformer.h"
#include "tests/check.h"
#include "tests/fake/fake_device.h"

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
    std::shared_ptr<const TextContext> prompt, negative, other;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(3);
    std::vector<const TextContext*> text;

    at::Device device;

    explicit Model(Precision precision, bool in_bytes = false, at::Device on = fake::device(), int64_t streamed = 0)
        : device(on) {
        model::TransformerConfig config;
        auto tensors = model::open_transformer(demo, config);
        t = std::make_unique<Transformer>(Weights(*tensors, device), config, precision, std::nullopt,
                                          in_bytes, streamed);
        auto context = [&](int64_t n) {
            return t->text_context(at::randn({n, config.text_width}, generator));
        };
        prompt = context(9), negative = context(4), other = context(6);
        text = {prompt.get(), negative.get()};
    }
    at::Tensor latents(const Window::Shape& s) {
        return at::randn({16, s.frames, s.height, s.width}, generator).to(fake::device());
    }
};

constexpr int CHUNKS = 3, CHUNK = 2, FRAME = 4 * 6, TOKENS = CHUNK * FRAME; // of a chunk
Window::Shape shape_of(Attention attention, CacheReuse reuse = CacheReuse::REPEAT) {
    Window::Shape s{CHUNKS * CHUNK, 8, 12, CHUNK, attention, 24};
    s.branches = 2;
    s.chunks_at_once = CHUNKS;
    s.remembers = attention == Attention::KV;
    s.reuse = reuse;
    return s;
}

double relative(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).norm() / b.norm()).item<double>();
}

// Of another number for each chunk and branch: nothing is a batch.
Plan some_tokens(int of) {
    Plan plan{Action::PARTIAL, {}};
    for (int t = 0; t < TOKENS; t++)
        if ((t + of) % 24 % (3 + of % 2)) plan.tokens.push_back(t);
    return plan;
}

struct History {
    std::vector<Plan> plans;
    std::vector<std::vector<ChunkWork>> rows;
};
History history_of(const Model& m, CacheReuse reuse) {
    History h;
    h.plans.reserve(100);
    for (int row = 0; row < 8; row++) {
        auto& work = h.rows.emplace_back();
        for (int i = 0; i < 2 * CHUNKS; i++) {
            const int branch = row % 2 ? i / CHUNKS : i % 2, chunk = row % 2 ? i % CHUNKS : i / 2;
            ChunkWork w{branch, chunk, nullptr, true, row > 0, true, 0.9 - 0.05 * row};
            const int kind = row < 2 ? 0 : (row + i) % 4;
            if (kind == 1 || row == 3)
                h.plans.push_back(some_tokens(row == 3 ? 0 : i)), w.plan = &h.plans.back();
            if (kind == 2 || row == 5) h.plans.push_back({Action::REUSED, {}}), w.plan = &h.plans.back();
            if (kind == 3) w.output = false;
            if (row == 6 && chunk == 1) w.text = m.other.get();
            if (row == 7 && chunk == 0) continue; // finished
            work.push_back(w);
        }
    }
    return h;
}

// Three windows through the same rows: plain, with row kernels, in ATen.
void equals_plain(Precision precision, CacheReuse reuse, double limit) {
    c10::InferenceMode guard;
    Model m(precision);
    const Window::Shape shape = shape_of(Attention::KV, reuse);
    Window plain(*m.t, shape), kernels(*m.t, shape), aten(*m.t, shape);
    plain.use_plain(true);
    at::Tensor x = m.latents(shape);
    const History history = history_of(m, reuse);
    double worst = 0;
    auto near = [&](const at::Tensor& a, const at::Tensor& b) {
        CHECK(b.abs().max().item<double>() > 0.01);
        worst = std::max(worst, relative(a, b));
        CHECK_NEAR(relative(a, b), 0, limit);
    };
    for (size_t row = 0; row < history.rows.size(); row++) {
        x = x * 0.97 + 0.1;
        std::vector<int64_t> timesteps = {300, 300, 620, 620, 999, 999};
        for (int64_t& t : timesteps) t -= 20 * int64_t(row);
        const auto& work = history.rows[row];
        plain.forward(x, timesteps, m.text, work);
        for (Window* w : {&kernels, &aten}) {
            fake::use_kernels(w == &kernels);
            const int64_t uploads = fake::counts.uploads, waits = fake::counts.waits;
            w->prepare(timesteps);
            w->wait();
            const int64_t prepared = fake::counts.uploads;
            w->forward(x, timesteps, m.text, work);
            CHECK_EQ(fake::counts.uploads - prepared, 1);
            CHECK(prepared - uploads <= 1); // of timesteps that are new
            w->wait();
            CHECK_EQ(fake::counts.waits - waits, 1); // for motion, or by wait()
            for (size_t i = 0; i < work.size(); i++) {
                if (work[i].output) {
                    auto of = [&](const Window& from) {
                        return from.velocity(work[i].branch).narrow(1, work[i].chunk * CHUNK, CHUNK).cpu();
                    };
                    near(of(*w), of(plain));
                }
                if (!work[i].motion) continue;
                CHECK_EQ(w->change(i).has_previous, plain.change(i).has_previous);
                const int64_t first = plain.change(i).has_previous ? 0 : FRAME;
                near(at::tensor(w->change(i).tokens).slice(0, first),
                     at::tensor(plain.change(i).tokens).slice(0, first));
            }
            for (int b = 0; b < 2; b++) near(w->keys_values(b, 7).first, plain.keys_values(b, 7).first);
        }
        fake::use_kernels(true);
    }
    CHECK(kernels.flop() <= plain.flop());
    CHECK_NEAR(double(kernels.flop()) / double(plain.flop()), 1, 0.005);
    CHECK_EQ(kernels.flop(), aten.flop());
    std::printf("     %s: %.2g from the plain forward at most\n", name_of(precision), worst);
}

} // namespace

TEST(equals_plain_float32) {
    equals_plain(Precision::FLOAT32, CacheReuse::REPEAT, 1e-5);
}
TEST(equals_plain_float32_taylor) {
    equals_plain(Precision::FLOAT32, CacheReuse::TAYLOR, 1e-5);
}
// Rounded in fewer places than where Diffusers rounds.
TEST(equals_plain_bfloat16) {
    equals_plain(Precision::BFLOAT16, CacheReuse::REPEAT, 0.03);
}

TEST(whole_windows_equal_plain) {
    c10::InferenceMode guard;
    Model m(Precision::FLOAT32);
    for (Attention attention : {Attention::FULL, Attention::CAUSAL}) {
        const Window::Shape shape = shape_of(attention);
        Window plain(*m.t, shape), device(*m.t, shape);
        plain.use_plain(true);
        const at::Tensor x = m.latents(shape);
        const std::vector<ChunkWork> both = {{0, 0}, {1, 0}};
        for (Window* w : {&plain, &device}) w->forward(x, {300, 300, 620, 620, 999, 999}, m.text, both);
        for (int b = 0; b < 2; b++) CHECK_NEAR(relative(device.velocity(b), plain.velocity(b)), 0, 1e-5);
    }
}

// What eight bits cost: weights, keys and values, both; against float32, through rows that look at what was kept. The
// same from ATen's operators.
TEST(eight_bits) {
    c10::InferenceMode guard;
    const Window::Shape whole = shape_of(Attention::KV);
    Window::Shape bytes = whole;
    bytes.keys_in_bytes = true;
    const Model exact(Precision::FLOAT32), rounded(Precision::BFLOAT16), coded(Precision::BFLOAT16, true),
        on_cpu(Precision::FLOAT32, true, at::kCPU);
    CHECK(double(coded.t->bytes()) / double(rounded.t->bytes()) <
          0.75); // the demo model is small outside of its layers too
    CHECK(
        Window::bytes(coded.t->config(), Precision::BFLOAT16, fake::device(), bytes).keys_values <
        0.6 *
            double(Window::bytes(coded.t->config(), Precision::BFLOAT16, fake::device(), whole).keys_values));
    const struct {
        const char* name;
        const Model& model;
        const Window::Shape& shape;
        bool kernels;
    } ways[] = {{"float32", exact, whole, true},
                {"bfloat16", rounded, whole, true},
                {"weights in bytes", coded, whole, true},
                {"keys and values in bytes", rounded, bytes, true},
                {"both", coded, bytes, true},
                {"both, in ATen", coded, bytes, false},
                {"weights in bytes, else float32, on the CPU", on_cpu, whole, true}};
    at::Tensor want, both, as_bfloat16;
    double before = 0;
    for (const auto& way : ways) {
        fake::use_kernels(way.kernels);
        Window window(*way.model.t, way.shape);
        at::Tensor x = at::randn({16, whole.frames, whole.height, whole.width},
                                 at::make_generator<at::CPUGeneratorImpl>(5))
                           .to(way.model.device);
        const History history = history_of(way.model, CacheReuse::REPEAT);
        std::vector<at::Tensor> made;
        for (size_t row = 0; row < 4; row++) {
            x = x * 0.97 + 0.1;
            window.forward(x, {300, 300, 620, 620, 999, 999}, way.model.text, history.rows[row]);
            for (int b = 0; b < 2; b++) made.push_back(window.velocity(b).cpu().clone());
        }
        const at::Tensor all = at::stack(made);
        if (!want.defined()) want = all;
        const double off = relative(all, want);
        std::printf("     %s: %.4f from float32\n", way.name, off);
        CHECK(off < 0.1);
        CHECK((off == 0) == (&way.model == &exact));
        if (way.shape.keys_in_bytes) CHECK(off < 2 * before && !all.equal(as_bfloat16));
        if (&way.model == &coded) CHECK(off > before && off < 2 * before);
        if (&way.model == &rounded && !way.shape.keys_in_bytes) before = off, as_bfloat16 = all;
        if (std::string(way.name) == "both") both = all;
        if (!way.kernels) CHECK_NEAR(relative(all, both), 0, 0.03);
    }
    fake::use_kernels(true);
}

// Layers that the host keeps: not a bit of difference, through everything that caches ask for, in a session's stream as
// in the default one; the bytes of each layer go over once in a forward and the host does not wait for them.
TEST(streamed_layers_equal_resident) {
    c10::InferenceMode guard;
    const Window::Shape shape = shape_of(Attention::KV);
    const c10::impl::VirtualGuardImpl streams(fake::device().type());
    for (bool in_bytes : {false, true}) {
        const size_t at_first = fake::use().used;
        auto resident = std::make_unique<Model>(Precision::BFLOAT16, in_bytes);
        const auto all = int64_t(fake::use().used - at_first);
        const auto of_one = Transformer::layer_bytes(resident->t->config(), Precision::BFLOAT16, in_bytes);
        for (int64_t layers : {3, 5, 8}) {
            const size_t before = fake::use().used;
            const Model loaded(Precision::BFLOAT16, in_bytes, fake::device(), layers);
            Model moved(Precision::BFLOAT16, in_bytes);
            moved.t->stream(layers);
            moved.t->stream(1); // never fewer
            for (const Model* m : {&loaded, const_cast<const Model*>(&moved)}) {
                CHECK_EQ(m->t->streamed(), layers);
                CHECK_NEAR(double(m->t->streamed_bytes()), double(layers * of_one.total()), 0);
            }
            const auto held = int64_t(fake::use().used - before);
            CHECK(held <= 2 * (all - layers * of_one.total() * 98 / 100 + 2 * of_one.forward));

            const History history = history_of(*resident, CacheReuse::REPEAT);
            streams.synchronizeDevice(0);
            std::optional<c10::StreamGuard> own;
            if (layers == 5) own.emplace(streams.getStreamFromGlobalPool(fake::device()));
            at::Tensor x = resident->latents(shape);
            Window want(*resident->t, shape), got(*loaded.t, shape), also(*moved.t, shape);
            for (size_t row = 0; row < history.rows.size(); row++) {
                x = x * 0.97 + 0.1;
                const std::vector<int64_t> timesteps = {300, 300, 620, 620, 999, 999};
                auto run = [&](Window& w, const Model& m, const std::vector<ChunkWork>& work) {
                    const int64_t bytes = fake::counts.upload_bytes, waits = fake::counts.waits;
                    w.forward(x, timesteps, m.text, work);
                    w.wait();
                    if (row) CHECK_EQ(fake::counts.waits - waits, 1);
                    return fake::counts.upload_bytes - bytes;
                };
                const int64_t base = run(want, *resident, history.rows[row]);
                for (auto [w, m] : {std::pair(&got, &loaded), {&also, const_cast<const Model*>(&moved)}}) {
                    std::vector<ChunkWork> work = history.rows[row];
                    for (ChunkWork& item : work)
                        if (item.text) item.text = m->other.get();
                    const int64_t bytes = run(*w, *m, work) - base;
                    // Plans that reuse everything pass no layer. The first forward finds no buffer filled.
                    const bool passes = std::any_of(work.begin(), work.end(), [](const ChunkWork& item) {
                        return !item.plan || item.plan->action != Action::REUSED;
                    });
                    CHECK_EQ(bytes, passes ? (layers + (row ? 0 : 2)) * of_one.forward : 0);
                    for (int b = 0; b < 2; b++) {
                        CHECK(at::equal(w->velocity(b).cpu(), want.velocity(b).cpu()));
                        CHECK(at::equal(w->keys_values(b, 7).first, want.keys_values(b, 7).first));
                    }
                }
            }
        }
    }
    CHECK_EQ(fake::counts.races.load(), 0);
}

// Layers that move to the host while windows are at work: these take two buffers all together, which were there before
// any of them goes on, and each gets its numbers from streams and threads of their own.
TEST(windows_share_the_buffers) {
    c10::InferenceMode guard;
    const Window::Shape shape = shape_of(Attention::KV);
    const c10::impl::VirtualGuardImpl streams(fake::device().type());
    const Model resident(Precision::BFLOAT16);
    Model m(Precision::BFLOAT16);
    const auto of_one = Transformer::layer_bytes(m.t->config(), Precision::BFLOAT16, false);
    const std::vector<int64_t> timesteps = {300, 300, 620, 620, 999, 999};
    constexpr int WINDOWS = 3, FORWARDS = 4, LAYERS = 5;
    std::vector<at::Tensor> x;
    std::vector<std::vector<at::Tensor>> want(WINDOWS);
    std::vector<std::unique_ptr<Window>> windows;
    for (int i = 0; i < WINDOWS; i++) {
        x.push_back(m.latents(shape));
        Window alone(*resident.t, shape);
        for (int n = 0; n <= FORWARDS; n++)
            want[i].push_back(alone.forward(x[i] * (1 - 0.1 * n), timesteps, *resident.prompt).cpu());
        windows.push_back(std::make_unique<Window>(*m.t, shape));
        CHECK(at::equal(windows[i]->forward(x[i], timesteps, *m.prompt).cpu(), want[i][0]));
    }
    const int64_t weights = m.t->bytes();
    size_t before = fake::use().used;
    m.t->stream(LAYERS);
    const auto gone = int64_t(before - fake::use().used);
    const int64_t counted = LAYERS * of_one.total() - 2 * of_one.forward;
    std::printf("     %.2f MB gone of %.2f, %.2f counted\n", gone / 1e6, (weights - m.t->bytes()) / 1e6, counted / 1e6);
    CHECK(gone > counted * 95 / 100);
    CHECK(std::abs(weights - m.t->bytes() - counted) < counted / 20);
    give_back_memory(fake::device()); // what products keep in each stream
    before = fake::use().used;
    const int64_t bytes = fake::counts.upload_bytes;
    std::vector<std::string> errors(WINDOWS);
    std::vector<std::thread> threads;
    for (int i = 0; i < WINDOWS; i++)
        threads.emplace_back([&, i] {
            const c10::InferenceMode inference;
            const c10::StreamGuard own(streams.getStreamFromGlobalPool(fake::device()));
            try {
                for (int n = 1; n <= FORWARDS; n++) {
                    const at::Tensor got =
                        windows[i]->forward(x[i] * (1 - 0.1 * n), timesteps, *m.prompt).cpu();
                    if (!at::equal(got, want[i][n])) errors[i] = "other numbers";
                }
                streams.synchronizeDevice(0);
            } catch (const std::exception& e) {
                errors[i] = e.what();
            }
        });
    for (std::thread& t : threads) t.join();
    for (const std::string& error : errors) CHECK_EQ(error, std::string());
    give_back_memory(fake::device());
    CHECK_EQ(fake::use().used, before);
    // One forward after the other, which the last one's first copies are there for already.
    const int64_t copied = (WINDOWS * FORWARDS * LAYERS + 2) * of_one.forward;
    CHECK(fake::counts.upload_bytes - bytes >= copied && fake::counts.upload_bytes - bytes < copied + of_one.forward);
    CHECK_EQ(fake::counts.races.load(), 0);
}

// A forward that ends in the middle leaves the buffers with layers of the middle.
TEST(a_forward_behind_one_that_was_cancelled) {
    c10::InferenceMode guard;
    const Window::Shape shape = shape_of(Attention::KV);
    Model resident(Precision::FLOAT32), streamed(Precision::FLOAT32, false, fake::device(), 6);
    const at::Tensor x = resident.latents(shape);
    Window want(*resident.t, shape), got(*streamed.t, shape);
    const std::vector<int64_t> timesteps = {300, 300, 620, 620, 999, 999};
    const std::vector<ChunkWork> work = {{0, 0}, {1, 0}};
    McCancel cancel;
    int told = 0;
    CHECK_ERROR(got.forward(x, timesteps, streamed.text, work, &cancel,
                            [&](const std::string& name, const at::Tensor&) {
                                told++;
                                if (name == "block0_out") cancel.set = true;
                            }),
                MC_CANCELLED, "Cancelled");
    CHECK(told > 3);
    want.forward(x, timesteps, resident.text, work);
    got.forward(x, timesteps, streamed.text, work);
    for (int b = 0; b < 2; b++)
        CHECK(at::equal(got.velocity(b).narrow(1, 0, CHUNK).cpu(), want.velocity(b).narrow(1, 0, CHUNK).cpu()));
    CHECK_EQ(fake::counts.races.load(), 0);
}

// Where ATen takes cuDNN's attention, which makes a plan for each new shape: whole chunks have few, tokens that a cache
// picks take another kernel.
TEST(tokens_picked_make_no_plans) {
    c10::InferenceMode guard;
    Model m(Precision::BFLOAT16);
    const Window::Shape shape = shape_of(Attention::KV);
    Window window(*m.t, shape), usual(*m.t, shape);
    const at::Tensor x = m.latents(shape);
    const std::vector<int64_t> timesteps = {300, 300, 620, 620, 999, 999};
    std::vector<ChunkWork> dense;
    for (int i = 0; i < 2 * CHUNKS; i++) dense.push_back({i % 2, i / 2, nullptr, true, true});
    const auto made = [&](const std::vector<ChunkWork>& work) {
        const int64_t plans = fake::counts.plans, calls = fake::counts.attention;
        fake::prefer_cudnn(true);
        window.forward(x, timesteps, m.text, work);
        fake::prefer_cudnn(false);
        CHECK(fake::counts.attention - calls >= 2 * m.t->config().layers);
        usual.forward(x, timesteps, m.text, work);
        for (int b = 0; b < 2; b++) CHECK(at::equal(window.velocity(b).cpu(), usual.velocity(b).cpu()));
        return fake::counts.plans - plans;
    };
    CHECK_EQ(made(dense), CHUNKS + 1); // to the keys up to each chunk, and to the text
    CHECK_EQ(made(dense), 0);
    for (int more = 0; more < 4; more++) {
        Plan plan{Action::PARTIAL, {}};
        for (int t = 0; t < 5 + more; t++) plan.tokens.push_back(t);
        CHECK_EQ(made({{0, 2, &plan, true, true}, {1, 2, &plan, true, true}}), 0);
        CHECK_EQ(made({{0, 1, &plan, true, true}, {1, 2, nullptr, true, true}}), more ? 0 : 1); // one branch alone
    }
    CHECK_EQ(made(dense), 0);
}

// Dense rows of both branches, at a size where tables of a chunk do not show.
TEST(what_moves_between_products) {
    c10::InferenceMode guard;
    Model m(Precision::BFLOAT16);
    Window::Shape shape{CHUNKS * CHUNK, 24, 32, CHUNK, Attention::KV, 24};
    shape.branches = 2, shape.chunks_at_once = CHUNKS, shape.remembers = true;
    const at::Tensor x = m.latents(shape);
    const std::vector<int64_t> timesteps = {300, 300, 620, 620, 999, 999};
    const double elements = 2. * CHUNKS * CHUNK * 12 * 16 * m.t->config().width * m.t->config().layers;
    std::vector<ChunkWork> whole, partial;
    std::vector<Plan> plans;
    for (int b = 0; b < 2; b++) {
        plans.push_back({Action::PARTIAL, {}});
        for (int t = b; t < CHUNK * 12 * 16; t += 5) plans.back().tokens.push_back(t);
    }
    for (int b = 0; b < 2; b++)
        for (int c = 0; c < CHUNKS; c++) {
            whole.push_back({b, c, nullptr, true, true});
            partial.push_back({b, c, &plans[b], true, true});
        }
    struct {
        const char* name;
        bool plain, kernels, partial;
        double most;
    } const ways[] = {{"plain", true, false, false, 1e9},
                      {"ATen's operators", false, false, false, 1e9},
                      {"row kernels", false, true, false, 60},
                      {"row kernels, a fifth of the tokens", false, true, true, 120}};
    double before = 1e9;
    for (const auto& way : ways) {
        fake::use_kernels(way.kernels);
        Window window(*m.t, shape);
        window.use_plain(way.plain);
        window.forward(x, timesteps, m.text, whole);
        fake::take_bytes();
        window.forward(x, timesteps, m.text, way.partial ? partial : whole);
        double all = 0;
        const double rows = way.partial ? elements / 5 : elements;
        std::string parts;
        for (const auto& [name, bytes] : fake::take_bytes()) {
            all += double(bytes) / rows;
            char text[100];
            std::snprintf(text, sizeof text, ", %s %.1f", name.c_str(), double(bytes) / rows);
            if (double(bytes) / rows >= 0.1) parts += text;
        }
        std::printf("     %s: %.1f bytes per element and layer%s\n", way.name, all, parts.c_str());
        CHECK(all > 30);
        CHECK(all < way.most);
        if (!way.partial) CHECK(all < before);
        before = all;
    }
    fake::use_kernels(true);
}

TEST(a_linear_layer_counts_all_that_it_keeps) {
    HugeArena arena;
    const at::TensorOptions there = at::TensorOptions().device(fake::device());
    const networks::Linear l(at::zeros({6, 4}, there.dtype(at::kBFloat16)),
                             at::zeros({6}, there), // bias as float32, too
                             networks::Linear::Layout::PLAIN, kernels::Store::BF16, arena);
    CHECK_EQ(l.bytes(), 6 * 4 * 2 + 6 * 4 + 6 * 2);
}

int main(int argc, char** argv) {
    demo = std::string(argv[1]) + "/models/demo/transformer";
    at::set_num_threads(1);
    return mc::test::run_tests(argc - 1, argv + 1);
}
