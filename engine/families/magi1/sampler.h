// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// MAGI-1's sampler (docs/algorithms.md#magi-sampler): row by row, the chunks on their way each at a noise level of its
// own. What of a chunk goes through the transformer is the cache policy's to decide; what is reused is the change that
// a chunk's latents made when it was last computed.
#include <ATen/core/Tensor.h>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/cache/policy.h"
#include "engine/families/magi1/compression.h"
#include "engine/families/magi1/faults.h"
#include "engine/families/magi1/flow_times.h"
#include "engine/families/magi1/stages.h"
#include "engine/networks/magi_dit/passes.h"
#include "engine/sampler/timing.h"
#include "engine/sampler/token_map.h"
#include "engine/sampler/turn.h"

namespace mc::magi1 {

// Of the guidance by three branches: its weights from a flow time on.
struct Guide {
    double from, previous, text; // from: the time; weights: previous, of the chunks before; text, of the caption
};

struct SamplerSettings {
    Stages stages;
    FlowTimes times;
    std::vector<Guide> guides; // by rising `from`; empty: one branch
    float clean_t = 1;         // what a finished or given chunk is passed at
    bool distilled = false;    // the network is told the size of a step
    // A finished chunk is passed once more before anyone sees it, as the official code does; else it is seen as its
    // last computed step left it, as the caches were published.
    bool passes_finished = true;
    // The oldest chunk is evaluated a second time, by itself, above this flow time, and both velocities are mixed;
    // unset: never.
    std::optional<double> copy_above;
    double copy_share = 0.3; // of the copy's velocity
    cache::AnySettings cache;
    // Keys and values of finished chunks are not forgotten but compressed: when a stage ends and there are more, to
    // those of so many chunks, 1 or more. From the first compression on a chunk sees all that is kept. For caches that
    // decide about whole chunks, and without one.
    struct Compression {
        int kept;
        CompressionSettings how;
    };
    std::optional<Compression> compression;
    bool forgets = true; // keys that nobody sees any more; false, for tests: no page is ever used again
    bool bfloat16_distances = false; // distances in bfloat16, operation by operation, as the published code has them
    Faults faults;
};

struct Captions {
    std::function<std::vector<const magi_dit::Text*>(int64_t chunk)> of;
    const magi_dit::Text* none; // of no caption
    // What the caption's weight in the guides is multiplied by; null: 1.
    std::function<double(int64_t chunk)> weight = {};
};

class Sampler {
  public:
    // noise(chunk): [C, frames, h, w] float32, asked for once. prefix: [C, given frames, h, w], or undefined. All on
    // the transformer's device. Everything given must outlive the sampler.
    Sampler(magi_dit::Passes& passes, int chunk_frames, const SamplerSettings& settings, Captions captions,
            cache::Policy& policy, std::function<at::Tensor(int64_t chunk)> noise, at::Tensor prefix = {});
    bool done() const;
    using Observe = std::function<void(const sampler::Turn&)>;
    void step(Cancel cancel, const Trace& trace, sampler::Timing& timing, const Observe& observe = {});

    // The next chunk that will not change any more, as the integration left it: frames that are given stand in it
    // drifted by a step.
    struct Finished {
        int64_t chunk;
        at::Tensor latents; // [C, frames, h, w]
        sampler::ChunkCount count;
        sampler::TokenMap map;
    };
    std::optional<Finished> take();
    // Of all chunks so far; passes for keys and values alone are in `extra`.
    const sampler::ChunkCount& count() const { return count_; }
    int64_t row() const { return row_; }
    const networks::KeyStore& keys() const { return keys_; }

    // Most chunks that one forward computes.
    static int at_once(const SamplerSettings& settings);

  private:
    struct Chunk {
        at::Tensor x;        // as the last row left it
        at::Tensor features; // of the row before
        // What reuse adds: the change of the latents when they were last computed; with CacheReuse::SOLVER, the
        // velocity.
        at::Tensor kept;
        at::Tensor before_last; // of the stage, for a fault
        std::vector<const magi_dit::Text*> text;
        double weight = 1; // of the caption
        sampler::ChunkCount count;
        std::vector<int32_t> partial; // [token]: partial turns that computed it; empty: there were none
    };
    // One row.
    struct Now {
        StageRow row;
        std::vector<int64_t> chunks;     // on their way, the oldest first
        std::vector<at::Tensor> input;   // of each, with the prefix
        std::vector<int> steps;          // of each
        std::vector<cache::Plan> plans;  // of each
        std::vector<at::Tensor> velocity; // of each; undefined: not computed
        at::Tensor copy;                 // velocity of the nearly clean copy; undefined: there is none
    };
    bool remembers() const { return settings_.cache.kind() != CacheKind::NONE; }
    bool guided() const { return !settings_.guides.empty(); }
    float step_size(const Now& now) const;
    Now begin_row();
    void pass_given(Cancel cancel);
    at::Tensor with_prefix(int64_t chunk, const at::Tensor& x) const;
    void decide(Now& now);
    bool wants_copy(const Now& now) const;
    void forward(Now& now, Cancel cancel);
    void run(Now& now, std::span<const at::Tensor> velocity, bool captioned, bool drop, bool keep,
             const at::Tensor& copy, Cancel cancel);
    void run_alone(const Now& now, std::span<const at::Tensor> velocity, Cancel cancel);
    void run_other(Now& now, Cancel cancel);
    void combine(Now& now, std::span<const at::Tensor> captioned, std::span<const at::Tensor> plain,
                 std::span<const at::Tensor> alone) const;
    void mix_copy(Now& now);
    void integrate(Now& now);
    bool computes_newest_alone(const Now& now) const;
    void measure_motion(const Now& now);
    at::Tensor frame_before(int64_t chunk) const;
    void count(const Now& now);
    sampler::TokenMap map_of(int64_t chunk) const;
    void report(const Now& now, const Observe& observe) const;
    void end_row(const Now& now, Cancel cancel, const Trace& trace);
    void compress(const Now& now, Cancel cancel, const Trace& trace);
    std::vector<int> pages(Chunks seen) const;
    int page_of(int64_t chunk);
    at::Tensor computed_mask(const cache::Plan& plan) const;

    magi_dit::Passes& passes_;
    const int chunk_frames_;
    const SamplerSettings settings_;
    Captions captions_;
    cache::Policy& policy_;
    std::function<at::Tensor(int64_t)> noise_;
    const at::Tensor prefix_;
    networks::KeyStore keys_;
    std::map<int64_t, int> pages_; // by chunk: keys and values that last
    std::vector<int> compressed_;  // pages of what is kept of chunks before those; empty: nothing was compressed
    // Of the chunk that was computed last, of as many tokens as are asked (all, where somebody traces):
    // [layers, tokens, heads, head].
    at::Tensor queries_;
    bool traced_ = false; // this row
    int compressions_ = 0;
    int64_t row_ = 0;
    std::map<int64_t, Chunk> chunks_; // on their way, and the one before
    std::deque<Finished> finished_;
    sampler::ChunkCount count_;
};

} // namespace mc::magi1
