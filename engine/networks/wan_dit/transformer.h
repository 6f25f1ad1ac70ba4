// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Wan's diffusion transformer (docs/algorithms.md#transformer): latents of a window and a timestep for each latent
// frame in, velocity out.
#include <ATen/core/Tensor.h>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/cache/plan.h"
#include "engine/networks/wan_dit/config.h"
#include "engine/networks/layer_stream.h"
#include "engine/networks/weights.h"
#include "engine/request/fields.h"
#include "engine/trace.h"
#include "kernels/kernels.h"

namespace mc::ranks {
class Group;      // engine/ranks/group.h
class DeviceLink; // engine/ranks/device_link.h
}
namespace mc::networks {
class CallCount; // engine/networks/linear.h
}

namespace mc::wan_dit {

struct TextContext; // text_context.h
class Workers;      // orders.h
class SpreadWindow; // spread_window.h
struct Spread;      // spread.h

class Transformer {
  public:
    // Checks every tensor; throws MC_ERROR_READ for one that is missing or of the wrong shape.
    // store: how activations lie in memory; unset: what this processor computes fastest (linear.h). in_bytes: the
    // matrices of the layers are kept in eight bits. streamed: as in stream().
    Transformer(const Weights& weights, const model::TransformerConfig& config, Precision precision,
                std::optional<kernels::Store> store = {}, bool in_bytes = false, int64_t streamed = 0);
    ~Transformer();
    // embeds: [n, text_width] float32, n <= text_rows; the rows up to text_rows are zero and, all alike, are
    // kept as one key with the logarithm of their number added to its score: the same softmax, fewer keys (on the CPU).
    // Trace: "text_ctx" [n + 1, D], the last row the padding one.
    std::shared_ptr<const TextContext> text_context(const at::Tensor& embeds, Cancel cancel = {},
                                                    const Trace& trace = {}) const;
    const model::TransformerConfig& config() const;
    at::Device device() const;
    int64_t bytes() const; // of the weights held, on the device
    // On a device: of so many layers in all, at least, the host keeps the weights from now on, in pinned memory, and
    // every forward copies them, one layer while another computes, to two buffers that are part of bytes(). The numbers
    // stay the same. From any thread.
    void stream(int64_t layers);
    int64_t streamed() const;       // layers
    int64_t streamed_bytes() const; // of the host, for them
    static networks::LayerBytes layer_bytes(const model::TransformerConfig& config, Precision precision, bool in_bytes);
    // The ranks that have opened the same transformer: windows made from now on are spread over them, and texts made
    // from now on are known there.
    void share(std::shared_ptr<Workers> workers);
    Workers* workers() const; // null: none
    // By which windows made from now on may exchange rows with the other ranks.
    void link(std::shared_ptr<ranks::DeviceLink> link) const;
    struct Impl;

  private:
    friend class Window;
    std::unique_ptr<Impl> impl_;
};

// What one chunk of one guidance branch does in one forward. Where attention is not KV the whole window is chunk 0.
struct ChunkWork {
    int branch = 0;
    int chunk = 0;
    const cache::Plan* plan = nullptr; // nullptr: every token
    bool remember = false;             // keep the residual, which a later plan reuses
    bool motion = false;               // compare the output with the latent frame before: see Window::change
    bool output = true;                // false: only its keys and values are wanted
    double level = 0;                  // sigma of the chunk: what CacheReuse::TAYLOR extrapolates over
    const TextContext* text = nullptr; // of this chunk; nullptr: its branch's
};

// The transformer at one size: rotary tables, workspace, keys and values of the window and what caches reuse,
// allocated once and used for every forward.
class Window {
  public:
    struct Shape {
        int frames;        // latent frames
        int height, width; // latent pixels, even
        int chunk;         // latent frames of a chunk; frames % chunk == 0 unless attention is full
        Attention attention;
        int fps;                // 16: row 0 of the fps embedding, anything else: row 1
        int branches = 1;       // guidance branches, each with its own keys, values and residuals
        int chunks_at_once = 1; // KV: most chunks of a branch that one forward computes
        bool remembers = false; // with memory for residuals
        CacheReuse reuse = CacheReuse::REPEAT;
        bool keys_in_bytes = false; // KV, on devices: keys and values in eight bits, a scale for each token and head
        bool operator==(const Shape&) const = default;
    };
    // Throws MC_ERROR_SETTINGS when the model has no positions for so many latent frames, rows or columns of tokens.
    static void check_positions(const model::TransformerConfig& config, int64_t frames, int64_t rows,
                                int64_t columns);
    Window(const Transformer& transformer, const Shape& shape);
    // Of a window of this shape that is spread over ranks, the part of this one, which is not rank 0.
    Window(const Transformer& transformer, const Shape& shape, const Spread& spread, ranks::Group& group);
    ~Window();

    // A new video or window begins: residuals of the one before are forgotten, and with `outputs` the last frames that
    // motion is measured against. Keys and values need no such call, a chunk makes its own before anyone reads them.
    void forget(bool outputs = true);
    // Time embeddings of these timesteps are made at once; others are made when they come.
    void prepare(const std::vector<int64_t>& timesteps);

    // latents: [C, frames, height, width] float32, the same for both branches; timesteps: [frames]; text: of each
    // branch, for the chunks that name none. The work runs as if one after the other: a chunk sees the keys and values
    // of those before it, in KV as they were last written. Only frames of chunks in the work are read.
    // Trace, first work only and only where its plan is every token: "e", "e0", "tokens_in", "rope_angle", "rope_cos",
    // "rope_sin", "block0_self_attn", "block0_cross_attn", "block0_out", "block_last_out".
    void forward(const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                 std::span<const TextContext* const> text, std::span<const ChunkWork> work,
                 Cancel cancel = {}, const Trace& trace = {});
    // [C, frames, height, width] float32; of the chunks that the last forward put out.
    const at::Tensor& velocity(int branch) const;
    // Of work number `index` of the last forward, which asked for motion: for each token
    //     mean |x - x'| / (mean |x'| + 1e-8)
    // over channels, x its output behind the last layer, x' that at its position one latent frame earlier. The first
    // frame is compared with the chunk before, as last seen with motion; where there is none `has_previous` is false
    // and the first frame's values mean nothing.
    struct Change {
        std::vector<float> tokens;
        bool has_previous = false;
    };
    const Change& change(size_t index) const;

    // Every token of every chunk for one prompt: a forward without caches, the velocity as above.
    at::Tensor forward(const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                       const TextContext& text, Cancel cancel = {}, const Trace& trace = {});
    // After a forward that this rank alone could not do: others that wait for its rows are not to.
    void leave_team();
    // Until the last forward is done, where it was only asked of a device.
    void wait();

    // mean |now - before| and mean |before| of the time embedding (`e`, or `e0` with the fps term) of two timesteps.
    struct Distance {
        double difference, magnitude;
    };
    Distance distance(bool e0, int64_t now, int64_t before);

    bool apart() const; // its branches run at the same time, each in a rank of its own
    int chunks() const; // 1 where attention is not KV
    int64_t frame_tokens() const;
    std::pair<int64_t, int64_t> frame_grid() const; // of tokens: rows and columns of a latent frame
    int64_t flop() const;                           // so far: GEMM and attention, counted from the shapes run
    const networks::CallCount& calls() const;       // so far, by shape (linear.h)
    // Runs the plain forward from now on: for tests.
    void use_plain(bool plain);

    struct Bytes {
        int64_t workspace, keys_values, remembered;
        int64_t total() const { return workspace + keys_values + remembered; }
    };
    static Bytes bytes(const model::TransformerConfig& config, Precision precision, at::Device device,
                       const Shape& shape);
    // Of a rank's part.
    static Bytes bytes(const model::TransformerConfig& config, Precision precision, at::Device device,
                       const Shape& shape, const Spread& spread, int rank);
    // All keys and values of a layer, [tokens, D] float32 each, as attention reads them: for tests.
    std::pair<at::Tensor, at::Tensor> keys_values(int branch, int64_t layer) const;
    struct Impl;

  private:
    void make(const Transformer& transformer, const Shape& shape, const Spread& spread, ranks::Group* group);
    std::unique_ptr<Impl> impl_;
};

} // namespace mc::wan_dit
