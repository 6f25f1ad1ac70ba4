// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as a safetensors file: tensors inside the file, or an mc::Error.
#include "engine/model/safetensors.h"
#include "tests/fuzz/tensors_inside.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        mc::fuzz::require_inside(mc::model::parse_safetensors(mc::fuzz::file_of(data, size)));
    } catch (const mc::Error&) {
    }
    return 0;
}
