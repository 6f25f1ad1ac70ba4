// SPDX-License-Identifier: LGPL-2.1-or-later
// Cases of engine/networks/vit_vae.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "engine/networks/vit_vae/vit_vae.h"
#include "engine/networks/vit_vae/vit_vae_files.h"
#include "kernels/kernels.h"
#include "tests/golden/runner.h"

namespace mc::golden {
namespace {

// A case that does not speak of tiles computes all at once.
vit_vae::Tiles tiles_of(const Json& settings) {
    if (!settings.contains("tile_sample_min_length")) return {1 << 20, 1 << 20, 1 << 20, 0};
    if (settings.at("temporal_tile_overlap_factor") != 0) throw NotImplemented{"tiles that overlap in time"};
    return {settings.at("tile_sample_min_length"), settings.at("tile_sample_min_height"),
            settings.at("tile_sample_min_width"), settings.at("spatial_tile_overlap_factor")};
}

// The reference gives only the first picture of a latent frame that is alone in its tile.
at::Tensor without_lost_frames(const at::Tensor& video, int64_t latent_frames, int64_t tile, int64_t patch) {
    if (latent_frames % tile != 1 && latent_frames != 1) return video;
    return video.narrow(1, 0, (latent_frames - 1) * patch + 1);
}

// Without rounding (*_fp32) and with that of the reference.
Produced run_vae(const Run& run) {
    model::VitVaeConfig config;
    const auto tensors = model::open_vit_vae(run.group_weights(), config);
    const vit_vae::Tiles tiles = tiles_of(run.file.settings());
    Produced produced;
    for (const Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
        const vit_vae::VitVae vae(Weights(*tensors, run.device), config, precision);
        const std::string suffix = precision == Precision::FLOAT32 ? "_fp32" : "";
        if (run.file.inputs.has("pixels")) {
            produced.tensors["latents" + suffix] = vae.encode(run.input("pixels"), tiles);
            continue;
        }
        const at::Tensor latents = run.input("latents"), all = vae.decode(latents, tiles);
        produced.tensors["frames" + suffix] = without_lost_frames(
            all, latents.size(1), std::max<int64_t>(2, tiles.frames / config.patch[0]), config.patch[0]);
        if (run.file.expected.has("all_frames" + suffix)) produced.tensors["all_frames" + suffix] = all;
    }
    return produced;
}

Produced run_pixels(const Run& run) {
    const at::Tensor decoded = run.input("decoded").to(at::kCPU);
    const int64_t n = decoded.numel();
    // As a picture of one row, grey.
    const at::Tensor rgb = decoded.to(at::kFloat).expand({3, n}).contiguous();
    at::Tensor bytes = at::empty({n, 3}, at::kByte);
    kernels::picture_to_rgb({rgb.const_data_ptr<float>(), size_t(n), size_t(n), 1},
                            bytes.mutable_data_ptr<uint8_t>(), size_t(3 * n));
    // Every operation in bfloat16, as the reference; the program has no such conversion.
    const at::Tensor reference = (decoded * 127.5 + 127.5).clamp(0, 255).to(at::kLong);
    const at::Tensor values = run.input("byte_values").to(at::kFloat);
    return {.tensors = {{"bytes_fp32", bytes.select(1, 0).to(at::kLong)},
                        {"bytes_reference", reference},
                        {"normalised", (values / 127.5 - 1).to(at::kBFloat16)}}};
}

const AddedKinds added{{"vae", run_vae}, {"unit_pixels", run_pixels}};

} // namespace
} // namespace mc::golden
