#pragma once
// A request in, the frames of one chunk after the other out. The C face (c_face.cpp) is a thin coat over this.
#include <ATen/core/Tensor.h>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/cache/policy.h"
#include "engine/cancel.h"
#include "engine/model/config.h"
#include "engine/sampler/diffusion_forcing.h"
#include "engine/sampler/image.h"
#include "engine/schedule/time_grid.h"
#include "engine/session/cache_choice.h"
#include "engine/session/loaded_model.h"
#include "engine/trace.h"
#include "engine/transformer/linear.h"

namespace mc::session {

// What is left unset takes the model's default. Checked and completed when a session is made.
struct Request {
    std::string prompt;
    std::optional<std::string> negative_prompt;
    int64_t seed = -1; // -1: random
    std::optional<int> width, height, num_frames, steps, causal_block_size, ar_step, base_num_frames,
        overlap_history, addnoise_condition;
    std::optional<int> frame_rate_n, frame_rate_d;
    std::optional<double> guidance_scale, shift;
    std::optional<model::LongVideo> long_video;
    std::optional<model::Attention> attention;
    CacheRequest cache;
    std::optional<sampler::Finished> finished_chunks; // unset: FROZEN; only with attention kv
    // Several windows with attention kv: as the reference, which passes every prefix chunk but the first anew in each row
    // and measures the first motion of a window against the window before (docs/algorithms.md#m5, docs/algorithms.md#m10).
    bool reference_windows = false;
    std::optional<sampler::Image> image, end_image;
    schedule::Grid grid = schedule::Grid::OFFICIAL;
    Cancel cancel;

    // For golden cases and comparisons: a policy with settings that no knob gives.
    std::optional<cache::Settings> cache_settings;
    // And noise from outside instead of the seed's.
    //   initial(window, [C, T, h, w]) and prefix(window, row, [C, prefix, h, w]), float32.
    std::function<at::Tensor(int window, at::IntArrayRef shape)> initial_noise;
    std::function<at::Tensor(int window, int row, at::IntArrayRef shape)> prefix_noise;
    // Trace names: "prompt_ids", "negative_ids", "prompt_embeds", "negative_embeds"; "image_latent",
    // "end_latent", "prefix_latents.w{i}"; a row each: "steps.timesteps", "steps.v_cond", "steps.v_uncond",
    // "steps.latents"; with attention kv "kv.{cond,uncond}.layer{i}.{k,v}" at the end of a window; "latents.w{i}" of
    // a window with its prefix, without an end image; "latents" of the whole video when there is one window or
    // windows are joined by latents.
    Trace trace;
    // Every decision of the cache policy, and every turn of a chunk in attention kv.
    cache::Observer decisions;
    std::function<void(int window, const sampler::Turn&)> turns;
};

struct Frames {
    at::Tensor pixels; // [3, n, H, W] float32 in [-1, 1], on the CPU
    int64_t first;     // index of the first one in the video
};

// One delivered chunk.
struct ChunkStats {
    int64_t first_frame, frames;
    sampler::ChunkCount count; // of its turns; the whole window's where attention is not kv
};

struct Stats {
    int64_t seed, frames, frames_total, chunks, chunks_total, forwards, forwards_total;
    double seconds_text, seconds_transformer, seconds_cache, seconds_schedule, seconds_vae;
    int64_t flop_transformer, flop_text, flop_vae;
    int64_t bytes_weights, bytes_planned, bytes_keys_values, bytes_cache;
    int width, height;
    cache::Kind cache;
    sampler::ChunkCount count;     // of all turns so far
    std::vector<ChunkStats> chunk; // of each chunk delivered
};

class Session {
  public:
    // Throws mc::Error: MC_ERROR_SETTINGS for what cannot work, MC_ERROR_MEMORY with needed and free bytes.
    Session(std::shared_ptr<const LoadedModel> model, Request request);
    ~Session();
    std::optional<Frames> next();                              // empty: all were delivered
    Stats stats() const;                                       // from any thread
    std::optional<ChunkStats> chunk_stats(size_t index) const; // the same; without the copy of all others
    // What the transformer has run so far, by shape: for a benchmark that runs the same alone. From the thread of next().
    transformer::CallCount calls() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace mc::session
