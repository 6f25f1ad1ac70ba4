// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The instructions of AMX that amx_tiles.cpp is made of, as Intel's manual (volume 2) defines them, twice: as the
// processor has them, and in C++, so that the same kernels run where no processor has them. A thread has eight tiles of
// up to 16 rows of 64 bytes. Tile numbers are template arguments, because they are part of an instruction.
#include <cstddef>
#include <cstdint>

namespace mc::kernels {

constexpr size_t AMX_TILES = 8, AMX_ROWS = 16, AMX_ROW_BYTES = 64;

// What LDTILECFG reads. A tile without rows has no bytes either.
struct alignas(64) AmxShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[AMX_TILES] = {};
    uint8_t reserved1[16] = {};
    uint8_t rows[AMX_TILES] = {};
    uint8_t reserved2[8] = {};
};
static_assert(sizeof(AmxShapes) == 64);

// Those of the processor: only where amx_permitted(). Written as assembly, as compilers' intrinsics are; but GCC's do
// not say that they read memory, so that what was just written to it may come too late for them.
struct AmxInstructions {
#if defined(__x86_64__)
    static void shape(const AmxShapes& s) {
        __asm__ volatile("ldtilecfg %0" : : "m"(s) : "memory");
    }
    static void release() {
        __asm__ volatile("tilerelease" : : : "memory");
    }
    template <int tile>
    static void zero() {
        __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
    }
    // Row r from `from` + r * stride.
    template <int tile>
    static void load(const void* from, size_t stride) {
        __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(tile), "r"(from), "r"(stride) : "memory");
    }
    template <int tile>
    static void store(void* to, size_t stride) {
        __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(tile), "r"(to), "r"(stride) : "memory");
    }
    // sum[m][n] += sum over k of a[m][2k] b[k][2n] + a[m][2k + 1] b[k][2n + 1], a and b bfloat16 (TDPBF16PS)
    template <int sum, int a, int b>
    static void multiply() {
        __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
    }
#else
    static void shape(const AmxShapes&) {}
    static void release() {}
    template <int>
    static void zero() {}
    template <int>
    static void load(const void*, size_t) {}
    template <int>
    static void store(void*, size_t) {}
    template <int, int, int>
    static void multiply() {}
#endif
};

// The same in C++, to the bit but for the payload of a NaN. What a processor refuses (a tile that has no shape, shapes
// that do not fit each other) throws std::logic_error.
struct AmxEmulation {
    static void shape(const AmxShapes& s);
    static void release();
    template <int tile>
    static void zero() {
        zero(tile);
    }
    template <int tile>
    static void load(const void* from, size_t stride) {
        load(tile, from, stride);
    }
    template <int tile>
    static void store(void* to, size_t stride) {
        store(tile, to, stride);
    }
    template <int sum, int a, int b>
    static void multiply() {
        multiply(sum, a, b);
    }

  private:
    static void zero(int tile);
    static void load(int tile, const void* from, size_t stride);
    static void store(int tile, void* to, size_t stride);
    static void multiply(int sum, int a, int b);
};

// Whether the processor has AMX for bfloat16 and the system lets this process use it, which is asked for here: Linux
// lets nobody use tiles unasked, and refuses where the signal stack of a thread is too small for them.
bool amx_permitted();

} // namespace mc::kernels
