// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/key_values.h"

#include <type_traits>

#include "kernels/bf16.h"

namespace mc::kernels {

size_t key_value_bytes(size_t capacity, size_t heads, size_t head, Store store) {
    const KeyValuesLayout layout({nullptr, capacity, heads, head, store});
    return heads * layout.elements_of_a_head() * element_bytes(store);
}

namespace {

// Head by head, because the panel that neighbouring keys are scattered over stays in the first-level cache then.
template <class T, class Round>
void write(const KeyValues& kv, const int32_t* slot, size_t first, const T* k, size_t k_stride,
           const float* v, size_t v_stride, size_t rows, Round round) {
    const KeyValuesLayout layout(kv);
    T* const to = static_cast<T*>(kv.memory);
    constexpr bool pairs = std::is_same_v<T, bf16>;
    for (size_t h = 0; h < kv.heads; h++)
        for (size_t r = 0; r < rows; r++) {
            const size_t n = slot ? slot[r] : first + r;
            const T* const key = k + r * k_stride + h * kv.head;
            T* const column = to + layout.key(h, n, 0);
            for (size_t i = 0; i < kv.head; i++) column[in_panel(i, 0, KEY_PANEL, pairs)] = key[i];
            const float* const value = v + r * v_stride + h * kv.head;
            for (size_t c = 0; c < kv.head; c += VALUE_PANEL) {
                T* const row = to + layout.value(h, n, c);
                for (size_t i = 0; i < std::min(VALUE_PANEL, kv.head - c); i++)
                    row[pairs ? 2 * i : i] = round(value[c + i]);
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
        write(kv, slot, first, static_cast<const bf16*>(k), k_stride, v, v_stride, rows, rounded);
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
