// Any bytes as a .pth file: tensors inside the file, or an mc::Error. Sizes of the networks are then inferred
// from the tensors, as for the original layout.
#include "engine/model/skyreels_v2/networks.h"
#include "engine/model/torch_archive.h"
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
        VaeConfig config = skyreels_v2::infer_vae_config(tensors, "fuzz.pth");
        name_tensors({"fuzz.pth", tensors}, Layout::ORIGINAL, skyreels_v2::vae_tensors(config),
                     skyreels_v2::vae_rules());
    } catch (const mc::Error&) {
    }
    try {
        TextEncoderConfig config = skyreels_v2::infer_text_encoder_config(tensors, "fuzz.pth");
        name_tensors({"fuzz.pth", tensors}, Layout::ORIGINAL, skyreels_v2::text_encoder_tensors(config),
                     skyreels_v2::text_encoder_rules());
    } catch (const mc::Error&) {
    }
    return 0;
}
