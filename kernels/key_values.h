// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Where keys and values lie in their packed memory, in elements.
#include <algorithm>

#include "kernels/attention.h"
#include "kernels/tiles.h"

namespace mc::kernels {

constexpr size_t KEY_PANEL = 32;   // keys side by side
constexpr size_t VALUE_PANEL = 32; // columns side by side; 16 in the last panel where it needs no more
constexpr size_t VALUE_ROUND = 16; // columns beyond the head are zero

class KeyValuesLayout {
  public:
    explicit KeyValuesLayout(const KeyValues& kv)
        : pairs(kv.store == Store::BF16), depth(round_up(kv.head, pairs ? 2 : 1)),
          length(round_up(kv.capacity, pairs ? 2 : 1)), width(round_up(kv.head, VALUE_ROUND)),
          keys(round_up(kv.capacity, KEY_PANEL) * depth), head(keys + length * width) {}

    size_t key(size_t h, size_t slot, size_t channel) const {
        return h * head + slot / KEY_PANEL * KEY_PANEL * depth +
               in_panel(channel, slot % KEY_PANEL, KEY_PANEL, pairs);
    }
    size_t value(size_t h, size_t slot, size_t column) const {
        const size_t first = column / VALUE_PANEL * VALUE_PANEL;
        return h * head + keys + first * length +
               in_panel(slot, column - first, std::min(VALUE_PANEL, width - first), pairs);
    }
    size_t elements_of_a_head() const { return head; }

  private:
    bool pairs;
    size_t depth, length, width; // channels of a key, keys, columns of a value, as laid out
    size_t keys, head;           // elements of a head's keys, and of keys and values
};

// out[2 i] = first[i], out[2 i + 1] = second[i], rounded; n of each.
void to_bf16_pairs(const float* first, const float* second, bf16* out, size_t n);

} // namespace mc::kernels
