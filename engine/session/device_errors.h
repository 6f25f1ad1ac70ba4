// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What goes wrong in mid-work, as the errors that a user reads: what allocators, LibTorch and the libraries below it
// throw, and numbers that are none.
#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>
#include <cstdint>
#include <string>

#include "engine/request/fields.h"

namespace mc::session {

// Runs `body`. Out of memory, from any allocator, becomes MC_ERROR_MEMORY with what was planned and what is free; a
// device that fails MC_ERROR_DEVICE. what: "The model", ...; planned: bytes; remedy: a sentence. Anything else passes.
void with_memory_told(at::Device device, const std::string& what, int64_t planned, const std::string& remedy,
                      c10::function_ref<void()> body);

// Of each finished chunk: a fault of the model must not become a black video. Throws MC_ERROR_NUMBERS.
void check_latents(const at::Tensor& latents, Precision precision);

} // namespace mc::session
