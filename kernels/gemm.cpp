// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/gemm.h"

#include <algorithm>
#include <cstring>

#include "kernels/bf16.h"
#include "kernels/tiles.h"

namespace mc::kernels {

namespace {

size_t weight_bytes(Store store) {
    return store == Store::F32 ? sizeof(float) : sizeof(bf16);
}

// Calls move(place in the packed weight, place in the plain one) along the packed one.
template <class Move>
void each_weight(size_t out, size_t in, Store store, Move move) {
    const size_t column = store == Store::F32 ? 1 : 2;
    for (size_t panel = 0; panel < out; panel += GEMM_PANEL)
        for (size_t i = 0; i < in; i++) {
            const size_t at = in_packed(panel, i, in, store);
            for (size_t o = 0; o < std::min(GEMM_PANEL, out - panel); o++)
                move(at + o * column, (panel + o) * in + i);
        }
}

// A panel is read once for each tile of rows and a block of rows once for each panel: with this many ins and
// rows at a time both stay in the second-level cache. A longer sum goes on from what it has written: nothing
// is lost, after whole tiles of 32 ins.
constexpr size_t INS_AT_ONCE = 1024, INS_TOGETHER = 32, ROWS_AT_ONCE = 240;

void edge_tile(TileKernel kernel, Tile t, size_t rows, size_t columns) {
    float c[TILE_ROWS * GEMM_PANEL], bias[GEMM_PANEL] = {};
    std::fill_n(c, rows * GEMM_PANEL, 0.f);
    float* const to = t.c;
    const size_t stride = t.c_stride;
    if (t.add)
        for (size_t r = 0; r < rows; r++) std::copy_n(to + r * stride, columns, c + r * GEMM_PANEL);
    if (t.bias) {
        std::copy_n(t.bias, columns, bias);
        t.bias = bias;
    }
    t.c = c;
    t.c_stride = GEMM_PANEL;
    kernel(t);
    for (size_t r = 0; r < rows; r++) std::copy_n(c + r * GEMM_PANEL, columns, to + r * stride);
}

} // namespace

size_t packed_weight_bytes(size_t out, size_t in, Store store) {
    const size_t panels = (out + GEMM_PANEL - 1) / GEMM_PANEL;
    return in_packed(panels * GEMM_PANEL, 0, in, store) * weight_bytes(store);
}

void pack_weight(const void* weight, size_t out, size_t in, Store store, void* packed) {
    std::memset(packed, 0, packed_weight_bytes(out, in, store));
    if (store == Store::F32)
        each_weight(out, in, store, [&](size_t at, size_t i) {
            static_cast<float*>(packed)[at] = static_cast<const float*>(weight)[i];
        });
    else
        each_weight(out, in, store, [&](size_t at, size_t i) {
            static_cast<bf16*>(packed)[at] = static_cast<const bf16*>(weight)[i];
        });
}

void unpack_weight(const void* packed, size_t out, size_t in, Store store, void* weight) {
    if (store == Store::F32)
        each_weight(out, in, store, [&](size_t at, size_t i) {
            static_cast<float*>(weight)[i] = static_cast<const float*>(packed)[at];
        });
    else
        each_weight(out, in, store, [&](size_t at, size_t i) {
            static_cast<bf16*>(weight)[i] = static_cast<const bf16*>(packed)[at];
        });
}

void gemm(const Gemm& a, const Tiles& tiles) {
    const auto panel_of = [&](size_t out, size_t in) {
        const size_t at = in_packed(a.first_out + out, a.first_in + in, a.weight_in, a.store);
        return static_cast<const char*>(a.weight) + at * weight_bytes(a.store);
    };
    const TilesInUse use(tiles);
    const size_t blocks = (a.in + INS_AT_ONCE - 1) / INS_AT_ONCE;
    const size_t ins = round_up((a.in + blocks - 1) / blocks, INS_TOGETHER);
    for (size_t first = 0; first < a.rows; first += ROWS_AT_ONCE) {
        const size_t rows = std::min(a.rows - first, ROWS_AT_ONCE), height = tile_height(rows, tiles.most_rows);
        for (size_t in = 0; in < a.in; in += ins)
            for (size_t out = 0; out < a.out; out += GEMM_PANEL) {
                const size_t columns = std::min(a.out - out, GEMM_PANEL);
                Tile t{};
                t.a_stride = a.a_stride;
                t.in = std::min(a.in - in, ins);
                t.panel = panel_of(out, in);
                t.bias = a.bias && in == 0 ? a.bias + out : nullptr;
                t.c_stride = a.c_stride;
                t.add = a.accumulate || in > 0;
                // Each tile of rows fetches its share of the next panel: few rows would wait for memory otherwise.
                const bool last = out + GEMM_PANEL >= a.out;
                const void* const next = !last ? panel_of(out + GEMM_PANEL, in) : a.next ? a.next : t.panel;
                t.ahead_step = last && !a.next ? 0 : 128 / tile_count(rows, tiles.most_rows);
                const size_t share = t.ahead_step * (a.store == Store::F32 ? t.in : t.in / 2);
                in_tiles(rows, tiles.most_rows, tiles.full_first, [&](size_t n, size_t r, size_t tall) {
                    // The last tile takes some rows once more, which is faster than a shape of its own.
                    const size_t shaped = tall > tiles.most_rows / 2 ? height : tiles.most_rows / 2;
                    if (tiles.full_first && !t.add && rows >= shaped) {
                        r -= shaped - tall;
                        tall = shaped;
                    }
                    t.a = element(a.a, (first + r) * a.a_stride + in, a.store);
                    t.c = a.c + (first + r) * a.c_stride + out;
                    t.ahead = static_cast<const char*>(next) + n * share;
                    if (columns == GEMM_PANEL)
                        tiles.wide[tall - 1](t);
                    else
                        edge_tile(tiles.wide[tall - 1], t, tall, columns);
                });
            }
    }
}

void gemm(const Gemm& a) {
    gemm(a, tiles(a.store));
}

} // namespace mc::kernels
