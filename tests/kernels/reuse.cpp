// SPDX-License-Identifier: LGPL-2.1-or-later
// What caches keep of a chunk's tokens and what they make of it, against the plain version.
#include <limits>

#include "fuzz.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

constexpr float nan_ = std::numeric_limits<float>::quiet_NaN();

// A chunk of which some tokens were computed. `kind`: 0 keeps nothing, 1 repeats, 2 extrapolates.
struct Chunk {
    Random random;
    Store store;
    size_t rows, width, computed = 0;
    std::vector<int32_t> row;
    Activations in, x, residual, slope, out;
    std::vector<float> level;
    Reuse args{};

    Chunk(uint64_t seed, Store store, int kind, size_t rows, size_t width)
        : random(seed), store(store), rows(rows), width(width), row(rows),
          in(random.normals(rows * width), store), x(random.normals(rows * width), store),
          residual(random.normals(rows * width), store), slope(random.normals(rows * width), store),
          out(std::vector<float>(rows * width, nan_), store), level(rows) {
        const float now = 0.5f;
        for (size_t t = 0; t < rows; t++) {
            const bool here = kind == 0 || random.coin();
            row[t] = here ? int32_t(computed++) : -1;
            // Computed before at another level, at this one, or never.
            const size_t before = random.size(0, 5);
            level[t] = before == 0 && here ? nan_ : before == 1 ? now : 0.5f + 0.1f * float(before);
        }
        args = {in.data(),
                x.data(),
                row.data(),
                kind ? residual.data() : nullptr,
                kind == 2 ? slope.data() : nullptr,
                kind == 2 ? level.data() : nullptr,
                now,
                out.data(),
                rows,
                width,
                store};
    }
};

void compare_chunks(const Chunk& fast, const Chunk& plain) {
    // One product and two additions of numbers of about 1, in float32; slopes are a division by 0.1 and more.
    const bool exact_bits = fast.store == Store::F32;
    const auto near = [&](const char* what, const Activations& a, const Activations& b, double size) {
        compare(
            what, b.size(), [&](size_t i) { return a.at(i); }, [&](size_t i) { return b.at(i); },
            [&](size_t i) { return (exact_bits ? 4 * ulp : bf16_ulp) * (size + std::fabs(b.at(i))); },
            !exact_bits);
    };
    near("out", fast.out, plain.out, 4);
    near("residual", fast.residual, plain.residual, 0);
    near("slope", fast.slope, plain.slope, 40);
    compare(
        "level", plain.rows, [&](size_t i) { return fast.level[i]; },
        [&](size_t i) { return plain.level[i]; }, [](size_t) { return 0.; });
}

} // namespace

TEST(reuse) {
    each_target([] {
        for (Store store : stores)
            for (int kind = 0; kind < 3; kind++)
                for (uint64_t seed = 0; seed < 20; seed++) {
                    Random random(seed);
                    const size_t rows = random.size(1, 9), width = random.coin() ? random.size(1, 40) : 192;
                    Chunk fast(seed, store, kind, rows, width), plain(seed, store, kind, rows, width);
                    reuse(fast.args);
                    plain::reuse(plain.args);
                    compare_chunks(fast, plain);
                }
    });
}

TEST(reuse_by_hand) {
    const float x[2] = {10, 20}; // one computed token
    const int32_t row[3] = {-1, 0, -1};
    const float in[6] = {1, 1, 2, 2, 3, 3};
    float residual[6] = {5, 6, 7, 8, 9, 10}, slope[6] = {1, 2, 0, 0, 0, 0}, level[3] = {0.75f, 0.5f, 0.25f},
          out[6];
    plain::reuse({in, x, row, residual, slope, level, 0.25f, out, 3, 2, Store::F32});
    const float outs[6] = {5.5f, 6,  10,
                           20,   12, 13}; // token 0: 1 + 5 - 0.5, 1 + 6 - 1; token 2: its level has not moved
    const float residuals[6] = {5, 6, 8, 18, 9, 10}, slopes[6] = {1, 2, -4, -40, 0, 0};
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(out[i], outs[i]);
        CHECK_EQ(residual[i], residuals[i]);
        CHECK_EQ(slope[i], slopes[i]);
    }
    CHECK_EQ(level[1], 0.25f);
    CHECK_EQ(level[0], 0.75f);
}

static void timings() {
    for (Store store : stores)
        for (int kind : {1, 2}) {
            char what[60];
            std::snprintf(what, sizeof what, "reuse 180x192 %s%s", name(store), kind == 2 ? " taylor" : "");
            Chunk fast(1, store, kind, 180, 192), plain(1, store, kind, 180, 192);
            const size_t n = 180 * 192, bytes = n * (store == Store::BF16 ? 2 : 4);
            time_beside(
                what, n, bytes * (kind == 2 ? 4 : 3), [&] { reuse(fast.args); },
                [&] { plain::reuse(plain.args); });
        }
}

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
