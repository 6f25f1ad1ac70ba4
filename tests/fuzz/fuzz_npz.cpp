// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as an .npz file: arrays inside the file, or an mc::Error.
#include "engine/model/npz.h"
#include "tests/fuzz/tensors_inside.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0; // no such file gets this far
    try {
        mc::fuzz::require_inside(mc::model::parse_npz(mc::fuzz::file_of(data, size)));
    } catch (const mc::Error&) {
    }
    return 0;
}
