// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/bf16.h"
#include "kernels/key_values.h"
#include "kernels/scratch.h"

namespace mc::kernels {

namespace {

// Keys and values of one block fit in the second-level cache together, beside the next one's; a tile's scores
// fit in the first.
constexpr size_t block_floats = 32768, most_keys_at_once = 672;
// Rows whose sums are kept while the blocks of keys go by.
constexpr size_t most_rows_at_once = 192;

constexpr float log2_e = 1.44269504f;
constexpr float infinity = std::numeric_limits<float>::infinity();

// Keys [begin, begin + keys) of head h.
struct Block {
    size_t h, begin, keys;
    // The next block: of the next head after a head's last one, itself after the very last. While
    // this one is computed with, each tile of rows fetches this many bytes of that for each in of a panel
    // of 32.
    size_t next_h, next, ahead;
};

Block block_at(const Attention& a, size_t h, size_t begin, size_t keys_at_once, size_t tiles_of_rows) {
    Block b{h, begin, std::min(a.keys - begin, keys_at_once), h, begin + keys_at_once, 128 / tiles_of_rows};
    if (b.next >= a.keys) {
        b.next_h = h + 1;
        b.next = 0;
    }
    if (b.next_h == a.kv.heads) {
        b.next_h = h;
        b.next = begin;
        b.ahead = 0;
    }
    return b;
}

// The two products of a tile of rows, number n of its block.
class Products {
  public:
    Products(const Attention& a, const Tiles& tiles)
        : memory(static_cast<const char*>(a.kv.memory)), layout(a.kv), store(a.kv.store), tiles(tiles) {}

    void scores(const Block& b, size_t n, Tile t, const ScoreTile& s, const float* bias) const {
        for (size_t key = 0; key < s.keys; key += key_panel) {
            t.panel = memory + layout.key(b.h, b.begin + key, 0) * element_bytes(store);
            fetch(t, n, layout.key(b.next_h, b.next + key, 0), b.ahead);
            t.bias = bias ? bias + key : nullptr;
            t.c = s.scores + key;
            t.c_stride = s.score_stride;
            tiles.wide[s.rows - 1](t);
        }
        // Beyond the block there may be other keys, which have no part in it.
        for (size_t r = 0; r < s.rows; r++)
            std::fill(s.scores + r * s.score_stride + b.keys, s.scores + r * s.score_stride + s.keys,
                      -infinity);
    }

    void sums(const Block& b, size_t n, const ScoreTile& s) const {
        Tile t{};
        t.a = s.weights;
        t.a_stride = s.weight_stride;
        t.in = b.keys;
        t.c_stride = s.sums_width;
        t.add = true;
        for (size_t column = 0; column < s.sums_width; column += value_panel) {
            const bool wide = s.sums_width - column >= value_panel;
            t.panel = memory + layout.value(b.h, b.begin, column) * element_bytes(store);
            fetch(t, n, layout.value(b.next_h, b.next, column), wide ? b.ahead : b.ahead / 2);
            t.c = s.sums + column;
            (wide ? tiles.wide : tiles.narrow)[s.rows - 1](t);
        }
    }

  private:
    void fetch(Tile& t, size_t n, size_t at, size_t ahead) const {
        t.ahead_step = ahead;
        t.ahead = memory + at * element_bytes(store) + n * ahead * (store == Store::BF16 ? t.in / 2 : t.in);
    }

    const char* memory;
    KeyValuesLayout layout;
    Store store;
    const Tiles& tiles;
};

void attention_of_rows(const Attention& a, size_t h, size_t first, size_t rows, const Tiles& tiles,
                       AttentionScratch& scratch) {
    const Products products(a, tiles);
    const Store store = a.kv.store;
    const size_t head = a.kv.head, width = round_up(head, value_round);
    const size_t fitting = std::clamp(block_floats / head, key_panel, most_keys_at_once);
    const size_t blocks = (a.keys + fitting - 1) / fitting;
    const size_t keys_at_once = round_up((a.keys + blocks - 1) / blocks, key_panel);
    float* const bias = a.key_bias ? scratch.bias.of(keys_at_once) : nullptr;
    float* const sums = scratch.sums.of(rows * width);
    float* const largest = scratch.largest.of(rows);
    float* const total = scratch.total.of(rows);
    std::fill_n(sums, rows * width, 0.f);
    std::fill_n(largest, rows, least_score);
    std::fill_n(total, rows, 0.f);

    const float root = std::sqrt(static_cast<float>(head));
    ScoreTile s{};
    s.score_stride =
        keys_at_once + 16; // an odd number of cache lines, so that rows do not share their places
    s.weight_stride = store == Store::BF16 ? keys_at_once + 32 : s.score_stride;
    s.scores = scratch.scores.of(tile_rows * s.score_stride);
    s.weights = store == Store::BF16 ? scratch.weights.of(tile_rows * s.weight_stride / 2) : s.scores;
    s.scale = log2_e / root;
    s.sums_width = width;
    s.store = store;
    for (size_t begin = 0; begin < a.keys; begin += keys_at_once) {
        const Block block = block_at(a, h, begin, keys_at_once, tile_count(rows, tiles.most_rows));
        s.keys = round_up(block.keys, key_panel);
        for (size_t n = 0; bias && n < s.keys; n++) // in units of q . k
            bias[n] = n < block.keys ? a.key_bias[begin + n] * root : 0.f;
        in_tiles(rows, tiles.most_rows, [&](size_t n, size_t r, size_t tall) {
            s.rows = tall;
            s.largest = largest + r;
            s.total = total + r;
            s.sums = sums + r * width;
            Tile q{};
            q.a = element(a.q, (first + r) * a.q_stride + h * head, store);
            q.a_stride = a.q_stride;
            q.in = head;
            products.scores(block, n, q, s, bias);
            tiles.softmax(s);
            products.sums(block, n, s);
        });
    }
    for (size_t r = 0; r < rows; r++)
        divide(sums + r * width, total[r], element(a.out, (first + r) * a.out_stride + h * head, store), head,
               store);
}

} // namespace

void attention(const Attention& a, size_t h, size_t first, size_t last, const Tiles& tiles) {
    thread_local AttentionScratch scratch;
    in_tiles(last - first, most_rows_at_once, [&](size_t, size_t r, size_t rows) {
        attention_of_rows(a, h, first + r, rows, tiles, scratch);
    });
}

void attention(const Attention& a, size_t h, size_t first, size_t last) {
    attention(a, h, first, last, tiles(a.kv.store == Store::BF16 ? Store::BF16 : Store::F32));
}

} // namespace mc::kernels
