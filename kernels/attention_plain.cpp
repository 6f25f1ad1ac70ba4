// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/key_values.h"

namespace mc::kernels::plain {

void attention(const Attention& a, size_t h, size_t first, size_t last) {
    struct Key {
        const KeyValues* kv;
        KeyValuesLayout layout;
        size_t slot;
        float key(size_t h, size_t i) const { return get(kv->memory, layout.key(h, slot, i), kv->store); }
        float value(size_t h, size_t i) const { return get(kv->memory, layout.value(h, slot, i), kv->store); }
    };
    std::vector<Key> keys;
    for (size_t i = 0; i < a.range_count; i++)
        for (size_t n = 0; n < a.ranges[i].keys; n++)
            keys.push_back({&a.ranges[i].kv, KeyValuesLayout(a.ranges[i].kv), n});
    const size_t head = a.ranges[0].kv.head;
    const Store store = a.ranges[0].kv.store;
    std::vector<double> p(keys.size()), sum(head);
    for (size_t r = first; r < last; r++)
        for (size_t query = h * a.queries_per_key; query < (h + 1) * a.queries_per_key; query++) {
            for (size_t n = 0; n < keys.size(); n++) {
                double score = 0;
                for (size_t i = 0; i < head; i++)
                    score += static_cast<double>(get(a.q, r * a.q_stride + query * head + i, store)) *
                             keys[n].key(h, i);
                p[n] = score / std::sqrt(static_cast<double>(head)) + (a.key_bias ? a.key_bias[n] : 0.f);
            }
            const double largest = *std::max_element(p.begin(), p.end());
            double total = 0;
            std::fill(sum.begin(), sum.end(), 0.);
            for (size_t n = 0; n < keys.size(); n++) {
                const double weight = std::exp(p[n] - largest);
                total += weight;
                for (size_t i = 0; i < head; i++) sum[i] += weight * keys[n].value(h, i);
            }
            for (size_t i = 0; i < head; i++)
                put(sum[i] / total, a.out, r * a.out_stride + query * head + i, store);
        }
}

} // namespace mc::kernels::plain
