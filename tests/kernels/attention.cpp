// SPDX-License-Identifier: LGPL-2.1-or-later
// Attention over packed keys and values against its plain version.
#include "kernels/attention.h"

#include <hwy/aligned_allocator.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "fuzz.h"
#include "kernels/amx.h"
#include "kernels/tiles.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

struct Shape {
    size_t rows, keys, heads, head;
    size_t capacity = 0; // keys when 0
    size_t more = 0;     // keys in a second range
    size_t queries = 1;  // heads of q that share a head of keys
};

struct AttentionCase {
    Random random;
    Store store;
    Shape shape;
    size_t width, q_width, q_stride, k_stride, v_stride, out_stride; // width: of keys
    Activations q, k, out;
    std::vector<float> v, key_bias;
    std::vector<int32_t> slots; // of the rows of k and v: every one, in any order
    hwy::AlignedFreeUniquePtr<uint8_t[]> memory, memory_of_more;
    KeyValues kv{};
    std::vector<KeyRange> ranges;
    Attention args{};

    AttentionCase(uint64_t seed, Store store, Shape s, float score_scale)
        : random(seed), store(store), shape(s), width(s.heads * s.head), q_width(width * s.queries),
          q_stride(q_width + random.size(0, 1) * 2 * q_width),
          k_stride(width + random.size(0, 1) * 3 * width), v_stride(width + random.size(0, 5)),
          out_stride(q_width + random.size(0, 7)),
          q(random.normals((s.rows - 1) * q_stride + q_width, score_scale), store),
          k(random.normals((capacity() - 1) * k_stride + width), store),
          out(random.normals((s.rows - 1) * out_stride + q_width), store),
          v(random.normals((capacity() - 1) * v_stride + width)), key_bias(random.normals(s.keys + s.more)),
          slots(capacity()) {
        for (float& b : key_bias)
            if (random.size(0, 3) == 0) b = -std::numeric_limits<float>::infinity();
        key_bias[random.size(0, s.keys - 1)] = 1.f; // one key at least
        std::iota(slots.begin(), slots.end(), 0);
        for (size_t i = slots.size() - 1; i > 0; i--) std::swap(slots[i], slots[random.size(0, i)]);
        const size_t bytes = key_value_bytes(capacity(), s.heads, s.head, store);
        memory = hwy::AllocateAligned<uint8_t>(bytes);
        std::fill_n(memory.get(), bytes, uint8_t{0});
        kv = {memory.get(), capacity(), s.heads, s.head, store};
        ranges.push_back({kv, s.keys});
        if (s.more) {
            const size_t room = s.more + random.size(0, 40),
                         bytes_of_more = key_value_bytes(room, s.heads, s.head, store);
            memory_of_more = hwy::AllocateAligned<uint8_t>(bytes_of_more);
            std::fill_n(memory_of_more.get(), bytes_of_more, uint8_t{0});
            ranges.push_back({{memory_of_more.get(), room, s.heads, s.head, store}, s.more});
            Activations keys(random.normals(s.more * width), store);
            const std::vector<float> values = random.normals(s.more * width);
            write_keys(ranges[1].kv, nullptr, 0, keys.data(), width, values.data(), width, s.more);
        }
        args.q = q.data();
        args.ranges = ranges.data();
        args.range_count = ranges.size();
        args.key_bias = random.coin() ? key_bias.data() : nullptr;
        args.out = out.data();
        args.q_stride = q_stride;
        args.out_stride = out_stride;
        args.queries_per_key = s.queries;
    }
    size_t capacity() const { return shape.capacity ? shape.capacity : shape.keys; }
    void write(size_t first, size_t last) {
        if (first == last) return;
        write_keys(kv, slots.data() + first, 0, element(k.data(), first * k_stride, store), k_stride,
                   v.data() + first * v_stride, v_stride, last - first);
    }
    void write_all() { write(0, capacity()); }
    Activations with(const std::function<void(const Attention&, size_t, size_t, size_t)>& attention) {
        Activations result = out;
        Attention a = args;
        a.out = result.data();
        for (size_t h = 0; h < shape.heads; h++) attention(a, h, 0, shape.rows);
        return result;
    }
};

// The exponent of a weight is a sum of products in float32: 4 ulp of the sum of their sizes, and the weights
// multiply values. As bfloat16 a weight and their total are off by half a bfloat16 ulp each.
std::vector<double> tolerances(const AttentionCase& c) {
    const Shape& s = c.shape;
    const size_t count = s.keys + s.more, heads = s.heads * s.queries;
    std::vector<float> keys(count * c.width), values(count * c.width);
    for (size_t n = 0; n < count; n++) {
        const bool first = n < s.keys;
        read_key(c.ranges[first ? 0 : 1].kv, first ? n : n - s.keys, &keys[n * c.width],
                 &values[n * c.width]);
    }
    std::vector<double> allowed(s.rows * heads);
    for (size_t r = 0; r < s.rows; r++)
        for (size_t h = 0; h < heads; h++) {
            double exponent = 0, value = 0;
            for (size_t n = 0; n < count; n++) {
                double size = 0;
                for (size_t i = 0; i < s.head; i++) {
                    const size_t at = n * c.width + h / s.queries * s.head + i;
                    size += std::fabs(c.q.at(r * c.q_stride + h * s.head + i) * keys[at]);
                    value = std::max<double>(value, std::fabs(values[at]));
                }
                size /= std::sqrt(double(s.head));
                if (c.args.key_bias && std::isfinite(c.args.key_bias[n]))
                    size += std::fabs(c.args.key_bias[n]);
                exponent = std::max(exponent, size);
            }
            allowed[r * heads + h] =
                value * (ulp * (8 + 4 * exponent) + (c.store == Store::BF16 ? bf16_ulp : 0));
        }
    return allowed;
}

void compare_all(const AttentionCase& c, const std::vector<double>& allowed, const Activations& fast,
                 const Activations& plain) {
    compare(
        "attention", plain.size(), [&](size_t i) { return fast.at(i); },
        [&](size_t i) { return plain.at(i); },
        [&](size_t i) {
            const size_t r = i / c.out_stride, column = i % c.out_stride;
            if (column >= c.q_width) return 0.;
            return allowed[r * c.shape.heads * c.shape.queries + column / c.shape.head] +
                   (c.store == Store::F32 ? 0 : bf16_ulp * std::fabs(plain.at(i)));
        });
}

void compare_to_plain(AttentionCase& c) {
    const std::vector<double> allowed = tolerances(c);
    const Activations plain = c.with(plain::attention);
    each_target([&] {
        compare_all(c, allowed, c.with([&](const Attention& a, size_t h, size_t first, size_t last) {
            const size_t middle = c.random.size(first, last);
            attention(a, h, first, middle);
            attention(a, h, middle, last);
        }),
                    plain);
        if (c.store != Store::BF16) return;
        // What processors with wide vectors but without the pairwise product do, and those with matrix units
        for (const Tiles& tiles : {highway_tiles(Store::BF16), emulated_amx_tiles()})
            compare_all(c, allowed, c.with([&](const Attention& a, size_t h, size_t first, size_t last) {
                const size_t middle = c.random.size(first, last);
                attention(a, h, first, middle, tiles);
                attention(a, h, middle, last, tiles);
            }),
                        plain);
    });
}

TEST(attention) {
    for (Store store : stores)
        for (uint64_t seed = 0; seed < 60; seed++) {
            Random random(seed);
            const size_t head = random.coin() ? 8 * random.size(1, 32) : random.size(1, 40);
            Shape shape{random.size(1, 70), random.coin() ? random.size(1, 70) : random.size(1, 900),
                        random.size(1, 2), head};
            shape.capacity = shape.keys + random.size(0, 70);
            AttentionCase c(seed, store, shape, random.coin() ? 1.f : 20.f);
            // what is written after this stays out, as what is never written does not
            c.write(0, random.size(0, shape.capacity));
            compare_to_plain(c);
        }
}

// Keys of two pages, and heads of q that share one of keys.
TEST(attention_over_ranges) {
    for (Store store : stores)
        for (uint64_t seed = 0; seed < 40; seed++) {
            Random random(seed + 1000);
            Shape shape{random.size(1, 30), random.coin() ? random.size(1, 70) : random.size(1, 700),
                        random.size(1, 3), random.coin() ? 8 * random.size(1, 16) : random.size(1, 40)};
            shape.capacity = shape.keys + random.size(0, 70);
            shape.more = random.coin() ? random.size(1, 70) : random.size(1, 700);
            shape.queries = random.size(1, 6);
            AttentionCase c(seed, store, shape, random.coin() ? 1.f : 20.f);
            c.write_all();
            compare_to_plain(c);
        }
    for (Store store : stores) { // more rows than one round takes
        Shape shape{420, 300, 1, 24};
        shape.queries = 3;
        shape.more = 40;
        AttentionCase c(2, store, shape, 3.f);
        c.write_all();
        compare_to_plain(c);
    }
}

// More rows and keys than one round of the fast one takes.
TEST(attention_in_many_blocks) {
    for (Store store : stores) {
        AttentionCase c(1, store, {300, 1500, 1, 24}, 3.f);
        c.write_all();
        compare_to_plain(c);
    }
}

// Each block of keys has larger scores than those before it: sums are corrected every time.
TEST(attention_to_rising_scores) {
    for (Store store : stores) {
        AttentionCase c(8, store, {20, 3000, 1, 48}, 1.f);
        c.write_all();
        c.args.key_bias = c.key_bias.data();
        for (size_t n = 0; n < c.key_bias.size(); n++) c.key_bias[n] = 0.005f * float(n);
        compare_to_plain(c);
    }
}

// Keys that take no part are no numbers: in the panel of the last one that does, and in its pair.
TEST(attention_beside_garbage) {
    for (Store store : stores)
        for (size_t keys : {1, 31, 32, 33, 63, 99}) {
            AttentionCase c(keys, store, {13, keys, 1, 20, 128}, 1.f);
            const std::vector<float> nothing(20, NAN);
            Activations stored(nothing, store);
            c.write_all();
            for (size_t n = keys; n < 128; n++)
                write_keys(c.kv, nullptr, n, stored.data(), 20, nothing.data(), 20, 1);
            compare_to_plain(c);
        }
}

// Largest score last: every earlier block's sums are corrected, by a factor that is 0 in float32.
TEST(attention_to_a_late_key) {
    each_target([] {
        for (Store store : stores) {
            AttentionCase c(2, store, {7, 2000, 1, 16}, 1.f);
            c.write_all();
            c.args.key_bias = c.key_bias.data();
            std::fill(c.key_bias.begin(), c.key_bias.end(), 0.f);
            c.key_bias.back() = 500.f;
            const Activations out = c.with([](auto&&... a) { attention(a...); });
            float key[16], value[16];
            read_key(c.kv, 1999, key, value);
            for (size_t r = 0; r < 7; r++)
                for (size_t i = 0; i < 16; i++) CHECK_EQ(out.at(r * c.out_stride + i), value[i]);
        }
    });
}

// The same bits in any neighbourhood of rows, and wherever they are written.
void any_rows(Store store, void (*attention)(const Attention&, size_t, size_t, size_t)) {
    AttentionCase c(3, store, {230, 300, 2, 40}, 1.f);
    c.write_all();
    const Activations together = c.with(attention);
    Activations apart = c.q;
    c.args.q = c.args.out = apart.data();
    c.args.out_stride = c.q_stride;
    for (size_t h = 0; h < 2; h++)
        for (size_t r = 0, n; r < 230; r += n) {
            n = std::min(230 - r, c.random.size(1, 50));
            attention(c.args, h, r, r + n);
        }
    for (size_t r = 0; r < 230; r++)
        for (size_t i = 0; i < c.width; i++)
            CHECK_EQ(apart.at(r * c.q_stride + i), together.at(r * c.out_stride + i));
}

TEST(attention_of_any_rows) {
    each_target([] {
        for (Store store : stores) any_rows(store, attention);
    });
    any_rows(Store::BF16, [](const Attention& a, size_t h, size_t first, size_t last) {
        attention(a, h, first, last, emulated_amx_tiles());
    });
}

// The processor's own instructions and their emulation.
TEST(amx_attention_is_as_emulated) {
    if (!amx_permitted()) SKIP("this processor has no AMX, or the system does not let this process use it");
    for (uint64_t seed = 0; seed < 20; seed++) {
        Random random(seed);
        AttentionCase c(seed, Store::BF16, {random.size(1, 70), random.size(1, 700), 2, random.size(1, 130)},
                        1.f);
        c.write_all();
        const auto by = [&](const Tiles& tiles) {
            return c.with([&](const Attention& a, size_t h, size_t first, size_t last) {
                attention(a, h, first, last, tiles);
            });
        };
        const Activations own = by(amx_tiles()), emulated = by(emulated_amx_tiles());
        for (size_t i = 0; i < own.size(); i++) CHECK_EQ(own.at(i), emulated.at(i));
    }
}

TEST(attention_keeps_not_a_number) {
    each_target([] {
        for (Store store : stores) {
            AttentionCase c(4, store, {9, 40, 1, 16}, 1.f);
            c.write_all();
            c.args.key_bias = nullptr;
            std::vector<float> with_nan(c.q.size());
            for (size_t i = 0; i < with_nan.size(); i++) with_nan[i] = c.q.at(i);
            with_nan[3 * c.q_stride + 5] = NAN;
            c.q = Activations(with_nan, store);
            c.args.q = c.q.data();
            const Activations out = c.with([](auto&&... a) { attention(a...); });
            for (size_t r = 0; r < 9; r++)
                for (size_t i = 0; i < 16; i++) CHECK_EQ(std::isnan(out.at(r * c.out_stride + i)), r == 3);
        }
    });
}

// Written in any order, one at a time or together, and over what was there: the last one counts.
TEST(keys_written_and_read) {
    for (Store store : stores)
        for (uint64_t seed = 0; seed < 20; seed++) {
            Random random(seed);
            AttentionCase c(seed, store, {1, random.size(1, 100), random.size(1, 3), random.size(1, 70)},
                            1.f);
            const size_t keys = c.shape.keys;
            for (size_t n = 0; n < keys; n++) // first the wrong ones
                write_keys(c.kv, nullptr, n, element(c.k.data(), (keys - 1) / 2 * c.k_stride, store),
                           c.k_stride, c.v.data(), c.v_stride, 1);
            const size_t middle = random.size(0, keys);
            c.write(middle, keys);
            c.write(0, middle);
            std::vector<float> key(c.width), value(c.width);
            for (size_t r = 0; r < keys; r++) {
                read_key(c.kv, c.slots[r], key.data(), value.data());
                for (size_t i = 0; i < c.width; i++) {
                    CHECK_EQ(key[i], c.k.at(r * c.k_stride + i));
                    CHECK_EQ(value[i], round_as(c.v[r * c.v_stride + i], store));
                }
            }
            const size_t bytes = key_value_bytes(keys, c.shape.heads, c.shape.head, store);
            const std::vector<uint8_t> scattered(c.memory.get(), c.memory.get() + bytes);
            for (size_t r = 0; r < keys; r++)
                write_keys(c.kv, nullptr, c.slots[r], element(c.k.data(), r * c.k_stride, store), 0,
                           c.v.data() + r * c.v_stride, 0, 1);
            CHECK(std::equal(scattered.begin(), scattered.end(), c.memory.get()));
            CHECK_EQ(bytes / c.shape.heads % 64, size_t{0});
        }
}

// A key moved to another page keeps every bit.
TEST(keys_copied) {
    for (Store store : stores) {
        AttentionCase a(5, store, {1, 70, 2, 24}, 1.f), b(6, store, {1, 90, 2, 24}, 1.f);
        a.write_all();
        b.write_all();
        std::vector<float> key(48), value(48), was_key(48), was_value(48), of_a_key(48), of_a_value(48);
        read_key(b.kv, 83, was_key.data(), was_value.data());
        read_key(a.kv, 66, of_a_key.data(), of_a_value.data());
        copy_key(a.kv, 66, b.kv, 83, 1);
        read_key(b.kv, 83, key.data(), value.data());
        for (size_t i = 0; i < 48; i++) {
            CHECK_EQ(key[i], i < 24 ? was_key[i] : of_a_key[i]);
            CHECK_EQ(value[i], i < 24 ? was_value[i] : of_a_value[i]);
        }
    }
}

TEST(attention_by_hand) {
    // scores ln 3 and 0 (head 1, no scaling): weights 3/4 and 1/4
    auto memory = hwy::AllocateAligned<float>(64);
    std::fill_n(memory.get(), 64, 0.f);
    CHECK_EQ(key_value_bytes(2, 1, 1, Store::F32), 64 * sizeof(float));
    const float q = std::log(3.f), k[2] = {1, 0}, v[2] = {8, 4};
    float out;
    KeyRange range{{memory.get(), 2, 1, 1, Store::F32}, 2};
    Attention a{&q, &range, 1, nullptr, &out, 1, 1};
    write_keys(range.kv, nullptr, 0, k, 1, v, 1, 2);
    plain::attention(a, 0, 0, 1);
    CHECK_NEAR(out, 7, 1e-6);
    const float left_out[2] = {-INFINITY, 0};
    a.key_bias = left_out;
    plain::attention(a, 0, 0, 1);
    CHECK_EQ(out, 4.f);
    a.key_bias = nullptr;
    range.keys = 1;
    plain::attention(a, 0, 0, 1);
    CHECK_EQ(out, 8.f);
}

void timings() {
    std::printf("%-44s %9s %9s %8s   time of fewer rows, in units of their share\n",
                "attention, GFLOP/s (4 rows keys heads head)", "plain", "fast", "ratio");
    std::vector<Shape> shapes = {{96, 900, 1, 48}, {96, 77, 4, 48}, {96, 900, 1, 128}};
    if (patience() > 0.1) shapes.insert(shapes.end(), {{96, 3200, 1, 128}, {96, 3200, 12, 128}});
    char what[80];
    for (Store store : stores)
        for (Shape s : shapes) {
            AttentionCase c(1, store, s, 1.f);
            c.args.key_bias = nullptr;
            c.write_all();
            const auto seconds_of_a_row = [&](auto kernel, size_t rows) {
                return best_seconds([&] {
                           for (size_t h = 0; h < s.heads; h++) kernel(c.args, h, 0, rows);
                       }) /
                       double(rows);
            };
            const auto fast_one = [](auto&&... a) { attention(a...); };
            const double fast = seconds_of_a_row(fast_one, s.rows),
                         slow = seconds_of_a_row(plain::attention, 1);
            const double gflop = 4e-9 * double(s.keys * c.width);
            std::snprintf(what, sizeof what, "%zu to %zu, %zux%zu %s", s.rows, s.keys, s.heads, s.head,
                          name(store));
            std::printf("%-44s %9.2f %9.2f %8.1f  ", what, gflop / slow, gflop / fast, slow / fast);
            for (size_t rows : {36, 18, 12, 6, 1})
                std::printf(" %zu: %.2f", rows, seconds_of_a_row(fast_one, rows) / fast);
            std::puts("");
            if (store != Store::BF16) continue;
            std::snprintf(what, sizeof what, "%zu to %zu, %zux%zu AMX, beside pairs", s.rows, s.keys, s.heads,
                          s.head);
            if (!amx_permitted()) {
                std::printf(
                    "%-44s not timed: this processor has none, or the system does not let this process use it\n",
                    what);
                continue;
            }
            const auto seconds = [&](const Tiles& tiles) {
                return best_seconds([&] {
                    for (size_t h = 0; h < s.heads; h++) attention(c.args, h, 0, s.rows, tiles);
                });
            };
            const double own = seconds(amx_tiles()),
                         pairs = seconds(bf16_dot() ? bf16_dot_tiles() : highway_tiles(Store::BF16)),
                         all = gflop * double(s.rows);
            std::printf("%-44s %9.2f %9.2f %8.1f\n", what, all / pairs, all / own, pairs / own);
        }
    timing_header();
    for (Store store : stores) {
        AttentionCase c(1, store, {1, 900, 12, 128}, 1.f);
        std::snprintf(what, sizeof what, "write_keys 900 12x128 %s", name(store));
        const double seconds = best_seconds(
            [&] { write_keys(c.kv, nullptr, 0, c.k.data(), c.k_stride, c.v.data(), c.v_stride, 900); });
        std::printf("%-44s %9s %9.3f\n", what, "", seconds * 1e9 / (2 * 900 * c.width));
    }
}

} // namespace

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
