// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The ViT VAE (docs/algorithms.md#vit-vae): pixels to latents and back, in tiles that know nothing of each other but
// for the blend in space. A latent frame stands for 4 frames always, a latent pixel for 8 x 8 pixels. In ATen.
#include <ATen/core/Tensor.h>
#include <memory>

#include "engine/networks/vit_vae/config.h"
#include "engine/networks/weights.h"

namespace mc::vit_vae {

// Sides in pixels, length in frames; those of a picture that is smaller, and of the last tiles, are what is left.
struct Tiles {
    int64_t frames = 12, rows = 256, columns = 256;
    double overlap = 0.25; // of a tile's side in space; tiles follow each other in time without
};

class VitVae {
  public:
    // Checks every tensor; throws MC_ERROR_READ for one that is missing or of the wrong shape. Computes in float32;
    // with BFLOAT16 queries, keys, values and what attention gives are rounded to it, as published.
    VitVae(const Weights& weights, const model::VitVaeConfig& config,
           Precision precision = Precision::FLOAT32);
    ~VitVae();
    // video: [3, F, H, W] in [-1, 1], H and W multiples of the patch. Returns [z, frames, h, w] (the posterior's mode,
    // not scaled). A tile of one frame gives one latent frame, of more what fills whole patches: further frames are
    // dropped. Cancelling is noticed between layers. Adds what it computed to `flop`.
    at::Tensor encode(const at::Tensor& video, const Tiles& tiles, Cancel cancel = {},
                      int64_t* flop = nullptr) const;
    // latents: [z, n, h, w]. Returns [3, 4 n, 8 h, 8 w], not clamped.
    at::Tensor decode(const at::Tensor& latents, const Tiles& tiles, Cancel cancel = {},
                      int64_t* flop = nullptr) const;
    int64_t bytes() const; // of the weights held
    // Peak bytes that decoding (encoding) n latent frames of h x w holds besides the weights, result included.
    int64_t decode_bytes(int64_t n, int64_t h, int64_t w, const Tiles& tiles) const;
    int64_t encode_bytes(int64_t n, int64_t h, int64_t w, const Tiles& tiles) const;
    const model::VitVaeConfig& config() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace mc::vit_vae
