// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/codes.h"

#include <ATen/ATen.h>
#include <algorithm>

#include "engine/device_kernels.h"

namespace mc::networks {

namespace rows = kernels::rows;

namespace {

constexpr size_t MOST_GROUP = 256; // that a kernel quantizes
constexpr int64_t ROWS_AT_ONCE = 1024; // that ATen turns into float32 tensors at a time, where all rows are quantized

rows::Codes codes_of(const at::Tensor& rows, const at::Tensor& code, const at::Tensor& scale,
                     const at::Tensor& slot) {
    rows::Codes k{};
    k.rows = rows.mutable_data_ptr(), k.code = code.mutable_data_ptr<int8_t>(),
    k.scale = scale.mutable_data_ptr<float>();
    k.slot = slot.defined() ? slot.const_data_ptr<int32_t>() : nullptr;
    k.count = static_cast<size_t>(slot.defined() ? slot.size(0) : rows.size(0));
    k.width = static_cast<size_t>(rows.size(1)), k.group = k.width / static_cast<size_t>(scale.size(1));
    k.store = rows.scalar_type() == at::kBFloat16 ? kernels::Store::BF16 : kernels::Store::F32;
    return k;
}
// nullptr: ATen does it.
const rows::Launchers* kernels_for(const rows::Codes& k, at::Device device) {
    const kernels::Launchers* own = device_kernels(device.type());
    return own && k.group % rows::EIGHT == 0 ? &own->rows : nullptr;
}

} // namespace

void quantize(const at::Tensor& rows, const at::Tensor& code, const at::Tensor& scale,
              const at::Tensor& slot) {
    const rows::Codes k = codes_of(rows, code, scale, slot);
    const rows::Launchers* launch = kernels_for(k, rows.device());
    if (launch && k.group <= MOST_GROUP) return launch->quantize(k);
    if (!slot.defined() && rows.size(0) > ROWS_AT_ONCE) {
        for (int64_t r = 0; r < rows.size(0); r += ROWS_AT_ONCE) {
            const int64_t n = std::min(ROWS_AT_ONCE, rows.size(0) - r);
            quantize(rows.narrow(0, r, n), code.narrow(0, r, n), scale.narrow(0, r, n));
        }
        return;
    }
    const at::Tensor index = slot.defined() ? slot.to(at::kLong) : at::Tensor();
    const at::Tensor x = (slot.defined() ? rows.index_select(0, index) : rows)
                             .to(at::kFloat)
                             .unflatten(1, {scale.size(1), static_cast<int64_t>(k.group)});
    const at::Tensor most = x.abs().amax(2, true), finite = at::isfinite(most);
    const at::Tensor steps = at::where(finite.logical_and(most > kernels::rows::LEAST_CODED), 127 / most, 0.);
    at::Tensor made = at::where(finite, x * steps, 0.).round().to(at::kChar).flatten(1);
    at::Tensor scales = at::where(finite, most / 127, NAN).squeeze(2);
    at::Tensor to = code, to_scale = scale;
    if (slot.defined()) {
        to.index_copy_(0, index, made), to_scale.index_copy_(0, index, scales);
    } else {
        to.copy_(made), to_scale.copy_(scales);
    }
}

void restore(const at::Tensor& code, const at::Tensor& scale, const at::Tensor& rows,
             const at::Tensor& slot) {
    const rows::Codes k = codes_of(rows, code, scale, slot);
    if (const rows::Launchers* launch = kernels_for(k, rows.device())) return launch->restore(k);
    const at::Tensor index = slot.defined() ? slot.to(at::kLong) : at::Tensor();
    auto of = [&](const at::Tensor& t) { return slot.defined() ? t.index_select(0, index) : t; };
    const at::Tensor made =
        (of(code).unflatten(1, {scale.size(1), static_cast<int64_t>(k.group)}) * of(scale).unsqueeze(2))
            .flatten(1);
    at::Tensor to = rows;
    if (slot.defined())
        to.index_copy_(0, index, made.to(rows.scalar_type()));
    else
        to.copy_(made);
}

} // namespace mc::networks
