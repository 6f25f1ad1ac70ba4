// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/key_values.h"

#include <cstring>

#include "kernels/bf16.h"

namespace mc::kernels {

size_t key_value_bytes(size_t capacity, size_t heads, size_t head, Store store) {
    const KeyValuesLayout layout({nullptr, capacity, heads, head, store});
    return heads * layout.elements_of_a_head() * element_bytes(store);
}

namespace {

// Head by head, because the panel that neighbouring keys are scattered over stays in the first-level cache then.
template <class Round>
void write(const KeyValues& kv, const int32_t* slot, size_t first, const float* k, size_t k_stride, const float* v,
           size_t v_stride, size_t rows, Round round) {
    const KeyValuesLayout layout(kv);
    float* const to = static_cast<float*>(kv.memory);
    for (size_t h = 0; h < kv.heads; h++)
        for (size_t r = 0; r < rows; r++) {
            const size_t n = slot ? slot[r] : first + r;
            const float* const key = k + r * k_stride + h * kv.head;
            float* const column = to + layout.key(h, n, 0);
            for (size_t i = 0; i < kv.head; i++) column[in_panel(i, 0, KEY_PANEL, false)] = key[i];
            const float* const value = v + r * v_stride + h * kv.head;
            for (size_t c = 0; c < kv.head; c += VALUE_PANEL) {
                float* const row = to + layout.value(h, n, c);
                for (size_t i = 0; i < std::min(VALUE_PANEL, kv.head - c); i++) row[i] = round(value[c + i]);
            }
        }
}

// Whole words: a key in pairs of channels, and values in pairs of keys where both neighbours are written.
void write_pairs(const KeyValues& kv, const int32_t* slot, size_t first, const bf16* k, size_t k_stride, const float* v,
                 size_t v_stride, size_t rows) {
    const KeyValuesLayout layout(kv);
    bf16* const to = static_cast<bf16*>(kv.memory);
    const auto slot_of = [&](size_t r) { return slot ? static_cast<size_t>(slot[r]) : first + r; };
    for (size_t h = 0; h < kv.heads; h++) {
        for (size_t r = 0; r < rows; r++) {
            const bf16* const key = k + r * k_stride + h * kv.head;
            bf16* const column = to + layout.key(h, slot_of(r), 0);
            size_t i = 0;
            for (; i + 2 <= kv.head; i += 2) std::memcpy(column + i * KEY_PANEL, key + i, 2 * sizeof(bf16));
            if (i < kv.head) column[i * KEY_PANEL] = key[i];
        }
        for (size_t r = 0; r < rows; r++) {
            const size_t n = slot_of(r);
            const bool both = n % 2 == 0 && r + 1 < rows && slot_of(r + 1) == n + 1;
            const float* const value = v + r * v_stride + h * kv.head;
            for (size_t c = 0; c < kv.head; c += VALUE_PANEL) {
                const size_t columns = std::min(VALUE_PANEL, kv.head - c);
                bf16* const row = to + layout.value(h, n, c);
                if (both) {
                    to_bf16_pairs(value + c, value + v_stride + c, row, columns);
                    continue;
                }
                bf16 here[VALUE_PANEL];
                to_bf16(value + c, here, columns);
                for (size_t i = 0; i < columns; i++) row[2 * i] = here[i];
            }
            r += both;
        }
    }
}

} // namespace

void write_keys(const KeyValues& kv, const int32_t* slot, size_t first, const void* k, size_t k_stride,
                const float* v, size_t v_stride, size_t rows) {
    const auto same = [](float x) { return x; };
    const auto on_the_grid = [](float x) { return widened(rounded(x)); };
    if (kv.store == Store::F32)
        write(kv, slot, first, static_cast<const float*>(k), k_stride, v, v_stride, rows, same);
    else if (kv.store == Store::BF16)
        write_pairs(kv, slot, first, static_cast<const bf16*>(k), k_stride, v, v_stride, rows);
    else
        write(kv, slot, first, static_cast<const float*>(k), k_stride, v, v_stride, rows, on_the_grid);
}

void expect_keys(const KeyValues& kv, const int32_t* slot, size_t first, size_t rows) {
    const KeyValuesLayout layout(kv);
    const size_t bytes = element_bytes(kv.store), step = kv.store == Store::BF16 ? 2 : 1,
                 line = 64 / (bytes * step);
    const char* const memory = static_cast<const char*>(kv.memory);
    size_t before = ~static_cast<size_t>(0);
    for (size_t r = 0; r < rows; r++) {
        const size_t n = slot ? slot[r] : first + r;
        if (n / line == before) continue; // in the same lines as its neighbour
        before = n / line;
        for (size_t h = 0; h < kv.heads; h++)
            for (size_t i = 0; i < kv.head; i += step)
                __builtin_prefetch(memory + layout.key(h, n, i) * bytes, 1, 2);
    }
}

void read_key(const KeyValues& kv, size_t slot, float* k, float* v) {
    const KeyValuesLayout layout(kv);
    for (size_t h = 0; h < kv.heads; h++)
        for (size_t i = 0; i < kv.head; i++) {
            *k++ = get(kv.memory, layout.key(h, slot, i), kv.store);
            *v++ = get(kv.memory, layout.value(h, slot, i), kv.store);
        }
}

void copy_key(const KeyValues& from, size_t slot, const KeyValues& to, size_t to_slot, size_t h) {
    const KeyValuesLayout here(from), there(to);
    for (size_t i = 0; i < from.head; i++) {
        put(get(from.memory, here.key(h, slot, i), from.store), to.memory, there.key(h, to_slot, i), to.store);
        put(get(from.memory, here.value(h, slot, i), from.store), to.memory, there.value(h, to_slot, i),
            to.store);
    }
}

} // namespace mc::kernels
