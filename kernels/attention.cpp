// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/key_values.h"
#include "kernels/scratch.h"

namespace mc::kernels {

namespace {

// Keys and values of one block fit in the second-level cache together, beside the next one's; a tile's scores
// fit in the first.
constexpr size_t BLOCK_FLOATS = 32768, MOST_KEYS_AT_ONCE = 672;
// Rows whose sums are kept while the blocks of keys go by: of one head of q, and of all that share the keys.
constexpr size_t MOST_ROWS_AT_ONCE = 192, MOST_SUMS_AT_ONCE = 384;

constexpr float LOG2_E = 1.44269504f;
constexpr float INFINITE = std::numeric_limits<float>::infinity();

// Keys [begin, begin + keys) of a range.
struct Block {
    const KeyRange* range;
    size_t begin, keys;
};

// All keys in blocks of at most `fitting`: each range by itself, evenly.
void cut(const Attention& a, size_t fitting, std::vector<Block>& blocks) {
    blocks.clear();
    for (size_t i = 0; i < a.range_count; i++) {
        const KeyRange& r = a.ranges[i];
        const size_t count = (r.keys + fitting - 1) / fitting;
        const size_t step = count ? round_up((r.keys + count - 1) / count, KEY_PANEL) : 0;
        for (size_t begin = 0; begin < r.keys; begin += step)
            blocks.push_back({&r, begin, std::min(r.keys - begin, step)});
    }
}

// What is fetched while a block is computed with: the block that comes after it, in the next head after the last one;
// nothing after the very last. Each tile of rows fetches so many bytes of it for each in of a panel of 32.
struct Ahead {
    const Block* block;
    size_t h, bytes;
};

Ahead ahead_of(const std::vector<Block>& blocks, size_t n, size_t h, size_t tiles_of_rows) {
    const size_t bytes = 128 / tiles_of_rows;
    if (n + 1 < blocks.size()) return {&blocks[n + 1], h, bytes};
    if (h + 1 < blocks[0].range->kv.heads) return {&blocks[0], h + 1, bytes};
    return {&blocks[n], h, 0};
}

// The two products of a tile of rows, number n of its block.
class Products {
  public:
    Products(const Block& b, const Ahead& ahead, size_t h, const Tiles& tiles)
        : b(b), ahead(ahead), h(h), memory(static_cast<const char*>(b.range->kv.memory)),
          next(static_cast<const char*>(ahead.block->range->kv.memory)), layout(b.range->kv),
          next_layout(ahead.block->range->kv), store(b.range->kv.store), tiles(tiles) {}

    void scores(size_t n, Tile t, const ScoreTile& s, const float* bias) const {
        LastIns last;
        prepare(t, s.rows, last);
        for (size_t key = 0; key < s.keys; key += KEY_PANEL) {
            t.panel = memory + layout.key(h, b.begin + key, 0) * element_bytes(store);
            fetch(t, n, next_layout.key(ahead.h, ahead.block->begin + key, 0), ahead.bytes);
            t.bias = bias ? bias + key : nullptr;
            t.c = s.scores + key;
            t.c_stride = s.score_stride;
            tiles.wide[s.rows - 1](t);
        }
        // Beyond the block there may be other keys, which have no part in it.
        for (size_t r = 0; r < s.rows; r++)
            std::fill(s.scores + r * s.score_stride + b.keys, s.scores + r * s.score_stride + s.keys,
                      -INFINITE);
    }

    void sums(size_t n, const ScoreTile& s) const {
        Tile t{};
        t.a = s.weights;
        t.a_stride = s.weight_stride;
        t.in = b.keys;
        t.c_stride = s.sums_width;
        t.add = true;
        LastIns last;
        prepare(t, s.rows, last);
        for (size_t column = 0; column < s.sums_width; column += VALUE_PANEL) {
            const bool wide = s.sums_width - column >= VALUE_PANEL;
            t.panel = memory + layout.value(h, b.begin, column) * element_bytes(store);
            fetch(t, n, next_layout.value(ahead.h, ahead.block->begin, column),
                  wide ? ahead.bytes : ahead.bytes / 2);
            t.c = s.sums + column;
            (wide ? tiles.wide : tiles.narrow)[s.rows - 1](t);
        }
    }

  private:
    void prepare(Tile& t, size_t rows, LastIns& last) const {
        if (store != Store::BF16 || !want_last_ins(tiles, t.in)) return;
        put_last_ins(t, rows, last);
        t.last_ins = last.of_row;
    }
    void fetch(Tile& t, size_t n, size_t at, size_t bytes) const {
        t.ahead_step = bytes;
        t.ahead = next + at * element_bytes(store) + n * bytes * (store == Store::BF16 ? t.in / 2 : t.in);
    }

    const Block& b;
    const Ahead& ahead;
    const size_t h;
    const char *memory, *next;
    KeyValuesLayout layout, next_layout;
    Store store;
    const Tiles& tiles;
};

void attention_of_rows(const Attention& a, size_t h, size_t first, size_t rows, const Tiles& tiles,
                       AttentionScratch& scratch, std::vector<Block>& blocks) {
    const KeyValues& kv = a.ranges[0].kv;
    const Store store = kv.store;
    const size_t head = kv.head, width = round_up(head, VALUE_ROUND), heads = a.queries_per_key;
    cut(a, std::clamp(BLOCK_FLOATS / head, KEY_PANEL, MOST_KEYS_AT_ONCE), blocks);
    size_t keys_at_once = 0;
    for (const Block& b : blocks) keys_at_once = std::max(keys_at_once, round_up(b.keys, KEY_PANEL));
    float* const bias = a.key_bias ? scratch.bias.of(keys_at_once) : nullptr;
    float* const sums = scratch.sums.of(heads * rows * width);
    float* const largest = scratch.largest.of(heads * rows);
    float* const total = scratch.total.of(heads * rows);
    std::fill_n(sums, heads * rows * width, 0.f);
    std::fill_n(largest, heads * rows, LEAST_SCORE);
    std::fill_n(total, heads * rows, 0.f);

    const float root = std::sqrt(static_cast<float>(head));
    ScoreTile s{};
    // An odd number of cache lines, so that rows do not share their places.
    s.score_stride = keys_at_once + 16;
    s.scores = scratch.scores.of(tiles.most_rows * s.score_stride);
    s.weights = s.scores; // in their place: less to hold in the first-level cache
    s.weight_stride = store == Store::BF16 ? 2 * s.score_stride : s.score_stride;
    s.scale = LOG2_E / root;
    s.sums_width = width;
    s.store = store;
    const float* key_bias = a.key_bias;
    const size_t tiles_of_rows = tile_count(rows, tiles.most_rows);
    for (size_t i = 0; i < blocks.size(); i++) {
        const Block& block = blocks[i];
        const Ahead ahead = ahead_of(blocks, i, h, heads * tiles_of_rows);
        const Products products(block, ahead, h, tiles);
        s.keys = round_up(block.keys, KEY_PANEL);
        for (size_t n = 0; bias && n < s.keys; n++) // in units of q . k
            bias[n] = n < block.keys ? key_bias[n] * root : 0.f;
        if (bias) key_bias += block.keys;
        for (size_t j = 0; j < heads; j++)
            in_tiles(rows, tiles.most_rows, tiles.full_first, [&](size_t n, size_t r, size_t tall) {
                s.rows = tall;
                s.largest = largest + j * rows + r;
                s.total = total + j * rows + r;
                s.sums = sums + (j * rows + r) * width;
                Tile q{};
                q.a = element(a.q, (first + r) * a.q_stride + (h * heads + j) * head, store);
                q.a_stride = a.q_stride;
                q.in = head;
                products.scores(j * tiles_of_rows + n, q, s, bias);
                tiles.softmax(s);
                products.sums(j * tiles_of_rows + n, s);
            });
    }
    for (size_t j = 0; j < heads; j++)
        for (size_t r = 0; r < rows; r++)
            divide(sums + (j * rows + r) * width, total[j * rows + r],
                   element(a.out, (first + r) * a.out_stride + (h * heads + j) * head, store), head, store);
}

} // namespace

void attention(const Attention& a, size_t h, size_t first, size_t last, const Tiles& tiles) {
    thread_local AttentionScratch scratch;
    thread_local std::vector<Block> blocks;
    const size_t most = std::clamp(MOST_SUMS_AT_ONCE / a.queries_per_key, tiles.most_rows, MOST_ROWS_AT_ONCE);
    const TilesInUse use(tiles);
    in_tiles(last - first, most, tiles.full_first, [&](size_t, size_t r, size_t rows) {
        attention_of_rows(a, h, first + r, rows, tiles, scratch, blocks);
    });
}

void attention(const Attention& a, size_t h, size_t first, size_t last) {
    attention(a, h, first, last, tiles(a.ranges[0].kv.store == Store::BF16 ? Store::BF16 : Store::F32));
}

} // namespace mc::kernels
