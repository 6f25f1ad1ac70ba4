// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as a .pth file: tensors inside the file, or an mc::Error. Sizes of the networks are then inferred
// from the tensors, as for the original layout.
#include "engine/model/torch_archive.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_vae/wan_vae_files.h"
#include "tests/fuzz/tensors_inside.h"

using namespace mc::model;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0; // no such file gets this far
    TensorMap tensors;
    try {
        tensors = parse_torch_archive(mc::fuzz::file_of(data, size));
    } catch (const mc::Error&) {
        return 0;
    }
    mc::fuzz::require_inside(tensors);
    try {
        VaeConfig config = infer_vae_config(tensors, "fuzz.pth");
        name_tensors({"fuzz.pth", tensors}, Layout::ORIGINAL, vae_tensors(config),
                     vae_rules());
    } catch (const mc::Error&) {
    }
    try {
        TextEncoderConfig config = infer_text_encoder_config(tensors, "fuzz.pth");
        name_tensors({"fuzz.pth", tensors}, Layout::ORIGINAL, text_encoder_tensors(config),
                     text_encoder_rules(config));
    } catch (const mc::Error&) {
    }
    return 0;
}
