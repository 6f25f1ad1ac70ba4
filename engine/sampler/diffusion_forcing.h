#pragma once
// The diffusion-forcing sampler of one window (skyreels_v2.md 5.3): a row of the timestep matrix at a time, each
// chunk at its own noise level.
#include <ATen/core/Tensor.h>
#include <functional>
#include <vector>

#include "engine/schedule/timestep_matrix.h"
#include "engine/schedule/unipc.h"
#include "engine/transformer/transformer.h"

namespace mc::sampler {

struct WindowPlan {
    std::vector<schedule::Row> rows;         // those in which a frame takes a step
    std::vector<schedule::UniPcStep> steps;  // of every frame
    int frames = 0;        // to sample, prefix included
    int prefix_frames = 0; // given: finished from the start
    bool end_frame = false; // one more given frame stands behind them
    double guidance_scale = 1; // 1 or less: one forward a row
    int addnoise_condition = 0; // timestep to which the prefix is noised in every row; 0: left clean
    int forwards() const { return static_cast<int>(rows.size()) * (guidance_scale > 1 ? 2 : 1); }
};
struct WindowSettings {
    int frames, prefix_frames, chunk, ar_step;
    bool end_frame;
    double guidance_scale;
    int addnoise_condition;
};
WindowPlan plan_window(const WindowSettings& settings, const schedule::TimeGrid& grid);

struct Timing {
    double transformer = 0, schedule = 0; // seconds
};

class WindowSampler {
  public:
    // latents: [C, frames (+ 1), h, w] float32, prefix and end frame in place, noise elsewhere; on the
    // transformer's device. prefix_noise(row): [C, prefix, h, w], asked for once a row when the prefix is noised.
    // text_negative is not read without guidance. Everything given must outlive the sampler.
    WindowSampler(transformer::Window& window, const transformer::TextContext& text,
                  const transformer::TextContext* text_negative, WindowPlan plan, at::Tensor latents,
                  std::function<at::Tensor(int row)> prefix_noise);
    bool done() const { return row_ == plan_.rows.size(); }
    // Takes the next row. `forwards` is raised by one after each.
    void step(Cancel cancel, const Trace& trace, Timing& timing, const std::function<void()>& forwarded);
    // Leading frames that will not change any more, prefix included, the end frame never.
    int finished() const;
    const at::Tensor& latents() const { return latents_; } // [C, frames (+ 1), h, w]

  private:
    void take_steps(const schedule::Row& row, const at::Tensor& velocity);

    transformer::Window& window_;
    const transformer::TextContext& text_;
    const transformer::TextContext* text_negative_;
    WindowPlan plan_;
    std::function<at::Tensor(int row)> prefix_noise_;
    size_t row_ = 0;
    at::Tensor latents_, x_last_, m0_, m_prev_; // [C, frames (+ 1), h, w]: the solver's state of every frame
};

} // namespace mc::sampler
