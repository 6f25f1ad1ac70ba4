// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1 from the ids of a caption to pictures: text encoder, sampler, decoder.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include "engine/networks/t5/encoder.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/vit_vae/vit_vae.h"
#include "engine/networks/vit_vae/vit_vae_files.h"
#include "tests/golden/magi1_network.h"
#include "tests/golden/magi1_sampler.h"
#include "tests/golden/magi1_texts.h"

namespace mc::golden {
namespace {

at::Tensor encoded(const Run& run, const std::string& folder) {
    model::TextEncoderConfig config;
    const auto tensors = model::open_t5_text_encoder(folder + "/t5-v1_1-xxl", config);
    const t5::Encoder encoder(Weights(*tensors, run.device), config, run.precision);
    const at::Tensor ids = run.input("input_ids").to(at::kCPU);
    const int64_t* first = ids.const_data_ptr<int64_t>();
    return encoder.encode({first, first + run.input("attention_mask").sum().item<int64_t>()});
}

Produced run_pipeline(const Run& run) {
    const std::string here = run.file.folder + "/cases/" + run.file.name + "/";
    const Json& runtime = run.file.json.at("config").at("runtime_config");
    const int64_t most = run.file.json.at("config").at("model_config").at("caption_max_length");
    const at::Tensor rows = encoded(run, here + run.file.settings().at("t5").get<std::string>());
    const magi1::Caption caption{padded(rows, most), at::arange(most) < rows.size(0)};

    model::VitVaeConfig config;
    const auto tensors = model::open_vit_vae(here + run.file.settings().at("vae").get<std::string>(), config);
    const vit_vae::VitVae vae(Weights(*tensors, run.device), config, run.precision);
    vit_vae::Tiles tiles;
    tiles.frames = runtime.at("fps").get<int64_t>() / 2;
    const at::Tensor chosen = to_tensor(run.file.expected.tensors.at("frame_indices"));

    return by_both_ways(run, [&](bool plain) {
        Produced produced = sample_magi1(run, plain, caption);
        const at::Tensor latents = produced.tensors.at("latents");
        const at::Tensor frames = vae.decode(latents / runtime.at("scale_factor").get<double>(), tiles);
        produced.tensors["caption_emb"] = rows;
        produced.tensors["frames"] = frames.index_select(1, chosen.to(run.device));
        produced.tensors["frame_indices"] = chosen; // says which, is no result
        return produced;
    });
}

const AddedKinds added{{"pipeline", run_pipeline}};

} // namespace
} // namespace mc::golden
