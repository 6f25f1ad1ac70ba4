// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/amx.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace mc::kernels {

namespace {

constexpr size_t COLUMNS = AMX_ROW_BYTES / 4; // float32, or pairs of bfloat16

struct TileRegister {
    alignas(64) uint32_t row[AMX_ROWS][COLUMNS];
};

// Of each thread; no palette: TILERELEASE, or nothing yet.
thread_local AmxShapes shapes = {0};
thread_local TileRegister tiles[AMX_TILES];

[[noreturn]] void refuse(const char* what) {
    throw std::logic_error(std::string("A processor would refuse these tiles: ") + what);
}

size_t rows_of(int tile) {
    if (!shapes.palette || !shapes.rows[tile]) refuse("one of them has no shape");
    return shapes.rows[tile];
}

template <size_t n>
bool all_zero(const uint8_t (&bytes)[n]) {
    for (uint8_t b : bytes)
        if (b) return false;
    return true;
}

float number(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}
// Denormals are zero, where they come in and where they would come out.
float flushed(float x) {
    const uint32_t bits = bits_of(x);
    return number(bits & 0x7f800000 ? bits : bits & 0x80000000);
}

// A row of sums: the first and the second of all pairs are added up apart, each product fused with its addition, from
// zero; then both are added to each other, and that to the sum. Always inlined, to be compiled for the processors that
// fuse.
__attribute__((always_inline)) inline void multiply_row(uint32_t* sum, const uint32_t* a,
                                                        const TileRegister& b, size_t pairs, size_t columns) {
    float first[COLUMNS] = {}, second[COLUMNS] = {};
    for (size_t k = 0; k < pairs; k++) {
        const float a0 = flushed(number(a[k] << 16)), a1 = flushed(number(a[k] & 0xffff0000));
        for (size_t n = 0; n < COLUMNS; n++) {
            first[n] = flushed(std::fma(a0, flushed(number(b.row[k][n] << 16)), first[n]));
            second[n] = flushed(std::fma(a1, flushed(number(b.row[k][n] & 0xffff0000)), second[n]));
        }
    }
    for (size_t n = 0; n < columns; n++)
        sum[n] = bits_of(flushed(flushed(number(sum[n])) + flushed(first[n] + second[n])));
}

using MultiplyRow = void (*)(uint32_t*, const uint32_t*, const TileRegister&, size_t, size_t);
void multiply_row_anywhere(uint32_t* sum, const uint32_t* a, const TileRegister& b, size_t pairs,
                           size_t columns) {
    multiply_row(sum, a, b, pairs, columns);
}
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void
multiply_row_fused(uint32_t* sum, const uint32_t* a, const TileRegister& b, size_t pairs, size_t columns) {
    multiply_row(sum, a, b, pairs, columns);
}
MultiplyRow best_multiply_row() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? multiply_row_fused
                                                                           : multiply_row_anywhere;
}
#else
MultiplyRow best_multiply_row() {
    return multiply_row_anywhere;
}
#endif

} // namespace

void AmxEmulation::shape(const AmxShapes& s) {
    if (s.palette != 1 || s.start_row || !all_zero(s.reserved) || !all_zero(s.reserved1) ||
        !all_zero(s.reserved2))
        refuse("their shapes are none of palette 1");
    for (size_t t = 0; t < AMX_TILES; t++)
        if (s.rows[t] > AMX_ROWS || s.row_bytes[t] > AMX_ROW_BYTES || !s.rows[t] != !s.row_bytes[t])
            refuse("one has too many rows, or too long ones");
    shapes = s;
    std::memset(tiles, 0, sizeof tiles);
}

void AmxEmulation::release() {
    shapes = {0};
}

void AmxEmulation::zero(int tile) {
    rows_of(tile);
    tiles[tile] = {};
}

void AmxEmulation::load(int tile, const void* from, size_t stride) {
    const size_t rows = rows_of(tile);
    tiles[tile] = {};
    for (size_t r = 0; r < rows; r++)
        std::memcpy(tiles[tile].row[r], static_cast<const char*>(from) + r * stride, shapes.row_bytes[tile]);
}

void AmxEmulation::store(int tile, void* to, size_t stride) {
    const size_t rows = rows_of(tile);
    for (size_t r = 0; r < rows; r++)
        std::memcpy(static_cast<char*>(to) + r * stride, tiles[tile].row[r], shapes.row_bytes[tile]);
}

void AmxEmulation::multiply(int sum, int a, int b) {
    static const MultiplyRow multiply_row = best_multiply_row();
    if (sum == a || sum == b || a == b) refuse("one stands twice in a product");
    const size_t rows = rows_of(sum), pairs = rows_of(b), columns = shapes.row_bytes[sum] / 4u;
    if (rows_of(a) != rows || shapes.row_bytes[a] != 4 * pairs || shapes.row_bytes[b] != 4 * columns)
        refuse("the shapes of a product do not fit each other");
    for (size_t r = 0; r < rows; r++)
        multiply_row(tiles[sum].row[r], tiles[a].row[r], tiles[b], pairs, columns);
}

bool amx_permitted() {
#if defined(__x86_64__) && defined(__linux__)
    constexpr unsigned OSXSAVE = 1u << 27;                       // CPUID 1, ECX
    constexpr unsigned AMX_BF16 = 1u << 22, AMX_TILE = 1u << 24; // CPUID 7, EDX
    constexpr unsigned TILE_STATE = 3u << 17;                    // XCR0: shapes and data
    constexpr long ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18; // Linux, asm/prctl.h
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (AMX_BF16 | AMX_TILE)) != (AMX_BF16 | AMX_TILE))
        return false;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & TILE_STATE) == TILE_STATE && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
#else
    return false;
#endif
}

} // namespace mc::kernels
