// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A window whose second guidance branch is another rank's: each has keys, values and residuals of its own branch alone.
// Rank 0 sends the latents of the row and what is to be computed, and gets the branch's velocity and motion back.
#include "engine/networks/wan_dit/orders.h"
#include "engine/networks/wan_dit/window.h"

namespace mc::transformer {

class SpreadWindow {
  public:
    static constexpr int BRANCH = 1, RANK = 1; // of the other
    // shape: as each of the two has it, with one branch.
    SpreadWindow(Team& team, const Window::Shape& shape);
    ~SpreadWindow();
    void prepare(const std::vector<int64_t>& timesteps);
    void forget(bool outputs);
    // Window::forward: here branch 0 in `window`, there the other at the same time.
    void forward(Window::Impl& window, const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                 std::span<const TextContext* const> text, std::span<const ChunkWork> work, Cancel cancel,
                 const Trace& trace);

  private:
    void address(Exchange& exchange); // model and window
    Team& team_;
    const int64_t window_;
};

// What a forward of such a window sends and gets, the only place that knows the order of its parts. All tensors of a
// message are on the CPU.
struct ForwardOrder {
    std::vector<int64_t> timesteps; // of the window's frames
    std::vector<int> chunks;        // that the work is about, each once
    at::Tensor latents;             // [C, frames of these chunks, h, w] float32
    std::vector<int64_t> dropped;   // texts
    std::vector<Team::Text> texts;  // new ones
    struct Work {
        ChunkWork item; // with branch 0; its pointers mean nothing
        bool planned = false;
        cache::Plan plan;
        int64_t text = 0;
    };
    std::vector<Work> work;
    void put(ranks::Message& to) const;
    static ForwardOrder get(ranks::Message& from);
};
struct ForwardAnswer {
    std::vector<at::Tensor> velocity;    // of the work that puts out: [C, frames of its chunk, h, w] float32
    std::vector<Window::Change> changes; // of the work with motion
    CallCount calls;                     // made for it
    void put(ranks::Message& to) const;
    static ForwardAnswer get(ranks::Message& from);
};

} // namespace mc::transformer
