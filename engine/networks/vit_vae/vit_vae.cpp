// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/vit_vae/vit_vae.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv3d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/upsample_trilinear3d.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <cmath>

#include "engine/error.h"
#include "engine/networks/vit_vae/tiles.h"
#include "engine/processor.h"

namespace mc::vit_vae {

namespace {

struct Affine {
    at::Tensor weight, bias;
};

struct Block {
    Affine qkv, projection, norm, fc1, fc2;
};

struct Half {             // encoder or decoder
    at::Tensor cls;       // [1, D]
    at::Tensor positions; // [1 + tokens, D], that of cls first
    std::vector<Block> blocks;
    Affine norm;
    Affine first, last; // what is different: convolution or product
};

std::string text(at::IntArrayRef sizes) {
    return model::shape_text(sizes.vec());
}

Axis times(const Axis& axis, int64_t patch) {
    return {axis.size * patch, axis.tile * patch, axis.stride * patch};
}

int64_t overlap(int64_t tile, const Tiles& tiles) {
    return static_cast<int64_t>(static_cast<double>(tile) * tiles.overlap);
}

} // namespace

struct VitVae::Impl {
    model::VitVaeConfig config;
    Precision precision;
    at::Device device;
    int64_t bytes = 0;
    Half encoder, decoder;

    Impl(const Weights& weights, const model::VitVaeConfig& c, Precision p)
        : config(c), precision(p), device(weights.device()) {
        const int64_t D = c.width;
        const auto get = [&](const std::string& name, std::vector<int64_t> shape) {
            at::Tensor t = weights.get(name, shape, at::kFloat);
            bytes += static_cast<int64_t>(t.nbytes());
            return t;
        };
        const auto affine = [&](const std::string& name, std::vector<int64_t> shape) {
            const int64_t out = shape.front();
            return Affine{get(name + ".weight", std::move(shape)), get(name + ".bias", {out})};
        };
        const auto half = [&](const std::string& name) {
            Half h;
            h.cls = get(name + "cls_token", {1, 1, D}).view({1, D});
            const int64_t rows = 1 + c.grid[0] * c.grid[1] * c.grid[2];
            h.positions = get(name + "pos_embed", {1, rows, D}).view({rows, D});
            for (int64_t i = 0; i < c.layers; i++) {
                const std::string block = name + "blocks." + std::to_string(i) + ".";
                h.blocks.push_back({affine(block + "attn.qkv", {3 * D, D}),
                                    affine(block + "attn.proj", {D, D}), affine(block + "norm2", {D}),
                                    affine(block + "mlp.fc1", {c.ffn, D}),
                                    affine(block + "mlp.fc2", {D, c.ffn})});
            }
            h.norm = affine(name + "norm", {D});
            return h;
        };
        encoder = half("encoder.");
        encoder.first = affine("encoder.patch_embed.proj", {D, 3, c.patch[0], c.patch[1], c.patch[2]});
        encoder.last = affine("encoder.last_layer", {2 * c.latent_channels, D});
        decoder = half("decoder.");
        decoder.first = affine("decoder.proj_in", {D, c.latent_channels});
        decoder.last = affine("decoder.last_layer", {3, c.pixel_channels(), 3, 3, 3});
    }

    at::Tensor norm(const at::Tensor& x, const Affine& a) const {
        return at::layer_norm(x, {config.width}, a.weight, a.bias, config.eps);
    }

    // Of each head by itself; eps is added to the deviation, not to the variance.
    at::Tensor standardise(const at::Tensor& x) const {
        const at::Tensor centred = x - x.mean(-1, true);
        const at::Tensor deviation = (centred * centred).mean(-1, true).sqrt_();
        return centred / deviation.add_(config.eps);
    }

    at::Tensor attention(const at::Tensor& x, const Block& b) const {
        const int64_t N = x.size(0);
        at::Tensor qkv = at::linear(x, b.qkv.weight, b.qkv.bias);
        // [3, heads, N, head]
        qkv = standardise(qkv.view({N, 3, config.heads, config.head()})).permute({1, 2, 0, 3});
        if (precision == Precision::BFLOAT16) qkv = qkv.to(at::kBFloat16);
        at::Tensor mixed =
            at::scaled_dot_product_attention(qkv[0].unsqueeze(0), qkv[1].unsqueeze(0), qkv[2].unsqueeze(0));
        mixed = mixed.to(at::kFloat)[0].transpose(0, 1).reshape({N, config.width});
        return at::linear(mixed, b.projection.weight, b.projection.bias);
    }

    // Of a grid of other sides than the table's, between its entries.
    at::Tensor positions(const Half& half, const std::array<int64_t, 3>& grid) const {
        if (grid == config.grid) return half.positions;
        const auto& [t, h, w] = config.grid;
        const at::Tensor table =
            half.positions.narrow(0, 1, t * h * w).t().reshape({1, config.width, t, h, w});
        const at::Tensor resized = at::upsample_trilinear3d(table, grid, false);
        return at::cat({half.positions.narrow(0, 0, 1), resized.view({config.width, -1}).t()});
    }

    // x: [tokens of the grid, D]; without the cls row again.
    at::Tensor body(const Half& half, at::Tensor x, const std::array<int64_t, 3>& grid, Cancel cancel,
                    int64_t* flop) const {
        x = at::cat({half.cls, x}) + positions(half, grid);
        const int64_t N = x.size(0), D = config.width;
        for (const Block& b : half.blocks) {
            cancel.check();
            x.add_(attention(x, b));
            const at::Tensor hidden = at::gelu(at::linear(norm(x, b.norm), b.fc1.weight, b.fc1.bias));
            x.add_(at::linear(hidden, b.fc2.weight, b.fc2.bias));
            if (flop) *flop += 2 * N * D * (4 * D + 2 * config.ffn) + 4 * N * N * D;
        }
        return norm(x, half.norm).narrow(0, 1, N - 1);
    }

    // [3, frames, rows, columns] of whole patches -> [z, t, h, w]
    at::Tensor encode(const at::Tensor& pixels, Cancel cancel, int64_t* flop) const {
        const at::Tensor patches =
            at::conv3d(pixels.unsqueeze(0), encoder.first.weight, encoder.first.bias, config.patch)[0];
        const std::array<int64_t, 3> grid{patches.size(1), patches.size(2), patches.size(3)};
        if (flop) *flop += 2 * 3 * pixels.numel() / 3 * config.width;
        const at::Tensor x = body(encoder, patches.flatten(1).t().contiguous(), grid, cancel, flop);
        const at::Tensor mean = at::linear(x, encoder.last.weight, encoder.last.bias)
                                    .narrow(1, 0, config.latent_channels); // then the variance
        return mean.t().reshape({config.latent_channels, grid[0], grid[1], grid[2]});
    }

    // [z, t, h, w] -> [3, frames, rows, columns]
    at::Tensor decode(const at::Tensor& latents, Cancel cancel, int64_t* flop) const {
        const std::array<int64_t, 3> grid{latents.size(1), latents.size(2), latents.size(3)};
        const auto& [t, h, w] = grid;
        const auto& [frames, rows, columns] = config.patch;
        const at::Tensor x =
            body(decoder, at::linear(latents.flatten(1).t(), decoder.first.weight, decoder.first.bias), grid,
                 cancel, flop);
        const int64_t channels = config.pixel_channels();
        const at::Tensor pixels = x.view({t, h, w, frames, rows, columns, channels})
                                      .permute({6, 0, 3, 1, 4, 2, 5})
                                      .reshape({1, channels, t * frames, h * rows, w * columns});
        if (flop) *flop += 2 * 27 * 3 * pixels.numel();
        return at::conv3d(pixels, decoder.last.weight, decoder.last.bias, 1, 1)[0];
    }

    static Axis latent_axis(int64_t size, int64_t tile, double overlap) {
        return {size, tile, static_cast<int64_t>(static_cast<double>(tile) * (1 - overlap))};
    }

    // Peak of a tile of n x h x w tokens, and of what waits for a neighbour (n latent frames of `waiting` latent
    // pixels, `channels` floats each).
    int64_t tile_bytes(int64_t n, int64_t h, int64_t w, int64_t waiting, int64_t channels) const {
        const int64_t D = config.width, tokens = 1 + n * h * w;
        // Rows that live at once in attention, or in the feed-forward; or the pixels around the last convolution, which
        // oneDNN takes and gives in blocks of 16 channels.
        const int64_t rows = tokens * (3 * D + std::max(12 * D, 2 * D + 2 * config.ffn)),
                      pixels =
                          tokens * (D + config.patch_pixels() * (2 * config.pixel_channels() + 3 + 2 * 16));
        return 4 * (std::max(rows, pixels) + n * waiting * channels);
    }
};

VitVae::VitVae(const Weights& weights, const model::VitVaeConfig& config, Precision precision) {
    c10::InferenceMode inference;
    impl_ = std::make_unique<Impl>(weights, config, precision);
}
VitVae::~VitVae() = default;

at::Tensor VitVae::encode(const at::Tensor& video, const Tiles& tiles, Cancel cancel, int64_t* flop) const {
    c10::InferenceMode inference;
    const LibraryThreads threads(thread_count()); // nearly all of it is the library's
    const Impl& s = *impl_;
    const auto& [frames, rows, columns] = s.config.patch;
    if (video.dim() != 4 || video.size(0) != 3 || video.numel() == 0 || video.size(2) % rows ||
        video.size(3) % columns)
        throw Error(MC_ERROR_SETTINGS,
                    "The VAE encodes videos of shape [3, frames, height, width] with a height "
                    "that is a multiple of " +
                        std::to_string(rows) + " and a width of " + std::to_string(columns) + ", not " +
                        text(video.sizes()) + ".");
    const Axis h = Impl::latent_axis(video.size(2) / rows, tiles.rows / rows, tiles.overlap),
               w = Impl::latent_axis(video.size(3) / columns, tiles.columns / columns, tiles.overlap);
    const Axis y = times(h, rows), x = times(w, columns);
    const Blend blend{h, w, overlap(h.tile, tiles), overlap(w.tile, tiles), true};

    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < video.size(1); begin += tiles.frames) {
        at::Tensor part = video.narrow(1, begin, std::min(tiles.frames, video.size(1) - begin));
        const bool picture = part.size(1) == 1; // stands still for as long as a latent frame lasts
        if (picture) part = part.expand({-1, frames, -1, -1});
        const int64_t latents = part.size(1) / frames;
        if (latents == 0) continue;
        part = part.narrow(1, 0, latents * frames).to(s.device, at::kFloat);
        at::Tensor out = at::empty({s.config.latent_channels, latents, h.size, w.size},
                                   at::TensorOptions(at::kFloat).device(s.device));
        join_tiles(
            blend,
            [&](int64_t i, int64_t j) {
                return s.encode(part.narrow(2, y.begin(i), y.length(i)).narrow(3, x.begin(j), x.length(j)),
                                cancel, flop);
            },
            out);
        parts.push_back(out);
    }
    if (parts.empty())
        throw Error(MC_ERROR_SETTINGS, "The VAE makes a latent frame of 1 or of " + std::to_string(frames) +
                                           " frames, not of " + std::to_string(video.size(1)) + ".");
    return at::cat(parts, 1);
}

at::Tensor VitVae::decode(const at::Tensor& latents, const Tiles& tiles, Cancel cancel, int64_t* flop) const {
    c10::InferenceMode inference;
    const LibraryThreads threads(thread_count()); // nearly all of it is the library's
    const Impl& s = *impl_;
    const auto& [frames, rows, columns] = s.config.patch;
    if (latents.dim() != 4 || latents.size(0) != s.config.latent_channels || latents.numel() == 0)
        throw Error(MC_ERROR_SETTINGS, "The VAE decodes latents of shape [" +
                                           std::to_string(s.config.latent_channels) +
                                           ", frames, height, width], not " + text(latents.sizes()) + ".");
    const Axis h = Impl::latent_axis(latents.size(2), tiles.rows / rows, tiles.overlap),
               w = Impl::latent_axis(latents.size(3), tiles.columns / columns, tiles.overlap);
    const Axis y = times(h, rows), x = times(w, columns);
    const Blend blend{y, x, overlap(tiles.rows, tiles), overlap(tiles.columns, tiles), false};

    const int64_t at_once = std::max<int64_t>(1, tiles.frames / frames);
    at::Tensor video = at::empty({3, latents.size(1) * frames, y.size, x.size},
                                 at::TensorOptions(at::kFloat).device(s.device));
    for (int64_t begin = 0; begin < latents.size(1); begin += at_once) {
        const int64_t n = std::min(at_once, latents.size(1) - begin);
        const at::Tensor part = latents.narrow(1, begin, n).to(s.device, at::kFloat);
        join_tiles(
            blend,
            [&](int64_t i, int64_t j) {
                return s.decode(part.narrow(2, h.begin(i), h.length(i)).narrow(3, w.begin(j), w.length(j)),
                                cancel, flop);
            },
            video.narrow(1, begin * frames, n * frames));
    }
    return video;
}

int64_t VitVae::decode_bytes(int64_t n, int64_t h, int64_t w, const Tiles& tiles) const {
    const auto& [frames, rows, columns] = impl_->config.patch;
    const int64_t at_once = std::clamp<int64_t>(tiles.frames / frames, 1, n),
                  tile_h = std::min(h, tiles.rows / rows), tile_w = std::min(w, tiles.columns / columns),
                  pixel = 3 * impl_->config.patch_pixels(); // floats of a latent pixel's
    // A row of tiles that overlap, and the tile at hand twice.
    return impl_->tile_bytes(at_once, tile_h, tile_w, tile_h * (2 * w + 3 * tile_w), pixel) +
           4 * n * h * w * (pixel + impl_->config.latent_channels);
}

int64_t VitVae::encode_bytes(int64_t n, int64_t h, int64_t w, const Tiles& tiles) const {
    const auto& [frames, rows, columns] = impl_->config.patch;
    const int64_t at_once = std::clamp<int64_t>(tiles.frames / frames, 1, n),
                  tile_h = std::min(h, tiles.rows / rows), tile_w = std::min(w, tiles.columns / columns),
                  z = impl_->config.latent_channels;
    return impl_->tile_bytes(at_once, tile_h, tile_w, tile_h * (2 * w + 3 * tile_w), z) +
           4 * (2 * n * z + at_once * 3 * impl_->config.patch_pixels()) * h * w;
}

int64_t VitVae::bytes() const {
    return impl_->bytes;
}

const model::VitVaeConfig& VitVae::config() const {
    return impl_->config;
}

} // namespace mc::vit_vae
