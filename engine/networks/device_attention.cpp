// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/device_attention.h"

#include <ATen/SDPBackend.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/_scaled_dot_product_flash_attention.h>
#include <ATen/ops/scaled_dot_product_attention.h>

namespace mc::networks {

// From Hopper on ATen prefers cuDNN's kernel. It is the fastest there, but makes a plan for every number of rows and
// keys that it has not met, which others have measured at 55 to 440 ms: as long as a sparse step or longer, and a
// sparse step always has new ones. And it keeps each plan as long as the thread lives. FlashAttention makes none and
// takes whatever cuDNN takes.
at::Tensor device_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool comes_again) {
    const auto cudnn = static_cast<int64_t>(at::SDPBackend::cudnn_attention);
    if (!comes_again && !q.is_cpu() && at::_fused_sdp_choice(q, k, v) == cudnn)
        return std::get<0>(at::_scaled_dot_product_flash_attention(q, k, v));
    return at::scaled_dot_product_attention(q, k, v);
}

} // namespace mc::networks
