// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What allocators, LibTorch and the libraries below it throw in mid-work, as the errors that a user reads.
#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>
#include <cstdint>
#include <string>

namespace mc::session {

// Runs `body`. Out of memory, from any allocator, becomes MC_ERROR_MEMORY with what was planned and what is free; a
// device that fails MC_ERROR_DEVICE. what: "The model", ...; planned: bytes; remedy: a sentence. Anything else passes.
void with_memory_told(at::Device device, const std::string& what, int64_t planned, const std::string& remedy,
                      c10::function_ref<void()> body);

} // namespace mc::session
