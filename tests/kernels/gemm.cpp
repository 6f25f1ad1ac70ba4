// SPDX-License-Identifier: LGPL-2.1-or-later
// The matrix product against its plain version.
#include "kernels/gemm.h"

#include <hwy/aligned_allocator.h>

#include <algorithm>

#include "fuzz.h"
#include "kernels/amx.h"
#include "kernels/tiles.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

Store weight_store(Store s) {
    return s == Store::F32 ? Store::F32 : Store::BF16;
}

struct Shape {
    size_t rows, out, in;
};

struct GemmCase {
    Random random;
    Store store;
    Shape shape;
    size_t first_out, first_in, weight_out, weight_in, a_stride, c_stride;
    Activations a, weight;
    hwy::AlignedFreeUniquePtr<uint8_t[]> packed;
    std::vector<float> bias, c;
    Gemm args{};

    // `inside`: a part of a bigger weight, between things that are not numbers.
    GemmCase(uint64_t seed, Store store, Shape s, bool inside)
        : random(seed), store(store), shape(s), first_out(inside ? 32 * random.size(0, 3) : 0),
          first_in(inside ? 2 * random.size(0, 20) : 0),
          weight_out(first_out + s.out + (inside ? random.size(0, 40) : 0)),
          weight_in(first_in + s.in + (inside ? random.size(0, 3) : 0)),
          a_stride(s.in + (inside ? random.size(0, 5) : 0)),
          c_stride(s.out + (inside ? random.size(0, 5) : 0)), a(normals(s.rows, s.in, a_stride), store),
          weight(weights(), weight_store(store)),
          packed(hwy::AllocateAligned<uint8_t>(packed_weight_bytes(weight_out, weight_in, store))),
          bias(random.normals(s.out)), c(random.normals((s.rows - 1) * c_stride + s.out)) {
        pack_weight(weight.data(), weight_out, weight_in, store, packed.get());
        args = {a.data(),      packed.get(),
                weight_in,     first_out,
                first_in,      random.coin() ? bias.data() : nullptr,
                c.data(),      s.rows,
                s.out,         s.in,
                a_stride,      c_stride,
                random.coin(), random.coin() ? packed.get() : nullptr,
                store};
    }
    std::vector<float> normals(size_t rows, size_t width, size_t stride) {
        std::vector<float> v((rows - 1) * stride + width, NAN);
        for (size_t i = 0; i < v.size(); i++)
            if (i % stride < width) v[i] = random.normal();
        return v;
    }
    std::vector<float> weights() {
        std::vector<float> v(weight_out * weight_in, NAN);
        for (size_t o = 0; o < shape.out; o++)
            for (size_t i = 0; i < shape.in; i++)
                v[(first_out + o) * weight_in + first_in + i] = random.normal();
        return v;
    }
    // Every addition rounds the sum so far by half an ulp of it, and where products are not fused each of
    // them is rounded too. The pairwise product adds twice for each pair: the same bound. Matrix units fuse; they add
    // up the first and the second of 16 pairs by themselves, then both, then that to the sum.
    double tolerance(size_t r, size_t o, float before, bool by_tiles) const {
        double sum = (args.accumulate ? before : 0.) + (args.bias ? bias[o] : 0.), sizes = 3 * std::fabs(sum);
        double tile[2] = {0, 0};
        for (size_t i = 0; i < shape.in; i++) {
            const double product =
                double(a.at(r * a_stride + i)) * weight.at((first_out + o) * weight_in + first_in + i);
            sum += product;
            if (!by_tiles) {
                sizes += std::fabs(sum) + std::fabs(product);
                continue;
            }
            tile[i % 2] += product;
            sizes += std::fabs(tile[i % 2]);
            if ((i + 1) % 32 && i + 1 < shape.in) continue;
            sizes += std::fabs(tile[0] + tile[1]) + std::fabs(sum);
            tile[0] = tile[1] = 0;
        }
        return ulp / 2 * (sizes + std::fabs(sum));
    }
    std::vector<float> with(const std::function<void(const Gemm&)>& gemm) const {
        std::vector<float> result = c;
        Gemm g = args;
        g.c = result.data();
        gemm(g);
        return result;
    }
};

bool uses_matrix_units(Store store) {
    return store == Store::BF16 && matrix_units() != MatrixUnits::NONE;
}

void compare_to_plain(const GemmCase& c, const std::function<void(const Gemm&)>& fast, bool by_tiles) {
    const std::vector<float> result = c.with(fast), expected = c.with(plain::gemm);
    compare(
        "gemm", c.c.size(), [&](size_t i) { return result[i]; }, [&](size_t i) { return expected[i]; },
        [&](size_t i) {
            const size_t r = i / c.c_stride, o = i % c.c_stride;
            return o < c.shape.out ? c.tolerance(r, o, c.c[i], by_tiles) : 0.;
        });
}

void fuzz_gemm(uint64_t seed, Store store) {
    Random random(seed);
    const Shape shape{random.size(1, 70), random.coin() ? 32 * random.size(1, 3) : random.size(1, 100),
                      random.coin() ? random.size(1, 20) : random.size(1, 150)};
    const GemmCase c(seed + 1, store, shape, random.coin());
    compare_to_plain(
        c, [](const Gemm& a) { gemm(a); }, uses_matrix_units(store));
    if (store != Store::BF16) return;
    // What processors with wide vectors but without the pairwise product do, and those with matrix units
    compare_to_plain(
        c, [](const Gemm& a) { gemm(a, highway_tiles(Store::BF16)); }, false);
    compare_to_plain(
        c, [](const Gemm& a) { gemm(a, emulated_amx_tiles()); }, true);
}

TEST(gemm) {
    each_target([] {
        for (Store store : stores)
            for (uint64_t seed = 0; seed < 60; seed++) fuzz_gemm(100 * seed, store);
    });
}

// More rows and ins than one round takes.
TEST(gemm_in_many_blocks) {
    each_target([] {
        for (Store store : stores)
            for (bool accumulate : {false, true}) {
                GemmCase c(1, store, {250, 33, 1051}, true);
                c.args.accumulate = accumulate;
                compare_to_plain(
                    c, [](const Gemm& a) { gemm(a); }, uses_matrix_units(store));
                if (store == Store::BF16)
                    compare_to_plain(
                        c, [](const Gemm& a) { gemm(a, emulated_amx_tiles()); }, true);
            }
    });
}

// The same bits in any neighbourhood of rows and panels.
void any_part(Store store, void (*gemm)(const Gemm&)) {
    for (uint64_t seed = 0; seed < 4; seed++) {
        const GemmCase c(seed, store, {250, 70, 1030 + seed}, true);
        const std::vector<float> whole = c.with(gemm);
        Random random(seed);
        const std::vector<float> parts = c.with([&](Gemm g) {
            for (size_t rows, left = g.rows; left; left -= rows) {
                rows = std::min(left, random.size(1, 50));
                g.rows = rows;
                const size_t first = 32 * random.size(0, 2);
                Gemm part = g;
                part.out = first;
                if (first) gemm(part);
                part.first_out += first;
                if (part.bias) part.bias += first;
                part.c += first;
                part.out = c.shape.out - first;
                gemm(part);
                g.a = static_cast<const char*>(g.a) +
                      rows * g.a_stride * (store == Store::BF16 ? sizeof(bf16) : sizeof(float));
                g.c += rows * g.c_stride;
            }
        });
        CHECK(whole == parts);
    }
}

TEST(gemm_of_any_part) {
    each_target([] {
        for (Store store : stores) any_part(store, gemm);
    });
    any_part(Store::BF16, [](const Gemm& a) { gemm(a, emulated_amx_tiles()); });
}

// Ins cut after whole tiles: how feed-forward layers are computed in parts.
TEST(gemm_goes_on_after_32_ins) {
    for (bool emulated : {false, true}) {
        const auto product = [&](const Gemm& g) { emulated ? gemm(g, emulated_amx_tiles()) : gemm(g); };
        const GemmCase c(5, Store::BF16, {45, 64, 300}, false);
        const std::vector<float> whole = c.with(product);
        CHECK(whole == c.with([&](Gemm g) {
            for (size_t first = 0; first < 300; first += 96) {
                g.in = std::min<size_t>(96, 300 - first);
                g.first_in = first;
                g.a = static_cast<const bf16*>(c.args.a) + first;
                product(g);
                g.bias = nullptr;
                g.accumulate = true;
            }
        }));
    }
}

// The processor's own instructions and their emulation.
TEST(amx_is_as_emulated) {
    if (!amx_permitted()) SKIP("this processor has no AMX, or the system does not let this process use it");
    for (uint64_t seed = 0; seed < 60; seed++) {
        Random random(seed);
        const Shape shape{random.size(1, 70), random.size(1, 100), random.size(1, 150)};
        const GemmCase c(seed, Store::BF16, shape, random.coin());
        CHECK(c.with([](const Gemm& a) { gemm(a, amx_tiles()); }) ==
              c.with([](const Gemm& a) { gemm(a, emulated_amx_tiles()); }));
    }
}

TEST(weight_packed_and_back) {
    for (Store store : stores)
        for (Shape s : {Shape{0, 1, 1}, Shape{0, 32, 2}, Shape{0, 33, 7}, Shape{0, 100, 64}}) {
            Random random(1);
            Activations weight(random.normals(s.out * s.in), weight_store(store)), back = weight;
            const size_t bytes = packed_weight_bytes(s.out, s.in, store);
            auto packed = hwy::AllocateAligned<uint8_t>(bytes);
            std::fill_n(packed.get(), bytes, 0xff);
            pack_weight(weight.data(), s.out, s.in, store, packed.get());
            std::memset(back.data(), 0xff, s.out * s.in * (store == Store::F32 ? 4 : 2));
            unpack_weight(packed.get(), s.out, s.in, store, back.data());
            compare(
                "unpacked", weight.size(), [&](size_t i) { return back.at(i); },
                [&](size_t i) { return weight.at(i); }, [](size_t) { return 0.; });
            // and nothing but zeros besides
            const size_t zeros = std::count(packed.get(), packed.get() + bytes, uint8_t{0});
            const size_t ins = store == Store::F32 ? s.in : (s.in + 1) / 2 * 2, outs = (s.out + 31) / 32 * 32;
            const size_t element = store == Store::F32 ? 4 : 2;
            CHECK_EQ(bytes, outs * ins * element);
            CHECK(zeros >= (outs * ins - s.out * s.in) * element);
        }
}

TEST(gemm_by_hand) {
    const float a[4] = {1, 2, 3, 4}, weight[4] = {10, 100, 1, 0}, bias[2] = {0.5f, 0};
    auto packed = hwy::AllocateAligned<float>(64);
    pack_weight(weight, 2, 2, Store::F32, packed.get());
    float c[4] = {1000, 0, 0, 0};
    Gemm g{a, packed.get(), 2, 0, 0, bias, c, 2, 2, 2, 2, 2, true, nullptr, Store::F32};
    plain::gemm(g);
    const float expected[4] = {1210.5f, 1, 430.5f, 3};
    for (int i = 0; i < 4; i++) CHECK_EQ(c[i], expected[i]);
    g.accumulate = false;
    gemm(g);
    CHECK_EQ(c[0], 210.5f);
}

// Beside what runs without matrix units.
void time_amx(const std::vector<Shape>& shapes) {
    if (!amx_permitted())
        return void(std::puts(
            "gemm by AMX: not timed, as this processor has none or the system does not let this process use it"));
    for (Shape s : shapes) {
        const GemmCase c(1, Store::BF16, s, false);
        const double fast = best_seconds([&] { gemm(c.args, amx_tiles()); }),
                     slow = best_seconds(
                         [&] { gemm(c.args, bf16_dot() ? bf16_dot_tiles() : highway_tiles(Store::BF16)); }),
                     gflop = 2e-9 * double(s.rows * s.out * s.in);
        char what[80];
        std::snprintf(what, sizeof what, "%zux%zux%zu AMX, beside pairs", s.rows, s.out, s.in);
        std::printf("%-44s %9.2f %9.2f %8.1f\n", what, gflop / slow, gflop / fast, slow / fast);
    }
}

void timings() {
    std::printf("%-44s %9s %9s %8s   time of fewer rows, in units of their share\n",
                "gemm, GFLOP/s (2 rows out in)", "plain", "fast", "ratio");
    std::vector<Shape> shapes = {{96, 576, 192}, {96, 192, 768}, {96, 768, 192}};
    if (patience() > 0.1)
        shapes.insert(shapes.end(), {{240, 1536, 1536}, {240, 8960, 1536}, {240, 1536, 8960}});
    for (Store store : stores)
        for (Shape s : shapes) {
            GemmCase c(1, store, s, false);
            const auto seconds_of_a_row = [&](void (*kernel)(const Gemm&), size_t rows) {
                c.args.rows = rows;
                return best_seconds([&] { kernel(c.args); }) / double(rows);
            };
            const double fast = seconds_of_a_row(gemm, s.rows), slow = seconds_of_a_row(plain::gemm, 1);
            const double gflop = 2e-9 * double(s.out * s.in);
            char what[80];
            std::snprintf(what, sizeof what, "%zux%zux%zu %s", s.rows, s.out, s.in, name(store));
            std::printf("%-44s %9.2f %9.2f %8.1f  ", what, gflop / slow, gflop / fast, slow / fast);
            for (size_t rows : {36, 18, 12, 6, 1})
                std::printf(" %zu: %.2f", rows, seconds_of_a_row(gemm, rows) / fast);
            std::puts("");
        }
    time_amx(shapes);
}

} // namespace

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
