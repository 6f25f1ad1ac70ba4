// Attention against its plain twin.
#include "kernels/attention.h"

#include <algorithm>
#include <limits>

#include "fuzz.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

struct Shape {
    size_t rows, keys, heads, head;
};

struct AttentionCase {
    Random random;
    Shape shape;
    size_t width, q_stride, kv_stride, out_stride;
    std::vector<float> q, k, v, key_bias, out;
    Attention args{};

    AttentionCase(uint64_t seed, Shape s, float score_scale)
        : random(seed), shape(s), width(s.heads * s.head), q_stride(width + random.size(0, 1) * 2 * width),
          kv_stride(width + random.size(0, 1) * 3 * width), out_stride(width + random.size(0, 7)),
          q(random.normals((s.rows - 1) * q_stride + width, score_scale)),
          k(random.normals((s.keys - 1) * kv_stride + width)),
          v(random.normals((s.keys - 1) * kv_stride + width)), key_bias(random.normals(s.keys)),
          out(random.normals((s.rows - 1) * out_stride + width)) {
        for (float& b : key_bias)
            if (random.size(0, 3) == 0) b = -std::numeric_limits<float>::infinity();
        key_bias[random.size(0, s.keys - 1)] = 1.f; // one key at least
        args = {q.data(),   k.data(),  v.data(),  random.coin() ? key_bias.data() : nullptr,
                out.data(), s.keys,    s.head,    q_stride,
                kv_stride,  kv_stride, out_stride};
    }
    // The exponent of a weight is a sum of products in float32: 4 ulp of the sum of their sizes, and the
    // weights multiply values.
    double tolerance(size_t r, size_t h) const {
        double exponent = 0, value = 0;
        for (size_t n = 0; n < shape.keys; n++) {
            double size = 0;
            for (size_t i = 0; i < shape.head; i++) {
                const size_t column = h * shape.head + i;
                size += std::fabs(q[r * q_stride + column] * k[n * kv_stride + column]);
                value = std::max<double>(value, std::fabs(v[n * kv_stride + column]));
            }
            exponent = std::max(exponent, size / std::sqrt(static_cast<double>(shape.head)));
        }
        return ulp * value * (8 + 4 * exponent);
    }
};

void compare_all(const AttentionCase& c, const std::vector<float>& fast, const std::vector<float>& plain) {
    std::vector<double> allowed(c.shape.rows * c.shape.heads);
    for (size_t i = 0; i < allowed.size(); i++)
        allowed[i] = c.tolerance(i / c.shape.heads, i % c.shape.heads);
    compare(
        "attention", plain.size(), [&](size_t i) { return fast[i]; }, [&](size_t i) { return plain[i]; },
        [&](size_t i) {
            const size_t r = i / c.out_stride, column = i % c.out_stride;
            return column < c.width ? allowed[r * c.shape.heads + column / c.shape.head] : 0.;
        });
}

TEST(attention) {
    each_target([] {
        for (uint64_t seed = 0; seed < 60; seed++) {
            Random random(seed);
            const size_t head = random.coin() ? 8 * random.size(1, 32) : random.size(1, 40);
            const Shape shape{random.size(1, 40), random.coin() ? random.size(1, 70) : random.size(1, 900),
                              random.size(1, 2), head};
            AttentionCase c(seed, shape, random.coin() ? 1.f : 20.f);
            std::vector<float> plain = c.out;
            for (size_t h = 0; h < shape.heads; h++) {
                const size_t middle = random.size(0, shape.rows);
                attention(c.args, h, 0, middle);
                attention(c.args, h, middle, shape.rows);
            }
            std::swap(plain, c.out);
            c.args.out = c.out.data();
            for (size_t h = 0; h < shape.heads; h++) plain::attention(c.args, h, 0, shape.rows);
            compare_all(c, plain, c.out);
        }
    });
}

// More rows and keys than one round of the fast one takes.
TEST(attention_in_many_blocks) {
    each_target([] {
        AttentionCase c(1, {800, 1500, 1, 24}, 3.f);
        std::vector<float> plain = c.out;
        attention(c.args, 0, 0, 800);
        c.args.out = plain.data();
        plain::attention(c.args, 0, 0, 800);
        compare_all(c, c.out, plain);
    });
}

// Largest score last: every earlier block's sums are corrected, by a factor that is 0 in float32.
TEST(attention_to_a_late_key) {
    each_target([] {
        AttentionCase c(2, {7, 2000, 1, 16}, 1.f);
        c.args.key_bias = c.key_bias.data();
        std::fill(c.key_bias.begin(), c.key_bias.end(), 0.f);
        c.key_bias.back() = 500.f;
        attention(c.args, 0, 0, 7);
        for (size_t r = 0; r < 7; r++)
            for (size_t i = 0; i < 16; i++)
                CHECK_EQ(c.out[r * c.out_stride + i], c.v[1999 * c.kv_stride + i]);
    });
}

TEST(attention_of_a_row_alone) {
    each_target([] {
        AttentionCase c(3, {50, 300, 1, 40}, 1.f);
        attention(c.args, 0, 0, 50);
        const std::vector<float> together = c.out;
        for (size_t r = 0; r < 50; r++) attention(c.args, 0, r, r + 1);
        CHECK(c.out == together);
    });
}

TEST(attention_keeps_not_a_number) {
    each_target([] {
        AttentionCase c(4, {9, 40, 1, 16}, 1.f);
        c.args.key_bias = nullptr;
        c.q[3 * c.q_stride + 5] = NAN;
        attention(c.args, 0, 0, 9);
        for (size_t r = 0; r < 9; r++)
            for (size_t i = 0; i < 16; i++) CHECK_EQ(std::isnan(c.out[r * c.out_stride + i]), r == 3);
    });
}

TEST(attention_by_hand) {
    // scores ln 3 and 0 (head 1, no scaling): weights 3/4 and 1/4
    const float q = std::log(3.f), k[2] = {1, 0}, v[2] = {8, 4};
    float out;
    const Attention a{&q, k, v, nullptr, &out, 2, 1, 1, 1, 1, 1};
    plain::attention(a, 0, 0, 1);
    CHECK_NEAR(out, 7, 1e-6);
    const float left_out[2] = {-INFINITY, 0};
    Attention biased = a;
    biased.key_bias = left_out;
    plain::attention(biased, 0, 0, 1);
    CHECK_EQ(out, 4.f);
}

void timings() {
    std::printf("%-44s %9s %9s %8s %9s\n", "attention, GFLOP/s (4 rows keys heads head)", "plain", "fast",
                "ratio", "");
    for (Shape s :
         {Shape{180, 180, 4, 48}, Shape{540, 540, 1, 48}, Shape{540, 77, 2, 48}, Shape{180, 180, 2, 128}}) {
        AttentionCase c(1, s, 1.f);
        const double flop = 4. * s.rows * s.keys * s.heads * s.head;
        const auto all = [&](void (*kernel)(const Attention&, size_t, size_t, size_t)) {
            return flop / 1e9 / best_seconds([&] {
                       for (size_t h = 0; h < s.heads; h++) kernel(c.args, h, 0, s.rows);
                   });
        };
        const double slow = all(plain::attention), fast = all(attention);
        char what[80];
        std::snprintf(what, sizeof what, "rows %zu keys %zu heads %zu head %zu", s.rows, s.keys, s.heads,
                      s.head);
        std::printf("%-44s %9.2f %9.2f %8.1f\n", what, slow, fast, fast / slow);
    }
}

} // namespace

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
