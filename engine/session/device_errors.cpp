// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/device_errors.h"

#include <ATen/ops/isfinite.h>
#include <c10/util/Exception.h>
#include <new>

#include "engine/device.h"
#include "engine/error.h"
#include "engine/session/memory.h"

namespace mc::session {

namespace {

// cuBLAS, cuDNN and LibTorch's CPU allocator have no type of their own for it.
bool tells_of_memory(const std::string& text) {
    for (const char* words : {"out of memory", "ALLOC_FAILED", "not enough memory", "can't allocate memory"})
        if (text.find(words) != std::string::npos) return true;
    return false;
}

[[noreturn]] void refuse(at::Device device, const std::string& what, int64_t planned,
                         const std::string& remedy, const std::string& detail) {
    std::string free = gibibytes(free_memory()) + " of memory are free";
    if (!device.is_cpu()) {
        give_back_memory(device);
        const DeviceMemory memory = device_memory(device);
        free = gibibytes(memory.free) + " of " + device.str() + "'s " + gibibytes(memory.total) + " are free";
    }
    throw Error(MC_ERROR_MEMORY,
                what + " ran out of memory: " + gibibytes(planned) + " were planned, and now " + free + "; " +
                    remedy,
                detail);
}

} // namespace

void with_memory_told(at::Device device, const std::string& what, int64_t planned, const std::string& remedy,
                      c10::function_ref<void()> body) {
    std::string detail;
    try {
        return body();
    } catch (const std::bad_alloc& e) {
        detail = e.what();
    } catch (const c10::OutOfMemoryError& e) {
        detail = e.what_without_backtrace();
    } catch (const c10::Error& e) {
        detail = e.what_without_backtrace();
        if (!tells_of_memory(detail)) {
            if (device.is_cpu() || (!dynamic_cast<const c10::AcceleratorError*>(&e) &&
                                    detail.find("CUDA error") == std::string::npos))
                throw;
            throw Error(MC_ERROR_DEVICE,
                        device.str() + " failed in the middle of its work (" +
                            detail.substr(0, detail.find('\n')) +
                            "); start the program again, and where it fails again use device=cpu.",
                        detail);
        }
    }
    // Outside of the handlers, which hold the exception and with it what its frames hold.
    refuse(device, what, planned, remedy, detail);
}

void check_latents(const at::Tensor& latents, Precision precision) {
    if (at::isfinite(latents).all().item<bool>()) return;
    throw Error(MC_ERROR_NUMBERS,
                std::string("The transformer produced NaN or infinity; its weights are damaged") +
                    (precision == Precision::FLOAT32
                         ? ": fetch the files again."
                         : " or do not suit precision bfloat16: try precision=float32, else fetch the files again."));
}

} // namespace mc::session
