// SPDX-License-Identifier: LGPL-2.1-or-later
// Residual and layer norm, RMS norm and rotation, GELU, change between frames, the VAE's channel norm.
#include <limits>

#include "fuzz.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

size_t some_width(Random& random) {
    return random.coin() ? random.size(1, 80) : random.size(1, 5) * 192;
}

struct ResidualCase {
    Random random;
    Store store;
    size_t rows, width, groups, stride, x_stride, delta_stride, out_stride;
    std::vector<float> gate, mult, add, delta;
    std::vector<int32_t> group, group_norm;
    Activations x, out;
    ResidualNorm args{};

    ResidualCase(uint64_t seed, Store store, size_t rows, size_t width, float mean, size_t gap = 0)
        : random(seed), store(store), rows(rows), width(width), groups(random.size(1, 3)),
          stride(width + (random.coin() ? 5 * width : 0)), x_stride(width + random.size(0, gap)),
          delta_stride(width + random.size(0, gap)), out_stride(width + random.size(0, gap)),
          gate(random.normals(groups * stride)), mult(random.normals(groups * stride)),
          add(random.normals(groups * stride)), delta(random.normals((rows - 1) * delta_stride + width)),
          x(random.normals((rows - 1) * x_stride + width, 2, mean), store),
          out(random.normals((rows - 1) * out_stride + width), store) {
        for (size_t r = 0; r < rows; r++) {
            group.push_back(random.size(0, groups - 1));
            group_norm.push_back(random.size(0, groups - 1));
        }
        args.mult = mult.data();
        args.add = add.data();
        args.group_stride = stride;
        args.rows = rows;
        args.width = width;
        args.x_stride = x_stride;
        args.delta_stride = delta_stride;
        args.out_stride = out_stride;
        args.eps = 1e-6f;
        args.store = store;
        if (random.coin()) args.gate = gate.data();
        if (random.coin()) args.group = group.data();
        if (random.coin()) args.group_norm = group_norm.data();
    }
    const ResidualNorm& on(Activations& x, const float* delta, void* out) {
        args.x = x.data();
        args.delta = delta;
        args.out = out;
        return args;
    }
};

void fuzz_residual_norm(uint64_t seed, Store store) {
    Random random(seed);
    const float mean = random.coin() ? 0.f : 50.f; // far from zero: where a one-pass variance would fail
    ResidualCase c(seed + 1, store, random.size(1, 5), some_width(random), mean, 9);
    const bool rounded = store != Store::F32;
    const Activations before = c.x;
    Activations plain_x = c.x, plain_out = c.out;
    const bool only_residual = random.coin();
    residual_norm(c.on(c.x, c.delta.data(), only_residual ? nullptr : c.out.data()));
    plain::residual_norm(c.on(plain_x, c.delta.data(), nullptr));
    // One addition and one multiplication, perhaps fused: 2 ulp of the terms.
    compare(
        "residual", c.x.size(), [&](size_t i) { return c.x.at(i); }, [&](size_t i) { return plain_x.at(i); },
        [&](size_t i) {
            const float size = std::fabs(before.at(i)) + std::fabs(plain_x.at(i) - before.at(i));
            return 2 * ulp * size + (rounded ? bf16_ulp * std::fabs(plain_x.at(i)) : 0.f);
        },
        rounded);
    if (only_residual) {
        compare(
            "untouched out", c.out.size(), [&](size_t i) { return c.out.at(i); },
            [&](size_t i) { return plain_out.at(i); }, [](size_t) { return 0.; });
        return;
    }
    // The norm of the x that the fast one has written, so that a rounding of x does not count again.
    plain::residual_norm(c.on(c.x, nullptr, plain_out.data()));
    std::vector<double> reach(c.rows); // the largest |x| of a row in units of its deviation
    for (size_t r = 0; r < c.rows; r++) {
        double sum = 0, squares = 0, largest = 0;
        for (size_t i = 0; i < c.width; i++) sum += c.x.at(r * c.x_stride + i);
        for (size_t i = 0; i < c.width; i++) {
            const double v = c.x.at(r * c.x_stride + i), off = v - sum / c.width;
            squares += off * off;
            largest = std::max(largest, std::fabs(v));
        }
        reach[r] = largest / std::sqrt(squares / c.width + c.args.eps);
    }
    // The mean is a float32, rounded like the biggest x: 4 ulp of `reach`, times mult, and of the sum.
    compare(
        "norm", c.out.size(), [&](size_t i) { return c.out.at(i); },
        [&](size_t i) { return plain_out.at(i); },
        [&](size_t i) {
            const size_t r = i / c.out_stride, column = i % c.out_stride;
            if (column >= c.width) return 0.;
            const size_t g = (c.args.group_norm ? c.group_norm[r] : 0) * c.stride + column;
            const double size = reach[r] * std::fabs(c.mult[g]) + std::fabs(c.add[g]);
            return 4 * ulp * size + (rounded ? bf16_ulp * std::fabs(plain_out.at(i)) : 0.);
        },
        rounded && mean == 0);
}

TEST(residual_norm) {
    each_target([] {
        for (Store store : stores)
            for (uint64_t seed = 0; seed < 60; seed++) fuzz_residual_norm(100 * seed, store);
    });
}

TEST(residual_norm_out_may_be_delta) {
    each_target([] {
        for (Store store : {Store::F32, Store::F32_AS_BF16}) {
            ResidualCase c(5, store, 4, 77, 0.f);
            Activations x = c.x;
            std::vector<float> delta = c.delta;
            residual_norm(c.on(x, delta.data(), delta.data()));
            residual_norm(c.on(c.x, c.delta.data(), c.out.data()));
            compare(
                "out in delta", c.out.size(), [&](size_t i) { return delta[i]; },
                [&](size_t i) { return c.out.at(i); }, [](size_t) { return 0.; });
        }
    });
}

TEST(residual_norm_by_hand) {
    // mean 2, variance 2/3
    float x[3] = {1, 2, 3}, mult[3] = {1, 1, 2}, add[3] = {0, 5, 0}, out[3];
    ResidualNorm a{};
    a.x = x;
    a.mult = mult;
    a.add = add;
    a.out = out;
    a.rows = 1;
    a.width = 3;
    plain::residual_norm(a);
    CHECK_NEAR(out[0], -std::sqrt(1.5), 1e-6);
    CHECK_NEAR(out[1], 5, 1e-6);
    CHECK_NEAR(out[2], 2 * std::sqrt(1.5), 1e-6);
    const float delta[3] = {10, 20, 30}, gate[3] = {1, 0, -1};
    a.delta = delta;
    a.gate = gate;
    a.out = nullptr;
    plain::residual_norm(a);
    CHECK_EQ(x[0], 11.f);
    CHECK_EQ(x[1], 2.f);
    CHECK_EQ(x[2], -27.f);
    // In eight bits 256.9 is 256, and 1 + 256 is 256 again; 1 + 256.9 would be 258.
    float one[1] = {1}, big[1] = {256.9f};
    a.x = one;
    a.delta = big;
    a.width = 1;
    a.store = Store::F32_AS_BF16;
    plain::residual_norm(a);
    CHECK_EQ(one[0], 256.f);
}

struct RopeCase {
    Random random;
    size_t rows, head, width, in_stride, out_stride;
    std::vector<float> gain, cosine, sine;
    std::vector<int32_t> position;
    RmsRope args{};

    RopeCase(uint64_t seed, Store store, size_t rows, size_t head, size_t heads)
        : random(seed), rows(rows), head(head), width(head * heads),
          in_stride(width * (random.coin() ? 3 : 1)), out_stride(width + random.size(0, 9)),
          gain(random.normals(width)) {
        const size_t positions = rows + 4;
        for (size_t i = 0; i < positions * head / 2; i++) {
            const float angle = random.normal(50);
            cosine.push_back(std::cos(angle));
            sine.push_back(std::sin(angle));
        }
        for (size_t r = 0; r < rows; r++) position.push_back(random.size(0, positions - 1));
        args = {
            nullptr,    gain.data(), cosine.data(), sine.data(), random.coin() ? position.data() : nullptr,
            nullptr,    rows,        width,         head,        in_stride,
            out_stride, 1e-6f,       store};
    }
};

void fuzz_rms_rope(uint64_t seed, Store store) {
    Random random(seed);
    RopeCase c(seed + 1, store, random.size(1, 5), 2 * random.size(1, 64), random.size(1, 5));
    if (random.coin()) c.args.cosine = c.args.sine = nullptr;
    const bool rounded = store != Store::F32;
    const std::vector<float> in = random.normals((c.rows - 1) * c.in_stride + c.width);
    Activations fast(random.normals((c.rows - 1) * c.out_stride + c.width), store), plain = fast;
    c.args.in = in.data();
    c.args.out = plain.data();
    plain::rms_rope(c.args);
    c.args.out = fast.data();
    rms_rope(c.args);
    // Rotation keeps the length of a pair: 6 ulp of it (mean of squares, root, gain, two products). In
    // bfloat16 both roundings may fall the other way, at most one step of the pair each.
    compare(
        "rms_rope", plain.size(), [&](size_t i) { return fast.at(i); }, [&](size_t i) { return plain.at(i); },
        [&](size_t i) {
            const size_t column = i % c.out_stride;
            if (column >= c.width) return 0.;
            const size_t pair = i - column % 2;
            const double size = std::hypot(plain.at(pair), plain.at(pair + 1));
            return size * (6 * ulp + (rounded ? 2 * bf16_ulp : 0));
        },
        rounded);
}

TEST(rms_rope) {
    each_target([] {
        for (Store store : stores)
            for (uint64_t seed = 0; seed < 60; seed++) fuzz_rms_rope(100 * seed, store);
    });
}

TEST(rms_rope_in_place) {
    each_target([] {
        for (Store store : {Store::F32, Store::F32_AS_BF16}) {
            RopeCase c(8, store, 3, 22, 3);
            std::vector<float> in = c.random.normals(3 * c.in_stride), out = in;
            c.args.out_stride = c.args.in_stride;
            c.args.in = in.data();
            c.args.out = out.data();
            rms_rope(c.args);
            c.args.out = in.data();
            rms_rope(c.args);
            CHECK(in == out);
        }
    });
}

TEST(rms_rope_by_hand) {
    // Mean square 12.5; a quarter turn takes (a, b) to (-b, a), in each of two heads.
    const float in[4] = {3, 4, 3, -4}, gain[4] = {1, 1, 1, 1}, cosine[1] = {0}, sine[1] = {1};
    float out[4];
    RmsRope a{in, gain, cosine, sine, nullptr, out, 1, 4, 2, 4, 4, 0, Store::F32};
    plain::rms_rope(a);
    const float s = 1 / std::sqrt(12.5f), expected[4] = {-4 * s, 3 * s, 4 * s, 3 * s};
    for (int i = 0; i < 4; i++) CHECK_NEAR(out[i], expected[i], 1e-6);
}

std::vector<float> gelu_inputs(Random& random) {
    std::vector<float> v = {0.f,      -0.f,      1e-30f, -1e-30f, 1e-40f, -1e-40f, 9.99f,    10.f,  10.1f,
                            -9.99f,   -10.05f,   -10.1f, 88.f,    -88.f,  1e30f,   -1e30f,   3e38f, -3e38f,
                            INFINITY, -INFINITY, NAN,    -NAN,    -5.5f,  5.5f,    -0.7518f, -1.f,  1.f};
    for (float x = -12; x < 12; x += 0.01f) v.push_back(x);
    for (int i = 0; i < 2000; i++) v.push_back(random.normal(3));
    for (int i = 0; i < 500; i++) v.push_back(from_bits(random.bits()));
    return v;
}

// The exponent 2u is rounded four times, 2 ulp at most: e^-2u is off by 2 ulp for each unit of 2u, and by 3
// ulp of its own (polynomial, addition, division).
double gelu_tolerance(double x, double y) {
    const double u2 = std::fabs(1.5957691216 * (x + 0.044715 * x * x * x));
    return std::isfinite(u2) && std::isfinite(y) ? ulp * std::fabs(y) * (3 + 2 * std::min(u2, 100.)) + 1e-37
                                                 : 0;
}

TEST(gelu) {
    each_target([] {
        for (Store store : stores)
            for (uint64_t seed = 0; seed < 20; seed++) {
                Random random(seed);
                const std::vector<float> in = gelu_inputs(random);
                const bool rounded = store != Store::F32;
                const size_t width = some_width(random), in_stride = width + random.size(0, 9);
                const size_t rows = (in.size() - width) / in_stride + 1;
                const size_t out_stride = width + random.size(0, 9);
                Activations fast(random.normals((rows - 1) * out_stride + width), store), plain = fast;
                gelu(in.data(), in_stride, fast.data(), out_stride, rows, width, store);
                plain::gelu(in.data(), in_stride, plain.data(), out_stride, rows, width, store);
                compare(
                    "gelu", fast.size(), [&](size_t i) { return fast.at(i); },
                    [&](size_t i) { return plain.at(i); },
                    [&](size_t i) {
                        if (i % out_stride >= width) return 0.;
                        const double x = round_as(in[i / out_stride * in_stride + i % out_stride], store);
                        return gelu_tolerance(x, plain.at(i)) +
                               (rounded ? bf16_ulp * std::fabs(plain.at(i)) : 0);
                    },
                    rounded);
                if (store == Store::BF16) continue;
                std::vector<float> in_place = in;
                gelu(in_place.data(), in_stride, in_place.data(), in_stride, rows, width, store);
                compare(
                    "gelu in place", rows * width,
                    [&](size_t i) { return in_place[i / width * in_stride + i % width]; },
                    [&](size_t i) { return fast.at(i / width * out_stride + i % width); },
                    [](size_t) { return 0.; });
            }
    });
}

TEST(gelu_by_hand) {
    float x[6] = {1, -1, 3, -3, -INFINITY, INFINITY};
    plain::gelu(x, 6, x, 6, 1, 6, Store::F32);
    // x/2 (1 + tanh(0.7978845608 (x + 0.044715 x^3))), from a pocket calculator
    CHECK_NEAR(x[0], 0.841191991, 1e-7);
    CHECK_NEAR(x[1], -0.158808009, 1e-7);
    CHECK_NEAR(x[2], 2.996362607, 1e-6);
    CHECK_NEAR(x[3], -0.003637392, 1e-7);
    CHECK_EQ(x[4], 0.f);
    CHECK_EQ(x[5], INFINITY);
}

TEST(frame_change) {
    each_target([] {
        for (Store store : stores)
            for (uint64_t seed = 0; seed < 30; seed++) {
                Random random(seed);
                const size_t width = some_width(random), rows = random.size(1, 7);
                const size_t x_stride = width + random.size(0, 20), y_stride = width + random.size(0, 20);
                std::vector<float> before = random.normals((rows - 1) * y_stride + width);
                if (random.coin()) std::fill_n(before.begin(), width, 0.f);
                Activations x(random.normals((rows - 1) * x_stride + width), store), y(before, store);
                std::vector<float> fast(rows), plain(rows);
                frame_change(x.data(), x_stride, y.data(), y_stride, rows, width, store, fast.data());
                plain::frame_change(x.data(), x_stride, y.data(), y_stride, rows, width, store, plain.data());
                // two sums of nothing negative, each of whose additions rounds by half an ulp
                compare(
                    "frame_change", rows, [&](size_t i) { return fast[i]; },
                    [&](size_t i) { return plain[i]; },
                    [&](size_t i) { return ulp * (width / 4 + 8) * plain[i]; });
            }
    });
}

TEST(frame_change_by_hand) {
    const float x[6] = {1, -1, 0, 2, 3, 9}, y[5] = {2, 2, 9, -4, 0};
    float change[2];
    plain::frame_change(x, 4, y, 3, 2, 2, Store::F32, change);
    CHECK_NEAR(change[0], 1, 1e-7); // (1 + 3) / (2 + 2)
    CHECK_NEAR(change[1], 4, 1e-7); // (7 + 9) / (4 + 0)
}

TEST(channel_norm) {
    each_target([] {
        for (uint64_t seed = 0; seed < 60; seed++) {
            Random random(seed);
            const size_t channels = random.coin() ? random.size(1, 40) : 32 * random.size(1, 12);
            const size_t rows = random.size(1, 7);
            std::vector<float> x = random.normals(rows * channels, random.coin() ? 1.f : 1e-14f);
            if (random.coin()) std::fill_n(x.begin(), channels, 0.f);
            const std::vector<float> gamma = random.normals(channels, 3);
            std::vector<float> fast(x.size()), plain(x.size()), linear(x.size());
            const bool silu = random.coin();
            plain::channel_norm(x.data(), gamma.data(), linear.data(), rows, channels, false);
            plain::channel_norm(x.data(), gamma.data(), plain.data(), rows, channels, silu);
            if (random.coin()) {
                channel_norm(x.data(), gamma.data(), fast.data(), rows, channels, silu);
            } else {
                fast = x;
                channel_norm(fast.data(), gamma.data(), fast.data(), rows, channels, silu);
            }
            // SiLU's slope is at most 1.1, and its own error that of e^y: 8 ulp of y
            compare(
                "channel_norm", x.size(), [&](size_t i) { return fast[i]; },
                [&](size_t i) { return plain[i]; },
                [&](size_t i) {
                    return 8 * ulp * std::fabs(linear[i]) * (silu ? 1 + std::fabs(plain[i]) : 1);
                });
        }
    });
}

TEST(channel_norm_by_hand) {
    const float x[4] = {3, 4, 0, 0}, gamma[2] = {1, 2};
    float out[4];
    plain::channel_norm(x, gamma, out, 2, 2, false);
    CHECK_NEAR(out[0], 0.6 * std::sqrt(2.), 1e-6);
    CHECK_NEAR(out[1], 1.6 * std::sqrt(2.), 1e-6);
    CHECK_EQ(out[2], 0.f);
    plain::channel_norm(x, gamma, out, 1, 2, true);
    const double y = 0.6 * std::sqrt(2.);
    CHECK_NEAR(out[0], y / (1 + std::exp(-y)), 1e-6);
}

TEST(not_a_number_stays_one) {
    each_target([] {
        std::vector<float> x(40, 1.f), ones(40, 1.f), out(80);
        x[3] = NAN;
        ResidualNorm a{};
        a.x = x.data();
        a.mult = a.add = ones.data();
        a.out = out.data();
        a.rows = 1;
        a.width = 40;
        residual_norm(a);
        for (int i = 0; i < 40; i++) CHECK(std::isnan(out[i]));
        std::vector<float> two_rows(80, 1.f);
        two_rows[3] = NAN;
        channel_norm(two_rows.data(), ones.data(), out.data(), 2, 40, true);
        for (int i = 0; i < 80; i++) CHECK_EQ(std::isnan(out[i]), i < 40);
        RmsRope rope{two_rows.data(), ones.data(), nullptr, nullptr, nullptr, out.data(), 2, 40, 40, 40, 40,
                     1e-6f,           Store::F32};
        rms_rope(rope);
        for (int i = 0; i < 80; i++) CHECK_EQ(std::isnan(out[i]), i < 40);
    });
}

// What is below 2^-126, where it comes in and where it would come out, may be stored as zero in bfloat16.
TEST(denormals_come_out_or_are_zero) {
    constexpr size_t width = 40;
    const float least = std::numeric_limits<float>::min();
    std::vector<float> in, ones(width, 1.f), zeros(width, 0.f);
    for (size_t i = 0; i < width; i++) in.push_back((i % 2 ? -1 : 1) * least * float(i) / 16); // to 2.5 least
    each_target([&] {
        for (Store store : stores) {
            Activations fast(zeros, store), plain = fast, x(zeros, store), plain_x = x;
            const auto near = [&](const char* what, const Activations& fast, const Activations& plain) {
                compare(
                    what, width, [&](size_t i) { return fast.at(i); }, [&](size_t i) { return plain.at(i); },
                    [&](size_t) { return 3 * least; }); // of the norm: of x, of its mean and of what is stored
            };
            gelu(in.data(), width, fast.data(), width, 1, width, store);
            plain::gelu(in.data(), width, plain.data(), width, 1, width, store);
            near("gelu", fast, plain);
            ResidualNorm a{};
            a.delta = in.data();
            a.mult = ones.data();
            a.add = in.data();
            a.rows = 1;
            a.width = a.x_stride = a.out_stride = width;
            a.eps = 1;
            a.store = store;
            a.x = x.data(), a.out = fast.data();
            residual_norm(a);
            a.x = plain_x.data(), a.out = plain.data();
            plain::residual_norm(a);
            near("residual", x, plain_x);
            near("norm", fast, plain);
            RmsRope rope{in.data(), ones.data(), nullptr, nullptr, nullptr, fast.data(), 1, width, width, width, width,
                         1.f,       store};
            rms_rope(rope);
            rope.out = plain.data();
            plain::rms_rope(rope);
            near("rms_rope", fast, plain);
        }
    });
}

void timings() {
    struct Shape {
        size_t rows, width;
    };
    for (Shape s : {Shape{540, 192}, Shape{60, 1536}, Shape{20, 5120}})
        for (Store store : stores) {
            char what[80];
            const size_t n = s.rows * s.width, bytes = n * (store == Store::BF16 ? 2 : 4);
            const auto label = [&](const char* kernel) {
                std::snprintf(what, sizeof what, "%s %zux%zu %s", kernel, s.rows, s.width, name(store));
                return what;
            };
            ResidualCase c(2, store, s.rows, s.width, 0.f);
            c.args.gate = c.gate.data();
            c.args.group = c.args.group_norm = nullptr;
            for (float& g : c.gate) g *= 1e-3f; // x is added to again and again
            const ResidualNorm& args = c.on(c.x, c.delta.data(), c.out.data());
            time_beside(
                label("residual_norm"), n, 4 * n + 3 * bytes, [&] { residual_norm(args); },
                [&] { plain::residual_norm(args); });
            RopeCase rope(3, store, s.rows, s.width == 192 ? 48 : 128, s.width == 192 ? 4 : s.width / 128);
            rope.args.in_stride = rope.args.out_stride = s.width;
            rope.args.in = c.delta.data();
            rope.args.out = c.out.data();
            time_beside(
                label("rms_rope"), n, 4 * n + bytes, [&] { rms_rope(rope.args); },
                [&] { plain::rms_rope(rope.args); });
            time_beside(
                label("gelu"), n, 4 * n + bytes,
                [&] { gelu(c.delta.data(), s.width, c.out.data(), s.width, s.rows, s.width, store); },
                [&] { plain::gelu(c.delta.data(), s.width, c.out.data(), s.width, s.rows, s.width, store); });
            std::vector<float> change(s.rows);
            time_beside(
                label("frame_change"), n, 2 * bytes,
                [&] {
                    frame_change(c.x.data(), s.width, c.out.data(), s.width, s.rows, s.width, store,
                                 change.data());
                },
                [&] {
                    plain::frame_change(c.x.data(), s.width, c.out.data(), s.width, s.rows, s.width, store,
                                        change.data());
                });
        }
    Random random(4);
    for (Shape s : {Shape{4000, 24}, Shape{1000, 96}, Shape{300, 384}})
        for (bool silu : {false, true}) {
            char what[80];
            std::snprintf(what, sizeof what, "channel_norm %zux%zu%s", s.rows, s.width, silu ? " silu" : "");
            const size_t n = s.rows * s.width;
            std::vector<float> x = random.normals(n), gamma = random.normals(s.width), out(n);
            time_beside(
                what, n, 8 * n,
                [&] { channel_norm(x.data(), gamma.data(), out.data(), s.rows, s.width, silu); },
                [&] { plain::channel_norm(x.data(), gamma.data(), out.data(), s.rows, s.width, silu); });
        }
}

} // namespace

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
