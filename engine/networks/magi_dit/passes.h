// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// MAGI-1's transformer (docs/algorithms.md#magi-dit): latents of chunks, each at a noise level of its own, in;
// velocities out. A list of Work says what a sampler does with it: a joint pass over the window, chunks one
// by one, a clean pass, a copy that sees nothing but itself, guidance branches, some tokens of a chunk.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/cache/plan.h"
#include "engine/cancel.h"
#include "engine/networks/key_store.h"
#include "engine/networks/layer_stream.h"
#include "engine/networks/linear.h"
#include "engine/networks/magi_dit/config.h"
#include "engine/networks/weights.h"
#include "engine/trace.h"

namespace mc::magi_dit {

using networks::CallCount;
using networks::KeyStore;

// Keys and values of some rows of text in every layer. They depend on the rows alone, so they are made once; what a
// chunk sees may be put together of several (its duration, the caption).
struct Text;

class Network {
  public:
    // Checks every tensor; throws MC_ERROR_READ for one that is missing or of the wrong shape.
    // store: how activations lie in memory; unset: what this processor computes fastest (linear.h). streamed: as in
    // stream().
    Network(const Weights& weights, const model::MagiDitConfig& config, Precision precision,
            std::optional<kernels::Store> store = {}, int64_t streamed = 0);
    ~Network();
    const model::MagiDitConfig& config() const;
    int64_t bytes() const; // of the weights held, on the device
    // On a device: of so many layers in all, at least, the host keeps the weights from now on, in pinned memory, and
    // every forward copies them, one layer while another computes, to two buffers that are part of bytes(). The numbers
    // stay the same. From any thread.
    void stream(int64_t layers);
    int64_t streamed() const;       // layers
    int64_t streamed_bytes() const; // of the host, for them
    static networks::LayerBytes layer_bytes(const model::MagiDitConfig& config, Precision precision);
    // [text_rows, text_width] float32: what stands for no caption; its first rows are used.
    const at::Tensor& null_caption() const;
    // rows: [n, text_width] float32, n >= 0: those that are not masked, in order.
    // Trace: "text" [n, D], the caption embedder's rows.
    std::shared_ptr<const Text> text(const at::Tensor& rows, Cancel cancel = {},
                                     const Trace& trace = {}) const;
    struct Impl;
    const Impl& inside() const;

  private:
    friend class Passes;
    std::unique_ptr<Impl> impl_;
};

// One chunk in one pass.
struct Work {
    at::Tensor x; // [latent channels, frames, height, width] float32
    float t = 0;  // flow time: 0 noise, 1 clean
    // Distilled networks: what the size of the step is embedded as, 2 ... 32; 0: not given.
    float step_size = 0;
    bool drop = false; // conditioned as without a caption (independent of `text`)
    // What its cross-attention sees, the rows of all together; none: it adds nothing.
    std::vector<const Text*> text;
    int position = 0; // in chunks from the beginning of the video, for rotary embedding
    // Pages of the keys that its self-attention sees; its own is one of them or not.
    std::vector<int> sees;
    // Where its keys and values are put, before attention, layer by layer.
    int page = -1;
    // nullptr: every token. PARTIAL: only the listed ones go through the layers and are put in the page.
    const cache::Plan* plan = nullptr;
    // [latent channels, frames, height, width] float32, written: 0 at tokens that were not computed. Undefined: only
    // the keys are wanted.
    at::Tensor velocity;
    // Set to [layers, tokens, heads, head] float32 on the CPU, of the last `queries_most` tokens that are computed:
    // normed and rotated.
    at::Tensor* queries = nullptr;
    int64_t queries_most = INT64_MAX;
};

// The network at one size of picture: rotary tables and workspace, for every forward of a video.
class Passes {
  public:
    struct Shape {
        int frames;        // latent frames of a chunk
        int height, width; // latent pixels, even
        int at_once = 1;   // most chunks that one forward computes
        bool operator==(const Shape&) const = default;
    };
    // plain: the readable forward, for tests; a device other than the CPU always runs it.
    Passes(const Network& network, const Shape& shape, bool plain = false);
    ~Passes();

    // A store of pages for this network and size.
    KeyStore key_store() const;
    // The work runs as if all of it went through the layers side by side: in each layer keys and values are put in
    // the pages first, then all attend. A page is written by one Work at most, and computing the work in the
    // order of the list, one call each, gives the same where none sees the page of a later one.
    // Trace, rows of all work one after the other: "tokens_in", "condition", "block_last_out", and of layer 0
    // "qkv_norm", "q", "k", "v", "qx", "core_attn", "cross_attn", "attn_proj", "gate_msa", "gate_mlp", "hs_mid",
    // "mlp_out", "hs_out".
    void forward(std::span<const Work> work, KeyStore& keys, Cancel cancel = {}, const Trace& trace = {});
    // x: as Work::x. [tokens, D] float32 with numbers of the precision: a chunk's patch embeddings; distances are
    // measured on them.
    at::Tensor features(const at::Tensor& x) const;

    int64_t frame_tokens() const;
    int64_t chunk_tokens() const;
    int64_t flop() const;           // done so far: GEMM and attention, counted from the shapes run
    const CallCount& calls() const; // done so far, by shape (linear.h)
    // Of the workspace, without pages. seen: most pages that a chunk sees, which a device takes copies of.
    static int64_t bytes(const model::MagiDitConfig& config, Precision precision, at::Device device, const Shape& shape,
                         int64_t seen);
    static KeyStore::Shape page_shape(const model::MagiDitConfig& config, const Shape& shape);
    struct Impl;
    Impl& inside(); // for tests

  private:
    std::unique_ptr<Impl> impl_;
};

} // namespace mc::magi_dit
