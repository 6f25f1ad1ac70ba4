// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Tells weights apart without reading them all.
#include <cstdint>
#include <string>

#include "engine/model/tensors.h"

namespace mc::model {

// FNV-1a, 64 bits, over every tensor in the order of the names: name, type, shape and some of its bytes, 64
// at each of four places spread from its first to its last (all of a small one). So it reads a few pages per
// tensor, regardless of the size of the model. The same weights have the same fingerprint in both published layouts;
// weights of another type, or trained further, have another. A change between the places that are read goes unnoticed.
// Throws MC_ERROR_READ.
uint64_t fingerprint(const Tensors& tensors);

std::string fingerprint_text(uint64_t fingerprint); // "fnv1a64:0123456789abcdef"
// False for what fingerprint_text does not write.
bool parse_fingerprint(const std::string& text, uint64_t& fingerprint);

} // namespace mc::model
