// SPDX-License-Identifier: LGPL-2.1-or-later
// The VAE's convolution against its plain version, and against itself cut into pieces.
#include "fuzz.h"

#include "kernels/conv.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

// Pictures with a border, a filter of `times` x `reach` x `reach` pixels, outputs `stride` pixels apart.
struct Case {
    size_t times, reach, stride, in_channels, rows, columns, out_channels, k;
    size_t in_step, in_row;
    std::vector<std::vector<float>> pictures;
    std::vector<const float*> taps;
    std::vector<float> weights, packed, bias;
    Conv args{};

    Case(Random& random, size_t times, size_t reach, size_t stride, size_t in_channels, size_t rows,
         size_t columns, size_t out_channels)
        : times(times), reach(reach), stride(stride), in_channels(in_channels), rows(rows), columns(columns),
          out_channels(out_channels), k(times * reach * reach * in_channels), in_step(stride * in_channels),
          in_row(stride * (stride * columns + reach) * in_channels),
          weights(random.normals(k * out_channels)), packed(conv_packed_size(k, out_channels)),
          bias(random.normals(out_channels)) {
        const size_t line = in_row / stride;
        for (size_t t = 0; t < times; t++) {
            pictures.push_back(random.normals((stride * rows + reach) * line));
            for (size_t r = 0; r < reach; r++) taps.push_back(pictures[t].data() + r * line);
        }
        pack_conv(weights.data(), k, out_channels, packed.data());
        args.taps = taps.data();
        args.n_taps = taps.size();
        args.run = reach * in_channels;
        args.in_step = in_step;
        args.in_row = in_row;
        args.weights = packed.data();
        args.bias = bias.data();
        args.rows = rows;
        args.columns = columns;
        args.out_channels = out_channels;
    }
    Conv to(std::vector<float>& out, size_t gap, bool add) {
        Conv a = args;
        a.out = out.data();
        a.out_step = out_channels * (1 + gap);
        a.out_row = columns * a.out_step;
        a.add = add;
        return a;
    }
    // The sum of the products' sizes: what rounding is relative to.
    float scale(size_t r, size_t c, size_t o) const {
        float sum = std::fabs(bias[o]);
        for (size_t t = 0; t < taps.size(); t++)
            for (size_t i = 0; i < args.run; i++)
                sum += std::fabs(taps[t][r * in_row + c * in_step + i] *
                                 weights[(t * args.run + i) * out_channels + o]);
        return sum;
    }
};

size_t some_channels(Random& random) {
    return random.coin() ? random.size(1, 20) : 8 * random.size(1, 6);
}

Case some_case(Random& random) {
    const size_t times = random.coin() ? 3 : 1, reach = random.size(1, 3), stride = random.size(1, 2);
    return Case(random, times, reach, stride, some_channels(random), random.size(1, 3), random.size(1, 30),
                some_channels(random));
}

} // namespace

TEST(conv_equals_its_plain_version) {
    each_target([] {
        for (uint64_t seed = 0; seed < 60; seed++) {
            Random random(seed);
            Case c = some_case(random);
            const size_t gap = random.size(0, 1);
            const bool add = random.coin();
            const std::vector<float> before = random.normals(c.rows * c.columns * c.out_channels * (1 + gap));
            std::vector<float> fast = before, plain = before;
            conv(c.to(fast, gap, add));
            plain::conv(c.to(plain, gap, add));
            compare(
                "conv", fast.size(), [&](size_t i) { return fast[i]; }, [&](size_t i) { return plain[i]; },
                [&](size_t i) {
                    const size_t position = i / c.out_channels / (1 + gap);
                    if (i / c.out_channels % (1 + gap)) return 0.f; // between the outputs: not to be written
                    return 2 * ulp * std::sqrt(float(c.k)) *
                           (c.scale(position / c.columns, position % c.columns, i % c.out_channels) +
                            std::fabs(before[i]));
                });
        }
    });
}

// So many weights that they are taken in several portions.
TEST(conv_of_many_channels_equals_its_plain_version) {
    each_target([] {
        Random random(1);
        Case c(random, 3, 3, 1, 400, 1, 7, 19);
        std::vector<float> fast(7 * 19), plain(7 * 19);
        conv(c.to(fast, 0, false));
        plain::conv(c.to(plain, 0, false));
        compare(
            "conv", fast.size(), [&](size_t i) { return fast[i]; }, [&](size_t i) { return plain[i]; },
            [&](size_t i) { return 2 * ulp * std::sqrt(float(c.k)) * c.scale(0, i / 19, i % 19); });
    });
}

TEST(conv_does_not_depend_on_how_the_picture_is_cut) {
    each_target([] {
        for (uint64_t seed = 0; seed < 40; seed++) {
            Random random(seed);
            Case c = some_case(random);
            std::vector<float> whole(c.rows * c.columns * c.out_channels), parts = whole;
            conv(c.to(whole, 0, false));
            for (size_t r = 0; r < c.rows; r++)
                for (size_t first = 0, n; first < c.columns; first += n) {
                    n = std::min(random.size(1, 9), c.columns - first);
                    std::vector<const float*> taps = c.taps;
                    for (const float*& t : taps) t += r * c.in_row + first * c.in_step;
                    Conv a = c.to(parts, 0, false);
                    a.taps = taps.data();
                    a.out += (r * c.columns + first) * c.out_channels;
                    a.rows = 1;
                    a.columns = n;
                    conv(a);
                }
            CHECK(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)) == 0);
        }
    });
}

TEST(conv_by_hand) {
    const float in[] = {1, 2, 3}, weights[] = {10, 100}, bias[] = {0.5f};
    std::vector<float> packed(conv_packed_size(2, 1));
    pack_conv(weights, 2, 1, packed.data());
    const float* tap = in;
    float out[] = {1000, 2000};
    conv({&tap, 1, 2, 1, 2, packed.data(), bias, out, 1, 2, 1, 2, 1, true});
    CHECK_EQ(out[0], 1210.5f);
    CHECK_EQ(out[1], 2320.5f);
}

static void timings() {
    Random random(0);
    const size_t shapes[][4] = {{16, 16, 96, 160}, {16, 3, 96, 160}, {32, 32, 48, 80}, {64, 64, 24, 40},
                                {64, 64, 12, 20},  {96, 96, 32, 64}, {384, 384, 8, 16}};
    std::printf("3x3x3 convolutions; GFLOP/s is 2 over the ns per multiply-add\n");
    for (const auto& s : shapes) {
        Case c(random, 3, 3, 1, s[0], s[2], s[3], s[1]);
        std::vector<float> out(s[2] * s[3] * s[1]);
        const Conv a = c.to(out, 0, false);
        char what[80];
        std::snprintf(what, sizeof what, "conv %zu -> %zu channels, %zu x %zu", s[0], s[1], s[3], s[2]);
        time_beside(
            what, out.size() * c.k, (out.size() + 3 * s[2] * s[3] * s[0]) * sizeof(float), [&] { conv(a); },
            [&] { plain::conv(a); });
    }
}

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
