// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What gemm and attention are made of: a few rows times one panel of columns, their sums in registers. The
// loops around choose rows and panels and need no SIMD. The kernels come from tiles.cpp and softmax.cpp
// (Highway) or, where the processor multiplies pairs of bfloat16, from bf16_dot.cpp, or where it multiplies whole tiles
// of them, from amx_tiles.cpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/gemm.h"

namespace mc::kernels {

inline size_t round_up(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// Where number `in` of a column lies in a panel, in elements: [in][width], or [in / 2][width][2] in pairs.
inline size_t in_panel(size_t in, size_t column, size_t width, bool pairs) {
    return pairs ? in / 2 * 2 * width + 2 * column + in % 2 : in * width + column;
}

// Where weight[out][in] of a packed weight lies, in elements; `ins` are those of the whole weight.
inline size_t in_packed(size_t out, size_t in, size_t ins, Store store) {
    const bool pairs = store != Store::F32;
    const size_t panel = out / GEMM_PANEL * GEMM_PANEL * (pairs ? (ins + 1) / 2 * 2 : ins);
    return panel + in_panel(in, out % GEMM_PANEL, GEMM_PANEL, pairs);
}

// c[r][o] = (add ? c[r][o] : 0) + (bias ? bias[o] : 0) + sum over i of a[r][i] panel[i][o]
//
// Each sum is one chain of additions in this order, for any number of rows; where it is cut after a multiple of 32 ins
// and goes on with `add`, its bits are the same. (AMX adds up 32 ins by themselves, and then that to the sum.)
struct Tile {
    const void* a; // rows a_stride elements apart
    size_t a_stride, in;
    const void* panel; // aligned to 64
    const float* bias;
    float* c; // rows c_stride floats apart
    size_t c_stride;
    bool add;
    // What the next tiles will read, fetched from memory while this one computes: this many bytes of it for
    // each in, or pair of ins (128 at most, the panel's own). Any address will do where it is 0.
    const char* ahead;
    size_t ahead_step;
    // What put_last_ins() made of these rows, for a kernel that wants it; nullptr: it does so itself.
    const void* last_ins;
};
using TileKernel = void (*)(const Tile&);

// Between the two products of attention: a tile's scores to weights relative to each row's largest score so
// far, 2^(scale (s - largest)), as the second product reads them. Earlier sums are corrected when a larger
// score comes.
struct ScoreTile {
    float* scores; // rows score_stride floats apart
    void* weights; // rows weight_stride elements apart: bf16 for BF16, else float; may begin where a row's scores do
    size_t score_stride, weight_stride;
    size_t rows, keys; // keys: a multiple of 32
    float scale;
    float* largest;    // of each row
    float* total;      // of each row's weights, as they were rounded
    float* sums;       // [rows, sums_width]: of the second product
    size_t sums_width; // a multiple of 16
    Store store;
};
void softmax(const ScoreTile& t);
// Where `largest` begins: low, and still a number when anything is subtracted from it.
constexpr float LEAST_SCORE = -1e30f;

// out = round(sum / total), n elements; out: type of `store`.
void divide(const float* sum, float total, void* out, size_t n, Store store);

// Kernels for one to `most_rows` rows: of n rows at [n - 1].
struct Tiles {
    const TileKernel* wide;   // panels of 32 columns
    const TileKernel* narrow; // panels of 16
    size_t most_rows;
    void (*softmax)(const ScoreTile&);
    // Whether tiles are of tile_height() but for the last one, rather than all about as tall; and those of half of
    // most_rows are of the same shape as taller ones.
    bool full_first = false;
    // Ins that a kernel takes at once. What is left of more than one such step, an even number, is multiplied together
    // with those before it, which are zero in Tile::last_ins. 0: any number does.
    size_t ins_at_once = 0;
    // Before and after a thread's use of them; nullptr: nothing.
    void (*begin)() = nullptr;
    void (*end)() = nullptr;
};
constexpr size_t TILE_ROWS = 32; // no kernel takes more

// The last 32 ins of each row, of bfloat16, and zero for those that whole steps of 32 have had: for matrix units, which
// take a panel's last 32 ins as they lie. Rows that meet many panels are prepared once.
struct LastIns {
    alignas(64) uint16_t of_row[TILE_ROWS][32];
};
inline bool want_last_ins(const Tiles& tiles, size_t in) {
    return tiles.ins_at_once && in > tiles.ins_at_once && in % tiles.ins_at_once && in % 2 == 0;
}
void put_last_ins(const Tile& t, size_t rows, LastIns& to);

// A thread's use of tiles.
class TilesInUse {
  public:
    explicit TilesInUse(const Tiles& tiles) : end_(tiles.end) {
        if (tiles.begin) tiles.begin();
    }
    ~TilesInUse() {
        if (end_) end_();
    }
    TilesInUse(const TilesInUse&) = delete;

  private:
    void (*const end_)();
};

// F32: float times float. BF16: bf16 times pairs of bf16. F32_AS_BF16: float times pairs of bf16.
Tiles tiles(Store store);
Tiles highway_tiles(Store store);
Tiles bf16_dot_tiles();     // what highway_tiles(Store::BF16) computes; only where processor_has_bf16_dot()
Tiles amx_tiles();          // the same; only where amx_permitted() (kernels/amx.h)
Tiles emulated_amx_tiles(); // amx_tiles() to the bit, anywhere, and slow
bool processor_has_bf16_dot();

inline size_t tile_count(size_t rows, size_t most) {
    return (rows + most - 1) / most;
}
// Where the tiles of `rows` are full first: how tall all but the last one are. With a last one of up to half a tile,
// which takes half the time, the others are full; else all are as even as they can be, because it takes time to go from
// one height to another.
inline size_t tile_height(size_t rows, size_t most) {
    return rows % most > most / 2 ? (rows + tile_count(rows, most) - 1) / tile_count(rows, most) : most;
}
// `rows` in as few tiles as will do, none more than a row taller than another, because a short tile waits for
// its own additions; or all of tile_height() but for the last. Calls body(number of the tile, its first row, its rows).
template <class Body>
void in_tiles(size_t rows, size_t most, bool full_first, Body body) {
    const size_t count = tile_count(rows, most), height = tile_height(rows, most);
    const auto first_of = [&](size_t n) { return full_first ? std::min(rows, n * height) : rows * n / count; };
    for (size_t n = 0; n < count; n++) body(n, first_of(n), first_of(n + 1) - first_of(n));
}

// With these tiles, where tests choose them.
void gemm(const Gemm& a, const Tiles& tiles);
void attention(const Attention& a, size_t h, size_t first, size_t last, const Tiles& tiles);

} // namespace mc::kernels
