// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The row kernels on the host, row after row: what a device without a GPU runs (tests/fake).
#include <vector>

#include "kernels/rows/change.h"
#include "kernels/rows/codes.h"
#include "kernels/rows/residual_norm.h"
#include "kernels/rows/reuse.h"
#include "kernels/rows/rms_rope.h"

namespace mc::kernels::rows {

// body(type, row, lanes) for rows [0, count); type: a pointer of the store's type that only says which it is.
template <class F>
void one_by_one(size_t count, Store store, const F& body) {
    std::vector<float> held(MOST_WIDTH);
    One lanes{held.data()};
    for (size_t r = 0; r < count; r++)
        store == Store::BF16 ? body(static_cast<bf16*>(nullptr), r, lanes)
                             : body(static_cast<float*>(nullptr), r, lanes);
}

inline void residual_norm(const ResidualNorm& a) {
    one_by_one(a.rows, a.store, [&]<class T>(T*, size_t r, One& lanes) { residual_norm<T>(a, r, lanes); });
}
inline void project(const Projection& a) {
    for (size_t p = 0; p < a.parts; p++)
        one_by_one(a.rows, a.part[p].store,
                   [&]<class T>(T*, size_t r, One& lanes) { rms_rope<T>(a.part[p], r, lanes); });
}
inline void reuse(const Reuse& a) {
    one_by_one(a.rows, a.store, [&]<class T>(T*, size_t t, One& lanes) { reuse<T>(a, t, lanes); });
}
inline void change(const Change& a) {
    one_by_one(a.rows, a.store, [&]<class T>(T*, size_t r, One& lanes) { change<T>(a, r, lanes); });
}

inline void quantize(const Codes& a) {
    one_by_one(a.count, a.store, [&]<class T>(T*, size_t r, One& lanes) {
        for (size_t g = 0; g < a.width / a.group; g++) quantize<T>(a, r, g, lanes);
    });
}
// Rows may be wider than what is held elsewhere.
inline void restore(const Codes& a) {
    std::vector<float> held(a.width);
    One lanes{held.data()};
    for (size_t r = 0; r < a.count; r++)
        a.store == Store::BF16 ? restore<bf16>(a, r, lanes) : restore<float>(a, r, lanes);
}

} // namespace mc::kernels::rows
