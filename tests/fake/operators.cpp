// SPDX-License-Identifier: LGPL-2.1-or-later
// What the dispatcher calls on the fake device: the CPU's kernels, on the shadow of the device's memory.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/SDPBackend.h>
#include <ATen/native/DispatchStub.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceGuard.h>
#include <set>
#include <torch/library.h>

#include "tests/fake/memory.h"

namespace mc::fake {

namespace {

bool ours(const at::Tensor& t) {
    return t.defined() && t.device().type() == KIND;
}
// The same tensor where the CPU can reach it, for the current stream to read or to write.
at::Tensor reach(const at::Tensor& t, bool write = false) {
    if (!ours(t)) return t;
    Memory::get().touch(t.storage().data(), write);
    return at::from_blob(Memory::get().shadow_of(t.const_data_ptr()), t.sizes(), t.strides(),
                         t.options().device(at::kCPU));
}
void refuse_others(std::initializer_list<at::Tensor> tensors, const char* name) {
    for (const at::Tensor& t : tensors)
        TORCH_CHECK(!t.defined() || t.device() == tensors.begin()->device(), name, ": tensors on different devices");
}
at::Tensor bring(const at::Tensor& t, std::optional<c10::Device> device = {}) {
    if (!t.defined()) return t;
    at::Tensor out = at::empty_strided(
        t.sizes(), t.strides(), t.options().device(device.value_or(c10::Device(KIND, current_device()))));
    reach(out, true).copy_(t);
    return out;
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
    const c10::DeviceGuard guard(device_or_default(device));
    return at::detail::empty_generic(size, c10::GetAllocator(KIND),
                                     c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                     dtype_or_default(type), format);
}
at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
    const c10::DeviceGuard guard(device_or_default(device));
    return at::detail::empty_strided_generic(size, stride, c10::GetAllocator(KIND),
                                             c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                             dtype_or_default(type));
}
// What an operator has to move for a tensor: an axis that repeats the same numbers counts once.
int64_t bytes_of(const at::Tensor& t) {
    int64_t count = t.element_size();
    for (int64_t d = 0; d < t.dim(); d++)
        if (t.stride(d) || !t.size(d)) count *= t.size(d);
    return ours(t) ? count : 0;
}
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
    reach(to, true).copy_(reach(from));
    if (ours(from) && ours(to)) {
        add_bytes("aten::copy_", bytes_of(from) + bytes_of(to));
        return to;
    }
    (ours(to) ? counts.uploads : counts.downloads)++;
    if (ours(to)) counts.upload_bytes += int64_t(to.nbytes());
    if (ours(to) && non_blocking && is_pinned(from.const_data_ptr())) {
        Memory::get().under_way(from);
        return to;
    }
    TORCH_CHECK(!non_blocking || ours(to), "the fake device copies to the host with a wait only");
    Memory::get().waited(false);
    return to;
}
at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
    return copy_from(from, to, false);
}
at::Scalar local_scalar(const at::Tensor& t) {
    at::Scalar value = reach(t).item();
    Memory::get().waited(false);
    return value;
}
at::Tensor view(const at::Tensor& t, c10::SymIntArrayRef size) {
    return at::native::view(t, C10_AS_INTARRAYREF_SLOW(size));
}
at::Tensor as_strided(const at::Tensor& t, c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                      std::optional<c10::SymInt> offset) {
    return at::native::as_strided_tensorimpl(
        t, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride),
        offset ? std::optional<int64_t>(offset->expect_int()) : std::nullopt);
}
at::Tensor reshape_alias(const at::Tensor& t, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
    return at::native::_reshape_alias(t, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
}
at::Tensor convolution(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& b,
                       c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
                       bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups) {
    refuse_others({x, w, b.value_or(at::Tensor())}, "convolution");
    return bring(at::convolution_symint(reach(x), reach(w), b ? std::optional(reach(*b)) : std::nullopt,
                                        stride, padding, dilation, transposed, output_padding, groups),
                 x.device());
}
using Attended = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt, at::Tensor,
                            at::Tensor, at::Tensor>;
Attended attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                   const std::optional<at::Tensor>& mask, double dropout, bool causal, bool,
                   std::optional<double> scale) {
    TORCH_CHECK(
        !mask || !mask->defined() || mask->scalar_type() == q.scalar_type(),
        "invalid dtype for bias - should match query's dtype"); // the words of CUDA's memory-efficient kernel
    refuse_others({q, k, v, mask.value_or(at::Tensor())}, "attention");
    counts.attention++;
    const at::Tensor out = at::scaled_dot_product_attention(reach(q), reach(k), reach(v),
                                                            mask ? std::optional(reach(*mask)) : std::nullopt,
                                                            dropout, causal, scale);
    return {bring(out, q.device()), {}, {}, {}, q.sym_size(2), k.sym_size(2), {}, {}, {}};
}

std::atomic<bool> cudnn_preferred{false};
// As ATen has them: no mask, two bytes a number.
int64_t choice(const at::Tensor& q, const std::optional<at::Tensor>& mask) {
    const bool cudnn = cudnn_preferred && q.scalar_type() == at::kBFloat16 && !(mask && mask->defined());
    return int64_t(cudnn ? at::SDPBackend::cudnn_attention : at::SDPBackend::overrideable);
}
int64_t attention_choice(const at::Tensor& q, const at::Tensor&, const at::Tensor&,
                         const std::optional<at::Tensor>& mask, double, bool, std::optional<double>, bool) {
    return choice(q, mask);
}
Attended cudnn_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const std::optional<at::Tensor>& mask, bool, double dropout, bool causal, bool debug,
                         std::optional<double> scale) {
    thread_local std::set<std::pair<std::vector<int64_t>, std::vector<int64_t>>> plans;
    if (plans.emplace(q.sizes().vec(), k.sizes().vec()).second) counts.plans++;
    return attention(q, k, v, mask, dropout, causal, debug, scale);
}
Attended flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double dropout, bool causal,
                         bool debug, std::optional<double> scale) {
    TORCH_CHECK(q.scalar_type() == at::kBFloat16 && q.stride(-1) == 1 && q.size(-1) % 8 == 0,
                "FlashAttention only support fp16 and bf16 data type"); // its words
    return attention(q, k, v, {}, dropout, causal, debug, scale);
}

// In the product's float32 sums and by tanh, as cuBLASLt does it; ATen's CPU has another GELU here.
at::Tensor addmm_activation(const at::Tensor& bias, const at::Tensor& a, const at::Tensor& b,
                            const at::Scalar& beta, const at::Scalar& alpha, bool use_gelu) {
    refuse_others({bias, a, b}, "_addmm_activation");
    counts.kernels++;
    Memory::get().take_workspace();
    auto wide = [](const at::Tensor& t) { return reach(t).to(at::kFloat); };
    const at::Tensor sum = at::addmm(wide(bias), wide(a), wide(b), beta, alpha);
    return bring((use_gelu ? at::gelu(sum, "tanh") : at::relu(sum)).to(a.scalar_type()), a.device());
}

bool is_product(const std::string& name) {
    static const std::set<std::string> names{"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"};
    return names.count(name) > 0;
}
// Before the stack is given to the CPU's kernel; what is made anew counts behind it.
void count_bytes(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments) {
    const std::string& name = schema.name();
    if (is_product(name)) return;
    const bool picks = name == "aten::index_select",
               puts = name == "aten::index_copy_"; // not the whole table
    for (size_t i = 0; i < arguments.size(); i++) {
        const auto* alias = schema.arguments()[i].alias_info();
        const bool written = alias && alias->isWrite(), in_place = written && name.back() == '_';
        if (arguments[i].isTensor()) {
            if ((picks || puts) && i == 0) continue;
            const bool twice = in_place || puts; // of what is put: read here, written there
            add_bytes(name, bytes_of(arguments[i].toTensor()) * (twice ? 2 : 1));
        } else if (arguments[i].isTensorList()) {
            for (const at::Tensor& t : arguments[i].toTensorVector()) add_bytes(name, bytes_of(t));
        }
    }
}

// Every other operator: the CPU's kernel on the shadow.
void on_shadow(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
    counts.kernels++;
    const auto& schema = op.schema();
    const auto& arguments = schema.arguments();
    const auto given = torch::jit::last(stack, arguments.size());
    const std::vector<c10::IValue> originals(given.begin(), given.end());
    if (is_product(schema.name())) Memory::get().take_workspace();
    count_bytes(schema, originals);
    const int64_t made = is_product(schema.name()) ? 0 : schema.name() == "aten::index_select" ? 2 : 1;
    bool any = false;
    const at::Tensor* stranger = nullptr;
    std::optional<c10::Device> first_of_ours;
    auto look = [&](const at::Tensor& t, bool write) {
        if (ours(t) && (!any || t.device() == *first_of_ours))
            any = true, first_of_ours = t.device();
        else if (t.defined() && (ours(t) || t.dim() > 0))
            stranger = &t;
        return reach(t, write);
    };
    const size_t first = stack->size() - arguments.size();
    std::optional<c10::Device> device;
    std::vector<std::vector<at::Tensor>> kept;
    std::vector<std::pair<at::Tensor, at::Tensor>> grown; // empty results that the kernel gives a size
    for (size_t i = 0; i < arguments.size(); i++) {
        const c10::IValue& v = originals[i];
        c10::IValue& to = (*stack)[first + i];
        if (v.isTensor()) {
            const at::Tensor& t = v.toTensor();
            const auto* alias = arguments[i].alias_info();
            const bool written = alias && alias->isWrite();
            to = look(t, written);
            if (ours(t) && !device) device = t.device();
            if (ours(t) && t.numel() == 0 && written) {
                grown.emplace_back(t, at::empty({0}, t.options().device(at::kCPU)));
                to = grown.back().second;
            }
        } else if (v.isTensorList()) {
            kept.push_back(v.toTensorVector());
            c10::List<at::Tensor> list;
            for (const at::Tensor& t : kept.back()) {
                list.push_back(look(t, false));
                if (ours(t) && !device) device = t.device();
            }
            to = list;
        } else if (v.isOptionalTensorList()) {
            c10::List<std::optional<at::Tensor>> list;
            for (const std::optional<at::Tensor> t : v.toOptionalTensorList())
                list.push_back(t ? std::optional(look(*t, false)) : t);
            to = list;
        } else if (v.isDevice()) {
            device = v.toDevice();
            to = c10::Device(at::kCPU);
        }
    }
    TORCH_CHECK(!any || !stranger,
                "Expected all tensors to be on the same device, but found at least two devices, ",
                device.value_or(c10::Device(KIND, 0)), " and ", any && stranger ? stranger->device() : at::kCPU, "! (",
                schema.operator_name(), ")");
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);

    const c10::OptionalDeviceGuard guard(device);
    for (auto& [t, cpu] : grown) {
        if (cpu.dim() == 1 && cpu.numel() == 0) continue; // it stays empty
        const at::Tensor fresh = bring(cpu);
        t.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
        t.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides());
    }
    const auto& returns = schema.returns();
    const size_t begin = stack->size() - returns.size();
    for (size_t i = 0; i < returns.size(); i++) {
        c10::IValue& v = (*stack)[begin + i];
        if (const auto* alias = returns[i].alias_info()) {
            TORCH_CHECK(alias->isWrite(), "the fake device lacks the view ", schema.operator_name());
            for (size_t a = 0; a < arguments.size(); a++)
                if (arguments[a].alias_info() && *arguments[a].alias_info() == *alias) v = originals[a];
        } else if (v.isTensor()) {
            v = bring(v.toTensor());
            if (v.toTensor().defined()) add_bytes(schema.name(), made * bytes_of(v.toTensor()));
        } else if (v.isTensorList()) {
            c10::List<at::Tensor> list;
            for (const at::Tensor& t : v.toTensorVector()) list.push_back(bring(t));
            v = list;
        }
    }
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
    m.impl("empty.memory_format", empty);
    m.impl("empty_strided", empty_strided);
    m.impl("_copy_from", copy_from);
    m.impl("_copy_from_and_resize", copy_from_and_resize);
    m.impl("_local_scalar_dense", local_scalar);
    m.impl("view", view);
    m.impl("as_strided", as_strided);
    m.impl("_reshape_alias", reshape_alias);
    m.impl("convolution_overrideable", convolution);
    m.impl("_addmm_activation", addmm_activation);
    m.impl("_scaled_dot_product_fused_attention_overrideable", attention);
    m.impl("_fused_sdp_choice", attention_choice);
    m.impl("_scaled_dot_product_cudnn_attention", cudnn_attention);
    m.impl("_scaled_dot_product_flash_attention", flash_attention);
}
TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
    m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_shadow>());
}
} // namespace

void prefer_cudnn(bool prefer) {
    cudnn_preferred = prefer;
}

} // namespace mc::fake

namespace at::native {
static int64_t fake_choice(const Tensor& q, const Tensor&, const Tensor&, const std::optional<Tensor>& mask, double,
                           bool, std::optional<double>, bool) {
    return mc::fake::choice(q, mask);
}
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &fake_choice)
} // namespace at::native
