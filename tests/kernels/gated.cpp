// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernels of MAGI-1's layers against their plain versions: norms of heads, sandwich norms, gates, eight bits.
#include "kernels/kernels.h"

#include "fuzz.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

// A result in a store: an ulp of float32 a few times over, and half an ulp of bfloat16 where it is rounded.
double allowed_of(double value, double size, Store store) {
    return 40 * ulp * size + (store == Store::F32 ? 0 : bf16_ulp * std::fabs(value));
}

TEST(head_norm) {
    for (Store store : stores)
        for (uint64_t seed = 0; seed < 60; seed++) {
            Random random(seed);
            const size_t rows = random.size(1, 9), heads = random.size(1, 4), head = random.size(2, 70);
            HeadNorm a{};
            a.rows = rows, a.head = head, a.width = heads * head, a.store = store, a.eps = 1e-6f;
            a.in_stride = a.width + random.size(0, 5), a.out_stride = a.width + random.size(0, 5);
            a.angles = random.size(1, head / 2);
            const std::vector<float> in = random.normals((rows - 1) * a.in_stride + a.width, 3.f, 1.f),
                                     gain = random.normals(head, 1.f, 1.f), bias = random.normals(head),
                                     cosine = random.normals(12 * a.angles),
                                     sine = random.normals(12 * a.angles);
            std::vector<int32_t> position(rows);
            for (int32_t& place : position) place = int32_t(random.size(0, 11));
            a.in = in.data(), a.gain = gain.data(), a.bias = bias.data();
            if (random.coin()) a.cosine = cosine.data(), a.sine = sine.data(), a.position = position.data();
            const Activations before(random.normals((rows - 1) * a.out_stride + a.width), store);
            Activations expected = before;
            a.out = expected.data();
            plain::head_norm(a);
            each_target([&] {
                Activations out = before;
                a.out = out.data();
                head_norm(a);
                compare(
                    "head_norm", out.size(), [&](size_t i) { return out.at(i); },
                    [&](size_t i) { return expected.at(i); },
                    [&](size_t i) {
                        return i % a.out_stride < a.width ? allowed_of(expected.at(i), 60, store) : 0.;
                    },
                    store != Store::F32);
            });
        }
}

// In place over its own input, where that is float.
TEST(head_norm_in_place) {
    Random random(7);
    std::vector<float> in = random.normals(5 * 48);
    const std::vector<float> gain(24, 1.f), bias(24, 0.f), cosine = random.normals(60),
                                                           sine = random.normals(60);
    const int32_t position[5] = {4, 3, 2, 1, 0};
    HeadNorm a{in.data(), gain.data(), bias.data(), cosine.data(), sine.data(), position};
    std::vector<float> expected(in.size());
    a.out = expected.data();
    a.rows = 5, a.width = 48, a.head = 24, a.angles = 12, a.in_stride = a.out_stride = 48, a.eps = 1e-6f;
    each_target([&] {
        std::vector<float> there(in.size()), here = in;
        a.in = in.data(), a.out = there.data();
        head_norm(a);
        a.in = here.data(), a.out = here.data();
        head_norm(a);
        for (size_t i = 0; i < here.size(); i++) CHECK_EQ(here[i], there[i]);
    });
}

TEST(gated_norm) {
    for (Store store : stores)
        for (uint64_t seed = 0; seed < 60; seed++) {
            Random random(seed);
            GatedNorm a{};
            a.rows = random.size(1, 7), a.width = random.size(2, 200), a.store = store, a.eps = 1e-6f;
            a.x_stride = a.width + random.size(0, 5), a.delta_stride = a.width + random.size(0, 5);
            a.out_stride = a.width + random.size(0, 5), a.group_stride = a.width + random.size(0, 5);
            a.round_delta = random.coin(), a.out_is_float = random.coin();
            const std::vector<float> delta = random.normals(a.rows * a.delta_stride, 2.f),
                                     gate = random.normals(3 * a.group_stride),
                                     post_gain = random.normals(a.width, 1.f, 1.f),
                                     post_bias = random.normals(a.width),
                                     gain = random.normals(a.width, 1.f, 1.f), bias = random.normals(a.width);
            std::vector<int32_t> group(a.rows);
            for (int32_t& g : group) g = int32_t(random.size(0, 2));
            a.delta = delta.data(), a.gate = gate.data(), a.group = group.data();
            a.post_gain = post_gain.data(), a.post_bias = post_bias.data();
            a.gain = gain.data(), a.bias = bias.data();
            const Activations before(random.normals(a.rows * a.x_stride), store);
            const Store of_out = a.out_is_float ? Store::F32 : store;
            const Activations nothing(std::vector<float>(a.rows * a.out_stride), of_out);
            Activations x = before, out = nothing;
            a.x = x.data(), a.out = out.data();
            plain::gated_norm(a);
            each_target([&] {
                Activations fast_x = before, fast_out = nothing;
                a.x = fast_x.data(), a.out = fast_out.data();
                gated_norm(a);
                compare(
                    "gated_norm: x", x.size(), [&](size_t i) { return fast_x.at(i); },
                    [&](size_t i) { return x.at(i); },
                    [&](size_t i) { return i % a.x_stride < a.width ? allowed_of(x.at(i), 20, store) : 0.; },
                    store != Store::F32);
                // A rounding of x the other way shows in what is normed: in a narrow row by more than itself.
                const double other_way = store == Store::F32 ? 0 : 40. * bf16_ulp;
                compare(
                    "gated_norm: out", out.size(), [&](size_t i) { return fast_out.at(i); },
                    [&](size_t i) { return out.at(i); },
                    [&](size_t i) {
                        return i % a.out_stride < a.width ? allowed_of(out.at(i), 200, store) + other_way
                                                          : 0.;
                    });
            });
        }
}

// Every kind of number through the gates.
TEST(gelu_erf_and_silu_gate) {
    for (Store store : stores)
        for (uint64_t seed = 0; seed < 40; seed++) {
            Random random(seed);
            const size_t rows = random.size(1, 5), width = random.size(1, 90),
                         stride = width + random.size(0, 5);
            std::vector<float> u = random.normals(rows * stride, random.coin() ? 1.f : 8.f);
            const std::vector<float> v = random.normals(rows * stride);
            const float odd[] = {0,      -0.f,   INFINITY, -INFINITY, NAN, 1e30f,
                                 -1e30f, 1e-30f, -13.19f,  -13.5f,    -5,  5};
            for (float o : odd) u[random.size(0, u.size() - 1)] = o;
            const Activations before(std::vector<float>(rows * stride), store);
            Activations gelu = before, gate = before;
            plain::gelu_erf(u.data(), stride, gelu.data(), stride, rows, width, store);
            plain::silu_gate(u.data(), stride, v.data(), stride, gate.data(), stride, rows, width, store);
            each_target([&] {
                Activations fast_gelu = before, fast_gate = before;
                gelu_erf(u.data(), stride, fast_gelu.data(), stride, rows, width, store);
                silu_gate(u.data(), stride, v.data(), stride, fast_gate.data(), stride, rows, width, store);
                const auto near = [&](const char* what, const Activations& fast, const Activations& plain) {
                    compare(
                        what, plain.size(), [&](size_t i) { return fast.at(i); },
                        [&](size_t i) { return plain.at(i); },
                        [&](size_t i) {
                            return std::isfinite(plain.at(i))
                                       ? 4 * ulp * std::fabs(plain.at(i)) + 2e-7 +
                                             (store == Store::F32 ? 0 : bf16_ulp * std::fabs(plain.at(i)))
                                       : 0.;
                        },
                        store != Store::F32);
                };
                near("gelu_erf", fast_gelu, gelu);
                near("silu_gate", fast_gate, gate);
            });
        }
}

// To the same bits, for every bfloat16 number.
TEST(round_to_e4m3) {
    std::vector<float> all;
    for (uint32_t bits = 0; bits < 0x10000; bits++) all.push_back(from_bits(bits << 16));
    for (Store store : stores)
        for (float scale : {1.f, 0.37f, 12.f}) {
            const std::vector<float> scales(256, scale);
            const Activations in(all, store);
            Activations expected = in;
            plain::round_to_e4m3(Activations(in).data(), 256, scales.data(), expected.data(), 256, 256, 256,
                                 store);
            each_target([&] {
                Activations out = in;
                round_to_e4m3(out.data(), 256, scales.data(), out.data(), 256, 256, 256, store);
                compare(
                    "round_to_e4m3", out.size(), [&](size_t i) { return out.at(i); },
                    [&](size_t i) { return expected.at(i); }, [](size_t) { return 0.; });
            });
        }
    // By hand: ties to even, the step below 1/64, the largest one.
    const float in[] = {1.0625f, 1.1875f, 3.f / 1024, 1.f / 1024, 1000.f, -460.f}, one[] = {1, 1, 1, 1, 1, 1};
    const float expected[] = {1.f, 1.25f, 4.f / 1024, 0.f, 448.f, -448.f};
    float out[6];
    round_to_e4m3(in, 6, one, out, 6, 1, 6, Store::F32);
    for (size_t i = 0; i < 6; i++) CHECK_EQ(out[i], expected[i]);
}

void timings() {
    const size_t rows = 96, width = 3072;
    Random random(1);
    const std::vector<float> in = random.normals(rows * width), v = random.normals(rows * width),
                             ones(width, 1.f), zeros(width), angles(48, 0.5f);
    const std::vector<int32_t> first(rows, 0);
    for (Store store : stores) {
        Activations x(in, store), out(in, store);
        HeadNorm n{in.data(),     ones.data(),  zeros.data(), angles.data(),
                   angles.data(), first.data(), out.data()};
        n.rows = rows, n.width = width, n.head = 128, n.angles = 48, n.in_stride = n.out_stride = width;
        n.eps = 1e-6f, n.store = store;
        GatedNorm g{};
        g.x = x.data(), g.delta = in.data(), g.gate = ones.data(), g.group = first.data();
        g.post_gain = g.gain = ones.data(), g.post_bias = g.bias = zeros.data(), g.out = out.data();
        g.rows = rows, g.width = g.x_stride = g.delta_stride = g.group_stride = g.out_stride = width;
        g.eps = 1e-6f, g.store = store;
        const size_t all = rows * width, bytes = all * (4 + element_bytes(store));
        const auto beside = [&](const char* what, auto fast, auto plain) {
            char text[80];
            std::snprintf(text, sizeof text, "%s %s", what, name(store));
            time_beside(text, all, bytes, fast, plain);
        };
        beside(
            "head_norm", [&] { head_norm(n); }, [&] { plain::head_norm(n); });
        beside(
            "gated_norm", [&] { gated_norm(g); }, [&] { plain::gated_norm(g); });
        const auto gelu = [&](auto kernel) {
            kernel(in.data(), width, out.data(), width, rows, width, store);
        };
        beside(
            "gelu_erf", [&] { gelu(gelu_erf); }, [&] { gelu(plain::gelu_erf); });
        const auto gate = [&](auto kernel) {
            kernel(in.data(), width, v.data(), width, out.data(), width, rows, width, store);
        };
        beside(
            "silu_gate", [&] { gate(silu_gate); }, [&] { gate(plain::silu_gate); });
        const auto eight = [&](auto kernel) {
            kernel(x.data(), width, ones.data(), out.data(), width, rows, width, store);
        };
        beside(
            "round_to_e4m3", [&] { eight(round_to_e4m3); }, [&] { eight(plain::round_to_e4m3); });
    }
}

} // namespace

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
