// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernels of tiles.h by the tile instructions of AMX. The panels are already what those want of a right factor, 16
// pairs of ins by 16 columns, twice side by side: weights, keys and values lie in memory once, as for bf16_dot.cpp.
//
// Up to 32 rows by 32 columns of sums in four tiles, so that each tile of rows and of columns that is loaded serves two
// products, and four products are under way where one takes the time of three others.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/amx.h"
#include "kernels/bf16.h"
#include "kernels/tiles.h"

namespace mc::kernels {

namespace {

constexpr size_t INS = AMX_ROW_BYTES / sizeof(bf16), COLUMNS = AMX_ROW_BYTES / sizeof(float);
constexpr size_t MOST_ROWS = 2 * AMX_ROWS;
static_assert(MOST_ROWS <= TILE_ROWS && 2 * COLUMNS == GEMM_PANEL);

// Tiles 0 1 above 2 3: sums. 4 above 5: rows. 6 beside 7: columns.
template <class Amx>
class Shaped {
  public:
    // Of `n` rows, 1 to 32.
    static void rows(size_t n) {
        if (n == now_ || (n == AMX_ROWS && n < now_)) return; // 16 rows are the upper ones of more
        AmxShapes s;
        const auto of = [&](int tile, size_t rows) {
            s.rows[tile] = static_cast<uint8_t>(rows);
            s.row_bytes[tile] = rows ? AMX_ROW_BYTES : 0;
        };
        const size_t top = std::min(n, AMX_ROWS);
        for (int tile : {0, 1, 4}) of(tile, top);
        for (int tile : {2, 3, 5}) of(tile, n - top);
        for (int tile : {6, 7}) of(tile, AMX_ROWS);
        Amx::shape(s);
        now_ = n;
    }
    // Others use tiles too, LibTorch's library among them: what they left is not what a thread begins with.
    static void begin() { now_ = 0; }
    static void end() {
        if (now_) Amx::release();
        now_ = 0;
    }

  private:
    static thread_local size_t now_;
};
template <class Amx>
thread_local size_t Shaped<Amx>::now_ = 0;

// Calls each(number of the tile of sums, its first row and column).
template <bool wide, bool low, class Each>
void each_sum(Each each) {
    each(std::integral_constant<int, 0>(), size_t{0}, size_t{0});
    if constexpr (wide) each(std::integral_constant<int, 1>(), size_t{0}, COLUMNS);
    if constexpr (low) each(std::integral_constant<int, 2>(), AMX_ROWS, size_t{0});
    if constexpr (wide && low) each(std::integral_constant<int, 3>(), AMX_ROWS, COLUMNS);
}

// 32 ins. Strides in bytes.
template <class Amx, bool wide, bool low>
void step(const void* a, size_t a_stride, const void* panel, size_t panel_stride) {
    Amx::template load<6>(panel, panel_stride);
    Amx::template load<4>(a, a_stride);
    Amx::template multiply<0, 4, 6>();
    if constexpr (wide) {
        Amx::template load<7>(static_cast<const char*>(panel) + AMX_ROW_BYTES, panel_stride);
        Amx::template multiply<1, 4, 7>();
    }
    if constexpr (low) {
        Amx::template load<5>(static_cast<const char*>(a) + AMX_ROWS * a_stride, a_stride);
        Amx::template multiply<2, 5, 6>();
        if constexpr (wide) Amx::template multiply<3, 5, 7>();
    }
}

// What is left of 32 ins, an even number: with those before them, which are multiplied with zero.
template <class Amx, bool wide, bool low>
void last_step(const Tile& t, size_t rows, size_t panel_stride) {
    LastIns own;
    if (!t.last_ins) put_last_ins(t, rows, own);
    const char* const panel = static_cast<const char*>(t.panel) + (t.in - INS) / 2 * panel_stride;
    step<Amx, wide, low>(t.last_ins ? t.last_ins : own.of_row, sizeof own.of_row[0], panel, panel_stride);
}

// Fewer than 32 ins in all, or an odd number: neither rows nor panels may be read beyond them, nor what lies there be
// multiplied.
template <class Amx, bool wide, bool low>
void odd_step(const bf16* a, size_t a_stride, const bf16* panel, size_t rows, size_t ins) {
    constexpr size_t width = (wide ? 2 : 1) * COLUMNS;
    alignas(64) bf16 some[MOST_ROWS][INS] = {}, pairs[INS / 2][2 * width] = {};
    for (size_t r = 0; r < rows; r++) std::memcpy(some[r], a + r * a_stride, ins * sizeof(bf16));
    std::memcpy(pairs, panel, ins / 2 * sizeof pairs[0]);
    if (ins % 2)
        for (size_t o = 0; o < width; o++) pairs[ins / 2][2 * o] = panel[ins / 2 * 2 * width + 2 * o];
    step<Amx, wide, low>(some, sizeof some[0], pairs, sizeof pairs[0]);
}

template <class Amx, bool wide, bool low>
void tile_of(const Tile& t, size_t rows) {
    constexpr size_t width = (wide ? 2 : 1) * COLUMNS, panel_stride = 2 * width * sizeof(bf16);
    const size_t a_stride = t.a_stride * sizeof(bf16), c_stride = t.c_stride * sizeof(float);
    Shaped<Amx>::rows(rows);
    if (t.add && t.bias)
        for (size_t r = 0; r < rows; r++)
            for (size_t o = 0; o < width; o++) t.c[r * t.c_stride + o] += t.bias[o];
    each_sum<wide, low>([&](auto sum, size_t row, size_t column) {
        if (t.add)
            Amx::template load<sum.value>(t.c + row * t.c_stride + column, c_stride);
        else if (t.bias)
            Amx::template load<sum.value>(t.bias + column, 0); // the same for every row
        else
            Amx::template zero<sum.value>();
    });
    const bf16* a = static_cast<const bf16*>(t.a);
    const bf16* panel = static_cast<const bf16*>(t.panel);
    const char* ahead = t.ahead;
    size_t left = t.in;
    for (; left >= INS; left -= INS, a += INS, panel += INS * width, ahead += INS / 2 * t.ahead_step) {
        for (size_t line = 0; line < INS / 2 * t.ahead_step; line += 64)
            __builtin_prefetch(ahead + line, 0, 2);
        step<Amx, wide, low>(a, a_stride, panel, panel_stride);
    }
    if (left && left % 2 == 0 && t.in > INS)
        last_step<Amx, wide, low>(t, rows, panel_stride);
    else if (left)
        odd_step<Amx, wide, low>(a, t.a_stride, panel, rows, left);
    each_sum<wide, low>([&](auto sum, size_t row, size_t column) {
        Amx::template store<sum.value>(t.c + row * t.c_stride + column, c_stride);
    });
}

template <class Amx, bool wide, size_t rows>
void tile(const Tile& t) {
    tile_of<Amx, wide, (rows > AMX_ROWS)>(t, rows);
}

template <class Amx, size_t... r>
Tiles tiles_of(std::index_sequence<r...>) {
    static constexpr TileKernel wide[] = {tile<Amx, true, r + 1>...};
    static constexpr TileKernel narrow[] = {tile<Amx, false, r + 1>...};
    Tiles t = bf16_dot() ? bf16_dot_tiles() : highway_tiles(Store::BF16); // for their softmax
    t.wide = wide;
    t.narrow = narrow;
    t.most_rows = MOST_ROWS;
    t.full_first = true;
    t.ins_at_once = INS;
    t.begin = Shaped<Amx>::begin;
    t.end = Shaped<Amx>::end;
    return t;
}

// A product on this processor against its plain version: a kernel that is wrong here is not used.
bool amx_agrees() {
    constexpr size_t rows = 37, out = 40, in = 75;
    std::vector<bf16> a(rows * in), weight(out * in);
    uint32_t state = 1;
    const auto next = [&] {
        state = state * 1664525 + 1013904223;
        return rounded(static_cast<float>(state >> 8) / (1 << 23) - 1.f);
    };
    for (bf16& x : a) x = next();
    for (bf16& x : weight) x = next();
    std::vector<float> c(rows * out), expected(rows * out);
    std::vector<bf16> memory(packed_weight_bytes(out, in, Store::BF16) / sizeof(bf16) + 64);
    // Panels are aligned to 64 bytes.
    void* const packed = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    pack_weight(weight.data(), out, in, Store::BF16, packed);
    Gemm g{};
    g.a = a.data();
    g.weight = packed;
    g.weight_in = g.in = g.a_stride = in;
    g.rows = rows;
    g.out = g.c_stride = out;
    g.store = Store::BF16;
    g.c = expected.data();
    plain::gemm(g);
    g.c = c.data();
    gemm(g, amx_tiles());
    for (size_t i = 0; i < c.size(); i++)
        if (!(std::fabs(c[i] - expected[i]) < 1e-3f)) return false; // 75 products below 1
    return true;
}

} // namespace

void put_last_ins(const Tile& t, size_t rows, LastIns& to) {
    uint16_t kept[INS];
    for (size_t i = 0; i < INS; i++) kept[i] = i < INS - t.in % INS ? 0 : 0xffff;
    const bf16* from = static_cast<const bf16*>(t.a) + t.in - INS;
    for (size_t r = 0; r < rows; r++, from += t.a_stride) {
        uint16_t row[INS]; // of its own, so that compilers need not expect it to overlap
        std::memcpy(row, from, sizeof row);
        for (size_t i = 0; i < INS; i++) row[i] &= kept[i];
        std::memcpy(to.of_row[r], row, sizeof row);
    }
}

Tiles amx_tiles() {
    return tiles_of<AmxInstructions>(std::make_index_sequence<MOST_ROWS>());
}

Tiles emulated_amx_tiles() {
    return tiles_of<AmxEmulation>(std::make_index_sequence<MOST_ROWS>());
}

MatrixUnits matrix_units() {
    static const MatrixUnits units = [] {
        const char* const wish = std::getenv("MOTIONCACHE_AMX");
        if (wish && std::strcmp(wish, "off") == 0) return MatrixUnits::NONE;
        if (wish && std::strcmp(wish, "emulated") == 0) return MatrixUnits::EMULATED;
        return amx_permitted() && amx_agrees() ? MatrixUnits::AMX : MatrixUnits::NONE;
    }();
    return units;
}

} // namespace mc::kernels
