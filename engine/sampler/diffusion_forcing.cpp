#include "engine/sampler/diffusion_forcing.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <chrono>

namespace mc::sampler {

WindowPlan plan_window(const WindowSettings& s, const schedule::TimeGrid& grid) {
    WindowPlan plan;
    int columns = s.frames + (s.end_frame ? 1 : 0);
    plan.rows = schedule::timestep_matrix({columns, columns, s.ar_step, s.prefix_frames, s.chunk}, grid.timesteps);
    for (schedule::Row& row : plan.rows) {
        if (!s.end_frame) break;
        row.timestep.back() = 0; // the given last frame is clean and stays
        row.update.back() = false;
    }
    // Rows that only the end frame would have needed.
    std::erase_if(plan.rows, [](const schedule::Row& row) {
        return std::none_of(row.update.begin(), row.update.end(), [](bool u) { return u; });
    });
    plan.steps = schedule::unipc_steps(grid);
    plan.frames = s.frames;
    plan.prefix_frames = s.prefix_frames;
    plan.end_frame = s.end_frame;
    plan.guidance_scale = s.guidance_scale;
    plan.addnoise_condition = s.addnoise_condition;
    return plan;
}

WindowSampler::WindowSampler(transformer::Window& window, const transformer::TextContext& text,
                             const transformer::TextContext* text_negative, WindowPlan plan, at::Tensor latents,
                             std::function<at::Tensor(int row)> prefix_noise)
    : window_(window), text_(text), text_negative_(text_negative), plan_(std::move(plan)),
      prefix_noise_(std::move(prefix_noise)), latents_(std::move(latents)) {
    c10::InferenceMode guard;
    x_last_ = at::zeros_like(latents_);
    m0_ = at::zeros_like(latents_);
    m_prev_ = at::zeros_like(latents_);
}

void WindowSampler::step(Cancel cancel, const Trace& trace, Timing& timing, const std::function<void()>& forwarded) {
    c10::InferenceMode guard;
    using clock = std::chrono::steady_clock;
    const schedule::Row& row = plan_.rows[row_];

    at::Tensor input = latents_; // [C, frames (+ 1), h, w]
    std::vector<int64_t> timesteps = row.timestep;
    if (plan_.addnoise_condition > 0 && plan_.prefix_frames > 0) {
        // The latents stay clean; both branches see the same noise.
        double n = 0.001 * plan_.addnoise_condition;
        input = latents_.clone();
        at::Tensor prefix = input.narrow(1, 0, plan_.prefix_frames);
        prefix.mul_(1 - n).add_(prefix_noise_(static_cast<int>(row_)), n);
        std::fill_n(timesteps.begin(), plan_.prefix_frames, plan_.addnoise_condition);
    }

    auto start = clock::now();
    at::Tensor velocity = window_.forward(input, timesteps, text_, cancel);
    forwarded();
    if (trace) {
        trace("steps.timesteps", at::tensor(timesteps));
        trace("steps.v_cond", velocity);
    }
    if (plan_.guidance_scale > 1) {
        at::Tensor conditional = velocity.clone();
        velocity = window_.forward(input, timesteps, *text_negative_, cancel);
        forwarded();
        if (trace) trace("steps.v_uncond", velocity);
        velocity = velocity + plan_.guidance_scale * (conditional - velocity);
    }
    auto middle = clock::now();
    take_steps(row, velocity);
    if (trace) trace("steps.latents", latents_);
    row_++;
    timing.transformer += std::chrono::duration<double>(middle - start).count();
    timing.schedule += std::chrono::duration<double>(clock::now() - middle).count();
}

// One UniPC update of every frame that takes a step in this row; frames in a run that share a state go together.
void WindowSampler::take_steps(const schedule::Row& row, const at::Tensor& velocity) {
    int columns = static_cast<int>(row.timestep.size());
    for (int begin = 0, end; begin < columns; begin = end) {
        end = begin + 1;
        while (end < columns && row.state[end] == row.state[begin] && row.update[end] == row.update[begin]) end++;
        if (!row.update[begin]) continue;
        auto of = [&](const at::Tensor& t) { return t.narrow(1, begin, end - begin); };
        const schedule::UniPcStep& s = plan_.steps[row.state[begin] - 1];
        at::Tensor x = of(latents_), x_last = of(x_last_), m0 = of(m0_), m_prev = of(m_prev_);

        at::Tensor x0 = x - s.sigma * of(velocity);
        at::Tensor corrected = s.correct ? s.c_last * x_last + s.c_m0 * m0 + s.c_prev * m_prev + s.c_x0 * x0 : x;
        m_prev.copy_(m0);
        m0.copy_(x0);
        x_last.copy_(corrected);
        x.copy_(s.p_x * corrected + s.p_m0 * m0 + s.p_prev * m_prev);
        // Both references keep the very first sample as a view of the latents, which the first step then overwrites:
        // their first corrector starts from the step's result. Their videos were made so, and ours equal them.
        if (!s.correct) x_last.copy_(x);
    }
}

int WindowSampler::finished() const {
    if (done()) return plan_.frames;
    // A frame is finished when no later row steps it.
    int count = plan_.prefix_frames;
    auto pending = [&](int frame) {
        for (size_t r = row_; r < plan_.rows.size(); r++)
            if (plan_.rows[r].update[frame]) return true;
        return false;
    };
    while (count < plan_.frames && !pending(count)) count++;
    return count;
}

} // namespace mc::sampler
