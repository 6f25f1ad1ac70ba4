// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The published models as facts, written down apart from the engine's own tables: names in both layouts,
// shapes, configs. Folders made from them hold sparse files of the real sizes.
#include <string>
#include <vector>

#include "tests/model/weight_writer.h"

namespace mc::test {

struct PublishedTensor {
    std::string original, diffusers;
    std::vector<int64_t> shape;
};

struct PublishedTransformer {
    const char* name;
    int64_t width, heads, ffn, layers;
    bool fps;
    size_t tensors;
    int64_t parameters;
    const char* dtype;
    int original_shards;      // 1: model.safetensors
    const char* shard_prefix; // of the original layout
};
extern const PublishedTransformer DF_1_3B_540P, DF_14B_540P, DF_14B_720P;

std::vector<PublishedTensor> published_tensors(const PublishedTransformer& model);
constexpr int TEXT_LAYERS = 24;
std::vector<PublishedTensor> published_text_encoder(int layers = TEXT_LAYERS); // UMT5-XXL, 242 tensors
std::vector<PublishedTensor> published_vae();          // 194 tensors, from wan_vae_tensors.txt

void write_original_folder(const std::string& folder, const PublishedTransformer& model,
                           int text_layers = TEXT_LAYERS);
void write_diffusers_folder(const std::string& folder, const PublishedTransformer& model,
                            int text_layers = TEXT_LAYERS);

// A file of the repository that tests read: "models/demo", "tests/golden/data/weights". From the environment
// variable MC_SOURCE_ROOT, else relative to the working directory.
std::string source_path(const std::string& path);

} // namespace mc::test
