// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/bf16.h"
#include "kernels/tiles.h"

namespace mc::kernels::plain {

void gemm(const Gemm& a) {
    const Store weight = a.store == Store::F32 ? Store::F32 : Store::BF16;
    for (size_t r = 0; r < a.rows; r++)
        for (size_t o = 0; o < a.out; o++) {
            float& c = a.c[r * a.c_stride + o];
            double sum = (a.accumulate ? c : 0.) + (a.bias ? a.bias[o] : 0.);
            for (size_t i = 0; i < a.in; i++) {
                const size_t at = in_packed(a.first_out + o, a.first_in + i, a.weight_in, a.store);
                sum += static_cast<double>(get(a.a, r * a.a_stride + i, a.store)) * get(a.weight, at, weight);
            }
            c = static_cast<float>(sum);
        }
}

} // namespace mc::kernels::plain
