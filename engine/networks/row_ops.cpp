// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/row_ops.h"

#include <ATen/ATen.h>
#include <algorithm>

#include "engine/device_kernels.h"

namespace mc::networks {

namespace rows = kernels::rows;

RowOps::RowOps(at::Device device, int64_t width, int64_t head, double eps) : head_(head), eps_(eps) {
    const auto eights = [](int64_t n) { return n % static_cast<int64_t>(rows::EIGHT) == 0; };
    if (eights(width) && eights(head) && width <= static_cast<int64_t>(rows::MOST_WIDTH)) {
        if (const kernels::Launchers* own = device_kernels(device.type())) launch_ = &own->rows;
    }
}

// ---- in ATen ----

namespace {

template <typename F>
void in_blocks(int64_t rows, const F& body) {
    constexpr int64_t step = RowOps::ROWS_AT_ONCE;
    for (int64_t r = 0; r < rows; r += step) body(r, std::min(step, rows - r));
}

at::Tensor rows_of(const at::Tensor& t, int64_t begin, int64_t count) {
    return t.narrow(0, begin, count);
}
at::Tensor wide(const at::Tensor& t, int64_t begin, int64_t count) {
    return t.narrow(0, begin, count).to(at::kFloat);
}
// Through the type of the store and back.
at::Tensor rounded(const at::Tensor& t, at::ScalarType type) {
    return t.to(type).to(at::kFloat);
}

at::Tensor normed(const at::Tensor& x, const at::Tensor& gain, double eps) {
    return x * at::rsqrt(x.square().mean(1, true) + eps) * gain;
}

void norm_by_aten(const RowOps::Norm& a, double eps) {
    in_blocks(a.x.size(0), [&](int64_t r, int64_t n) {
        auto of_rows = [&](const RowOps::Table& t) {
            return t.dim() == 2 ? t.index_select(0, rows_of(a.group, r, n)) : t;
        };
        at::Tensor x = rows_of(a.x, r, n);
        if (a.delta.defined()) {
            at::Tensor step = wide(a.delta, r, n);
            if (a.gate.defined()) step = step * of_rows(a.gate);
            x.copy_(x.to(at::kFloat) + step);
        }
        if (!a.out.defined()) return;
        const at::Tensor y = at::layer_norm(x.to(at::kFloat), {x.size(1)}, {}, {}, eps);
        rows_of(a.out, r, n).copy_(y * (of_rows(a.mult) + a.base) + of_rows(a.add));
    });
}

void project_by_aten(const RowOps::Projection& a, double eps) {
    const int64_t D = a.q.size(1), pairs = a.cosine.size(1);
    in_blocks(a.q.size(0), [&](int64_t r, int64_t n) {
        const at::Tensor position = rows_of(a.position, r, n);
        const at::Tensor cosine = a.cosine.index_select(0, position).unsqueeze(1),
                         sine = a.sine.index_select(0, position).unsqueeze(1);
        auto rotated = [&](int64_t part, const at::Tensor& gain) {
            at::Tensor y = normed(wide(a.qkv, r, n).narrow(1, part * D, D), gain, eps);
            y = rounded(y, a.q.scalar_type()).view({n, D / (2 * pairs), pairs, 2});
            const at::Tensor even = y.select(3, 0), odd = y.select(3, 1);
            return at::stack({even * cosine - odd * sine, even * sine + odd * cosine}, 3).view({n, D});
        };
        rows_of(a.q, r, n).copy_(rotated(0, a.gain_q));
        const at::Tensor slot = rows_of(a.slot, r, n).to(at::kLong);
        at::Tensor to = a.keys_values;
        to.index_copy_(0, slot, rotated(1, a.gain_k).to(a.q.scalar_type()));
        to.index_copy_(0, slot + a.value_slots, rows_of(a.qkv, r, n).narrow(1, 2 * D, D));
    });
}

void reuse_by_aten(const RowOps::Reuse& a) {
    in_blocks(a.in.size(0), [&](int64_t r, int64_t n) {
        const at::Tensor row = rows_of(a.row, r, n).to(at::kLong), in = wide(a.in, r, n);
        const at::Tensor computed = (row >= 0).unsqueeze(1); // [n, 1]
        // Of a chunk of which nothing was computed there is no row to point to.
        const at::Tensor x = a.x.size(0) ? a.x.index_select(0, row.clamp_min(0)).to(at::kFloat) : in;
        if (!a.residual.defined()) {
            rows_of(a.out, r, n).copy_(x);
            return;
        }
        at::Tensor residual = rows_of(a.residual, r, n);
        const at::Tensor before = residual.to(at::kFloat), fresh = rounded(x - in, residual.scalar_type());
        at::Tensor again = in + before;
        if (a.slope.defined()) {
            at::Tensor level = rows_of(a.level, r, n), slope = rows_of(a.slope, r, n);
            const at::Tensor passed = (a.level_now - level).unsqueeze(1), old = slope.to(at::kFloat);
            again = again + old * passed;
            const at::Tensor still = (passed == 0).logical_or(passed.isnan());
            const at::Tensor made = at::where(still, at::zeros_like(fresh), (fresh - before) / passed);
            slope.copy_(at::where(computed, made, old));
            level.copy_(at::where(row >= 0, at::full_like(level, a.level_now), level));
        }
        rows_of(a.out, r, n).copy_(at::where(computed, x, again));
        residual.copy_(at::where(computed, fresh, before));
    });
}

void change_by_aten(const at::Tensor& x, const at::Tensor& y, const at::Tensor& out) {
    in_blocks(x.size(0), [&](int64_t r, int64_t n) {
        const at::Tensor before = wide(y, r, n);
        rows_of(out, r, n).copy_((wide(x, r, n) - before).abs().mean(1) / (before.abs().mean(1) + 1e-8));
    });
}

// ---- for kernels ----

kernels::Store store_of(const at::Tensor& t) {
    return t.scalar_type() == at::kBFloat16 ? kernels::Store::BF16 : kernels::Store::F32;
}
size_t stride(const at::Tensor& t) { // of a row
    return static_cast<size_t>(t.stride(0));
}
size_t count(const at::Tensor& t) {
    return static_cast<size_t>(t.size(0));
}
template <class T = void>
T* at_of(const at::Tensor& t) {
    return t.defined() ? static_cast<T*>(t.mutable_data_ptr()) : nullptr;
}
const float* floats(const at::Tensor& t) {
    return at_of<const float>(t);
}
const int32_t* ints(const at::Tensor& t) {
    return at_of<const int32_t>(t);
}
size_t table_stride(const RowOps::Table& t) {
    return t.defined() && t.dim() == 2 ? stride(t) : 0;
}

} // namespace

// ---- both ----

void RowOps::residual_norm(const Norm& a) const {
    if (!launch_) return norm_by_aten(a, eps_);
    rows::ResidualNorm k{};
    k.x = at_of(a.x), k.x_stride = stride(a.x), k.rows = count(a.x),
    k.width = static_cast<size_t>(a.x.size(1));
    k.delta = at_of(a.delta), k.delta_stride = a.delta.defined() ? stride(a.delta) : 0;
    k.gate = floats(a.gate), k.gate_stride = table_stride(a.gate);
    k.mult = floats(a.mult), k.add = floats(a.add), k.norm_stride = table_stride(a.mult);
    k.group = ints(a.group);
    k.out = at_of(a.out), k.out_stride = a.out.defined() ? stride(a.out) : 0;
    k.base = a.base, k.eps = static_cast<float>(eps_), k.store = store_of(a.x);
    launch_->residual_norm(k);
}

void RowOps::project(const Projection& a) const {
    if (!launch_) return project_by_aten(a, eps_);
    const int64_t D = a.q.size(1);
    rows::Projection k{};
    k.parts = 3, k.rows = count(a.q);
    for (size_t p = 0; p < 3; p++) {
        rows::RmsRope& part = k.part[p];
        part.in = at_of(a.qkv.narrow(1, static_cast<int64_t>(p) * D, D)), part.in_stride = stride(a.qkv);
        const at::Tensor to = p == 0   ? a.q
                              : p == 1 ? a.keys_values
                                       : a.keys_values.narrow(0, a.value_slots, 1);
        part.out = at_of(to), part.out_stride = stride(to);
        part.slot = p ? ints(a.slot) : nullptr;
        if (p < 2) {
            part.gain = floats(p ? a.gain_k : a.gain_q);
            part.cosine = floats(a.cosine), part.sine = floats(a.sine), part.position = ints(a.position);
        }
        part.width = static_cast<size_t>(D), part.head = static_cast<size_t>(head_);
        part.eps = static_cast<float>(eps_), part.store = store_of(a.q);
    }
    launch_->project(k);
}

void RowOps::rms(const at::Tensor& x, const at::Tensor& gain) const {
    if (!launch_)
        return in_blocks(x.size(0), [&](int64_t r, int64_t n) {
            rows_of(x, r, n).copy_(normed(wide(x, r, n), gain, eps_));
        });
    rows::Projection k{};
    k.parts = 1, k.rows = count(x);
    rows::RmsRope& part = k.part[0];
    part.in = part.out = at_of(x), part.in_stride = part.out_stride = stride(x);
    part.gain = floats(gain);
    part.width = static_cast<size_t>(x.size(1)), part.head = static_cast<size_t>(head_);
    part.eps = static_cast<float>(eps_), part.store = store_of(x);
    launch_->project(k);
}

void RowOps::reuse(const Reuse& a) const {
    if (!launch_) return reuse_by_aten(a);
    kernels::Reuse k{};
    k.in = at_of(a.in), k.x = at_of(a.x), k.row = ints(a.row);
    k.residual = at_of(a.residual), k.slope = at_of(a.slope), k.level = at_of<float>(a.level);
    k.level_now = a.level_now;
    k.out = at_of(a.out), k.rows = count(a.in), k.width = static_cast<size_t>(a.in.size(1)),
    k.store = store_of(a.in);
    launch_->reuse(k);
}

void RowOps::change(const at::Tensor& x, const at::Tensor& y, const at::Tensor& out) const {
    if (!launch_) return change_by_aten(x, y, out);
    launch_->change({at_of(x), at_of(y), at_of<float>(out), count(x), static_cast<size_t>(x.size(1)),
                     stride(x), stride(y), store_of(x)});
}

} // namespace mc::networks
