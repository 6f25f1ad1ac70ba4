// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/key_values.h"

namespace mc::kernels::plain {

void attention(const Attention& a, size_t h, size_t first, size_t last) {
    const KeyValuesLayout layout(a.kv);
    const size_t head = a.kv.head;
    const Store store = a.kv.store;
    std::vector<double> p(a.keys), sum(head);
    for (size_t r = first; r < last; r++) {
        for (size_t n = 0; n < a.keys; n++) {
            double score = 0;
            for (size_t i = 0; i < head; i++)
                score += static_cast<double>(get(a.q, r * a.q_stride + h * head + i, store)) *
                         get(a.kv.memory, layout.key(h, n, i), store);
            p[n] = score / std::sqrt(static_cast<double>(head)) + (a.key_bias ? a.key_bias[n] : 0.f);
        }
        const double largest = *std::max_element(p.begin(), p.end());
        double total = 0;
        std::fill(sum.begin(), sum.end(), 0.);
        for (size_t n = 0; n < a.keys; n++) {
            const double weight = std::exp(p[n] - largest);
            total += weight;
            for (size_t i = 0; i < head; i++)
                sum[i] += weight * get(a.kv.memory, layout.value(h, n, i), store);
        }
        for (size_t i = 0; i < head; i++) put(sum[i] / total, a.out, r * a.out_stride + h * head + i, store);
    }
}

} // namespace mc::kernels::plain
