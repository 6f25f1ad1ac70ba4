// Any bytes as a safetensors file: tensors inside the file, or an mc::Error.
#include "engine/model/safetensors.h"
#include "tests/fuzz/tensors_inside.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    auto bytes = reinterpret_cast<const std::byte*>(data);
    try {
        mc::fuzz::require_inside(mc::model::parse_safetensors(bytes, size, "fuzz.safetensors"), bytes, size);
    } catch (const mc::Error&) {
    }
    return 0;
}
