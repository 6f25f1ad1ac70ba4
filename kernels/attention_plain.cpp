#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mc::kernels::plain {

void attention(const Attention& a, size_t h, size_t first, size_t last) {
    std::vector<double> p(a.keys), sum(a.head);
    for (size_t r = first; r < last; r++) {
        const float* q = a.q + r * a.q_stride + h * a.head;
        for (size_t n = 0; n < a.keys; n++) {
            const float* k = a.k + n * a.k_stride + h * a.head;
            double score = 0;
            for (size_t i = 0; i < a.head; i++) score += static_cast<double>(q[i]) * k[i];
            p[n] = score / std::sqrt(static_cast<double>(a.head)) + (a.key_bias ? a.key_bias[n] : 0.f);
        }
        const double largest = *std::max_element(p.begin(), p.end());
        double total = 0;
        std::fill(sum.begin(), sum.end(), 0.);
        for (size_t n = 0; n < a.keys; n++) {
            const double weight = std::exp(p[n] - largest);
            const float* v = a.v + n * a.v_stride + h * a.head;
            total += weight;
            for (size_t i = 0; i < a.head; i++) sum[i] += weight * v[i];
        }
        float* out = a.out + r * a.out_stride + h * a.head;
        for (size_t i = 0; i < a.head; i++) out[i] = static_cast<float>(sum[i] / total);
    }
}

} // namespace mc::kernels::plain
