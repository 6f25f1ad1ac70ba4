// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The Wan 2.1 VAE (docs/algorithms.md#vae): pixels to latents, and latents to pixels as a stream whose state is
// kept between calls. One latent frame stands for 8 x 8 pixels and 4 frames, the first for 1 frame.
#include <ATen/core/Tensor.h>
#include <memory>

#include "engine/networks/wan_vae/config.h"
#include "engine/networks/weights.h"
#include "engine/trace.h"

namespace mc::wan_vae {

class WanVae;

// AUTO: on the CPU the kernels of this program, in float32; elsewhere DEVICE. DEVICE: ATen's operators in the
// precision, on frames laid out as GPUs like them. PLAIN: the formulas in ATen, in float32.
enum class Arithmetic { AUTO, PLAIN, DEVICE };

// A decoder's state from the first latent frame of a video on. Feeding the latents in any chunking gives the
// frames of decoding them all at once, bit for bit. After an exception a stream is of no use: start a new one.
class DecoderStream {
  public:
    ~DecoderStream();
    // latents: [z, n, h, w] normalised float32. Returns [3, frames, 8h, 8w] float32, not clamped; the first latent
    // frame of the stream gives 1 frame, every later one 4. The result stays valid after the next call. Trace
    // names, k counting latent frames from the stream's start: "conv1_out.k", "middle_out.k", "stage0_out.k".
    at::Tensor decode(const at::Tensor& latents, Cancel cancel = {}, const Trace& trace = {});
    // The state after the last call, in the reference's slot order (docs/algorithms.md#vae-slots): each [channels,
    // frames, height, width], undefined tensor for a slot that holds none ("Rep", and the last ones that it
    // never uses).
    std::vector<at::Tensor> slots() const;
    int64_t flop() const; // so far, two per multiply-add of convolutions and attention

  private:
    friend class WanVae;
    explicit DecoderStream(const WanVae& vae);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

class WanVae {
  public:
    // Checks every tensor; throws MC_ERROR_READ for one that is missing or of the wrong shape.
    // precision: what DEVICE keeps frames and weights in.
    WanVae(const Weights& weights, const model::VaeConfig& config, Precision precision = Precision::FLOAT32,
           Arithmetic arithmetic = Arithmetic::AUTO);
    static int64_t element_bytes(at::Device device, Precision precision); // of weights there
    // For decode_bytes and encode_bytes alone, of a VAE on that device: no weight is read.
    WanVae(const model::Tensors& shapes, const model::VaeConfig& config, at::Device device,
           Precision precision = Precision::FLOAT32);
    ~WanVae();
    // video: [3, F, H, W] in [-1, 1]. Returns [z, 1 + (F-1)/4, H/8, W/8] normalised (posterior mode); frames
    // that do not fill a group of four are dropped. Adds what it computed to `flop`.
    at::Tensor encode(const at::Tensor& video, Cancel cancel = {}, int64_t* flop = nullptr) const;
    std::unique_ptr<DecoderStream> decoder() const; // the VAE must outlive it
    int64_t bytes() const;                          // of the weights held
    // Peak bytes that decoding in calls of `latent_frames` (encoding: `frames`) at h x w latents holds
    // besides the weights, state and result included.
    int64_t decode_bytes(int64_t latent_frames, int64_t h, int64_t w) const;
    int64_t encode_bytes(int64_t frames, int64_t h, int64_t w) const;
    const model::VaeConfig& config() const;

  private:
    friend class DecoderStream;
    struct Impl; // shared with the streams
    std::unique_ptr<Impl> impl_;
};

} // namespace mc::wan_vae
