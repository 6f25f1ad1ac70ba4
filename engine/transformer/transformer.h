#pragma once
// The diffusion transformer of the Wan / SkyReels-V2 family (skyreels_v2.md 1.3): latents of a window and a
// timestep per latent frame in, velocity out.
#include <ATen/core/Tensor.h>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model/config.h"
#include "engine/trace.h"
#include "engine/weights.h"
#include "kernels/kernels.h"

namespace mc::transformer {

struct TextContext; // text_context.h
class CallCount;

class Transformer {
  public:
    // Checks every tensor; throws MC_ERROR_READ for one that is missing or of the wrong shape.
    // store: how activations lie in memory; unset: what this processor computes fastest (linear.h).
    Transformer(const Weights& weights, const model::TransformerConfig& config, Precision precision,
                std::optional<kernels::Store> store = {});
    ~Transformer();
    // embeds: [n, text_width] float32, n <= text_rows; the rows up to text_rows are zero and, all alike, are
    // kept as one key with the logarithm of their number added to its score: the same softmax, fewer keys.
    // Trace: "text_ctx" [n + 1, D], the last row the padding one.
    std::shared_ptr<const TextContext> text_context(const at::Tensor& embeds, Cancel cancel = {}, const Trace& trace = {}) const;
    const model::TransformerConfig& config() const;
    int64_t bytes() const; // of the weights held
    struct Impl;

  private:
    friend class Window;
    std::unique_ptr<Impl> impl_;
};

// The transformer at one size: rotary tables, workspace and the keys and values of the window, allocated once
// and used for every forward.
class Window {
  public:
    struct Shape {
        int frames;        // latent frames
        int height, width; // latent pixels, even
        int chunk;         // latent frames of a chunk; used with causal attention, frames % chunk == 0
        model::Attention attention;
        int fps;           // 16: row 0 of the fps embedding, anything else: row 1
    };
    Window(const Transformer& transformer, const Shape& shape);
    ~Window();
    // latents: [C, frames, height, width] float32; timesteps: [frames]. Returns the velocity, [C, frames,
    // height, width] float32, valid until the next call.
    // Trace: "e", "e0", "tokens_in", "rope_angle", "rope_cos", "rope_sin", "block0_self_attn",
    // "block0_cross_attn", "block0_out", "block_last_out".
    at::Tensor forward(const at::Tensor& latents, const std::vector<int64_t>& timesteps, const TextContext& text,
                       Cancel cancel = {}, const Trace& trace = {});
    int64_t flop() const; // done so far: GEMM and attention, counted from the shapes run
    const CallCount& calls() const; // the same by shape (linear.h)
    // Runs the plain twin from now on: for tests, and what a device other than the CPU gets anyway.
    void use_plain(bool plain) { plain_ = plain; }
    static int64_t bytes(const model::TransformerConfig& config, Precision precision, const Shape& shape);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
    bool plain_ = false;
};

} // namespace mc::transformer
