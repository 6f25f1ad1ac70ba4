// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/loading.h"

#include <cstdio>
#include <cstdlib>

#include "engine/available_processors.h"
#include "engine/device.h"
#include "engine/error.h"
#include "engine/processor.h"
#include "engine/session/memory.h"
#include "kernels/gemm.h"

namespace mc::session {

int thread_count(const LoadOptions& o) {
    return o.threads > 0 ? o.threads : available_processors();
}

at::Device choose_device(const LoadOptions& o,
                         const std::function<void(int level, const std::string& text)>& log) {
    return o.opened ? *o.opened : choose_device(o.device, o.cuda, log);
}

Precision precision_on(at::Device device, const LoadOptions& o) {
    const bool matrix_units = kernels::matrix_units() != kernels::MatrixUnits::NONE;
    return o.precision.value_or(device.is_cpu() && !matrix_units ? Precision::FLOAT32 : Precision::BFLOAT16);
}

namespace {

// What the CPU multiplies numbers of this precision with.
std::string products(Precision precision) {
    if (precision == Precision::FLOAT32) return "products of float32";
    switch (kernels::matrix_units()) {
    case kernels::MatrixUnits::AMX:
        return "products by matrix units (AMX)";
    case kernels::MatrixUnits::EMULATED:
        return "products by an emulation of matrix units, which is slow (MOTIONCACHE_AMX=emulated)";
    case kernels::MatrixUnits::NONE:
        break;
    }
    return kernels::bf16_dot() ? "products of pairs (AVX-512 BF16)"
                               : "products of float32, as this processor has none of bfloat16";
}

void check_environment() {
    const char* set = std::getenv("MOTIONCACHE_AMX");
    const std::string value = set ? set : "";
    if (!value.empty() && value != "off" && value != "emulated")
        throw Error(MC_ERROR_SETTINGS, "The environment variable MOTIONCACHE_AMX is \"" + value +
                                           "\": set it to off or emulated, or unset it.");
}

void tell_precision(const Placement& p, const LoadOptions& o) {
    if (!o.log || !p.device.is_cpu()) return;
    const bool full = p.precision == Precision::FLOAT32;
    std::string text = std::string("precision is ") + (full ? "float32" : "bfloat16");
    if (!o.precision)
        text += full ? ", as this processor has no matrix units for bfloat16 (AMX)"
                     : ", as it is faster on this processor";
    o.log(4, text + ": " + products(p.precision));
}

} // namespace

Placement choose_placement(const LoadOptions& o) {
    check_environment();
    Placement p;
    p.device = choose_device(o, o.log);
    p.precision = precision_on(p.device, o);
    p.threads = thread_count(o);
    set_thread_count(p.threads);
    tell_precision(p, o);
    return p;
}

// What is read, packed and freed leaves holes between the weights in the C library's memory: with 1.3B, hundreds of MB.
LoadProgress::~LoadProgress() {
    give_back_memory(at::kCPU);
}

void LoadProgress::loaded(size_t bytes, const char* name) {
    constexpr size_t OFTEN = 64 << 20;
    done_ += bytes;
    if (done_ - given_back_ >= OFTEN) {
        give_back_memory(at::kCPU);
        given_back_ = done_;
    }
    if (options_.progress) options_.progress(static_cast<double>(done_) / static_cast<double>(total_), name);
}

void ReadingTime::tell(const std::string& what, int64_t weights) const {
    if (!log_) return;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin_;
    const Resident memory = resident_memory();
    char took[32];
    std::snprintf(took, sizeof took, "%.2f s", seconds.count());
    log_(4, what + " read in " + took + ", weights of " + gibibytes(weights) + "; this process holds " +
                gibibytes(memory.now) + " of memory, at most " + gibibytes(memory.most) + " so far");
}

void check_weights_fit(int64_t bytes, Precision precision, at::Device device,
                       std::optional<int64_t> in_bytes) {
    check_memory(
        bytes, "The model",
        [&](int64_t free) -> std::string {
            if (precision == Precision::FLOAT32 && bytes / 2 <= free)
                return "set precision=bfloat16 to halve it.";
            if (in_bytes && *in_bytes <= free)
                return "set weights-precision=int8, with which they take " + gibibytes(*in_bytes) + ".";
            return device.is_cpu() ? "use a smaller model or a machine with more memory."
                                   : "use a smaller model, or device=cpu.";
        },
        device);
}

} // namespace mc::session
