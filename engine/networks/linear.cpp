// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/linear.h"

#include <ATen/ATen.h>

#include "engine/networks/codes.h"
#include "kernels/gemm.h"

namespace mc::networks {

using kernels::Store;

Store store_for(Precision precision, at::Device device) {
    if (precision == Precision::FLOAT32) return Store::F32;
    const bool multiplied = kernels::bf16_dot() || kernels::matrix_units() != kernels::MatrixUnits::NONE;
    return !device.is_cpu() || multiplied ? Store::BF16 : Store::F32_AS_BF16;
}

Linear::Linear(at::Tensor weight, at::Tensor bias, Layout layout, Store store, HugeArena& arena)
    : weight_(std::move(weight)), bias_(std::move(bias)), out_(weight_.size(0)), in_(weight_.size(1)),
      layout_(layout), store_(store) {
    if (!weight_.is_cpu() && bias_.defined()) stored_bias_ = bias_.to(weight_.scalar_type());
    if (layout == Layout::PLAIN) return;
    at::Tensor packed = arena.take(static_cast<int64_t>(kernels::packed_weight_bytes(out_, in_, store)));
    at::Tensor rows = weight_.contiguous();
    kernels::pack_weight(rows.const_data_ptr(), out_, in_, store, packed.mutable_data_ptr());
    weight_ = packed;
}

Linear Linear::load(const Weights& weights, const std::vector<std::string>& names, int64_t out, int64_t in,
                    Precision precision, Layout layout, Store store, HugeArena& arena, bool in_bytes) {
    const at::ScalarType type = type_of(precision);
    if (!weights.device().is_cpu()) layout = Layout::PLAIN;
    std::vector<at::Tensor> w, b, scales;
    for (const std::string& name : names) {
        w.push_back(weights.get(name + ".weight", {out, in}, type));
        b.push_back(weights.get(name + ".bias", {out}, type).to(at::kFloat));
    }
    if (in_bytes && !weights.device().is_meta())
        for (at::Tensor& t : w) {
            const at::Tensor code = at::empty(t.sizes(), t.options().dtype(at::kChar));
            scales.push_back(at::empty({out, 1}, t.options().dtype(at::kFloat)));
            quantize(t, code, scales.back());
            if (t.is_cpu())
                restore(code, scales.back(), t);
            else
                t = code;
        }
    const auto joined = [&](const std::vector<at::Tensor>& list) {
        return list.size() == 1 ? list[0] : at::cat(list);
    };
    Linear l(joined(w), joined(b), layout, store, arena);
    if (in_bytes && !l.weight_.is_cpu() && !l.weight_.is_meta()) {
        l.scale_ = joined(scales);
        l.stored_bias_ = l.bias_.to(type);
    }
    return l;
}

Linear Linear::part(int64_t first_out, int64_t outs) const {
    Linear l = *this;
    l.out_ = outs;
    l.weight_ = weight_.narrow(0, first_out, outs);
    for (at::Tensor* t : {&l.bias_, &l.stored_bias_, &l.scale_})
        if (t->defined()) *t = t->narrow(0, first_out, outs);
    return l;
}

std::vector<at::Tensor*> Linear::tensors() {
    std::vector<at::Tensor*> list;
    for (at::Tensor* t : {&weight_, &bias_, &stored_bias_, &scale_})
        if (t->defined()) list.push_back(t);
    return list;
}

Linear Linear::on(at::Device device) const {
    Linear l = *this;
    for (at::Tensor* t : l.tensors()) *t = t->to(device);
    return l;
}

at::Tensor Linear::weight() const {
    if (scale_.defined()) {
        at::Tensor rows = at::empty({out_, in_}, stored_bias_.options());
        restore(weight_, scale_, rows);
        return rows;
    }
    if (layout_ == Layout::PLAIN) return weight_;
    at::Tensor rows = at::empty({out_, in_}, grid_of(store_));
    kernels::unpack_weight(weight_.const_data_ptr(), out_, in_, store_, rows.mutable_data_ptr());
    return rows;
}

void Linear::rows(const Part& part, const void* x, int64_t x_stride, int64_t rows, float* y, int64_t y_stride,
                  const void* next) const {
    const bool add_bias = bias_.defined() && !part.accumulate;
    const float* bias = add_bias ? bias_.const_data_ptr<float>() + part.first_out : nullptr;
    kernels::Gemm g{};
    g.a = x;
    g.weight = weight_.const_data_ptr();
    g.weight_in = in_;
    g.first_out = part.first_out;
    g.first_in = part.first_in;
    g.bias = bias;
    g.c = y;
    g.rows = rows;
    g.out = part.outs;
    g.in = part.ins;
    g.a_stride = x_stride;
    g.c_stride = y_stride;
    g.accumulate = part.accumulate;
    g.next = next;
    g.store = store_;
    kernels::gemm(g);
}

} // namespace mc::networks
