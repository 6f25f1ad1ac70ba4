// SPDX-License-Identifier: LGPL-2.1-or-later
// Any text as one of the JSON files of a model folder: a config whose list of tensors can be made, a
// calibration that policies take, or an mc::Error. The first byte chooses the reader.
#include <string_view>

#include "engine/cache/policy.h"
#include "engine/error.h"
#include "engine/families/skyreels_v2/generation_config.h"
#include "engine/model/calibration.h"
#include "engine/model/weight_files.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_vae/wan_vae_files.h"

using namespace mc::model;
using namespace mc::model::skyreels_v2;

// What transformer configs leave to the tensors.
static TensorMap known_tensors(bool fps) {
    TensorMap tensors;
    tensors["text_embedding.0.weight"] = {DType::F32, {32, 32}};
    if (fps) tensors["fps_embedding.weight"] = {DType::F32, {2, 32}};
    return tensors;
}

// No config may ask for a tensor whose size cannot be told.
static void require_sizes(const std::vector<ExpectedTensor>& tensors) {
    for (const ExpectedTensor& tensor : tensors)
        if (!byte_count(DType::F32, tensor.shape)) __builtin_trap();
}

// What was read can be used, and is written again unchanged.
static void require_usable(const Calibration& calibration) {
    for (const CalibratedPreset* preset : {&calibration.quality, &calibration.balanced, &calibration.fast})
        mc::cache::make_policy(preset->settings);
    const std::string text = calibration_text(calibration);
    if (!(parse_calibration(JsonObject::parse(text, "fuzz.json")) == calibration)) __builtin_trap();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
    try {
        JsonObject config = JsonObject::parse(text, "fuzz.json");
        switch (data[0]) {
        case 't':
            require_sizes(transformer_tensors(read_transformer_config(config, known_tensors(true))));
            break;
        case 'n':
            require_sizes(transformer_tensors(read_transformer_config(config, known_tensors(false))));
            break;
        case 'v':
            require_sizes(vae_tensors(read_vae_config(config)));
            break;
        case 'e':
            require_sizes(text_encoder_tensors(read_text_encoder_config(config)));
            break;
        case '5': {
            const TextEncoderConfig read = read_t5_text_encoder_config(config);
            require_sizes(text_encoder_tensors(read));
            text_encoder_rules(read);
            break;
        }
        case 'i':
            read_weight_index(config);
            break;
        case 'c': {
            const Calibration calibration = parse_calibration(config);
            try {
                require_usable(calibration);
            } catch (const mc::Error&) {
                __builtin_trap();
            }
            break;
        }
        default: {
            GenerationDefaults defaults = series_defaults(data[0] == 'G');
            read_generation_config(config, defaults);
        }
        }
    } catch (const mc::Error&) {
    }
    return 0;
}
