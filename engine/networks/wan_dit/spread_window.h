// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A window of rank 0 that others have parts of (spread.h). Rank 0 sends them the latents of the row and what is to be
// computed. A second branch that is another team's is computed at the same time: its leader sends its velocity and
// motion back. Of a team that divides tokens the leader alone has residuals and what comes out of the layers.
#include "engine/networks/wan_dit/orders.h"
#include "engine/networks/wan_dit/window.h"

namespace mc::wan_dit {

class SpreadWindow {
  public:
    static constexpr int SECOND = 1; // the branch of the second team
    // shape: of the whole window.
    SpreadWindow(Workers& workers, const Window::Shape& shape, const Spread& spread);
    ~SpreadWindow();
    void prepare(const std::vector<int64_t>& timesteps);
    void forget(bool outputs);
    // Window::forward: rank 0's part in `window`, the others at the same time.
    void forward(Window::Impl& window, const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                 std::span<const TextContext* const> text, std::span<const ChunkWork> work, Cancel cancel,
                 const Trace& trace);

    bool apart() const { return spread_.apart; }

  private:
    void address(Exchange& exchange); // model and window
    void send(Exchange& exchange);    // to all others
    void drop() noexcept;             // what others have of it
    Workers& workers_;
    const int64_t window_;
    const Spread spread_;
};

// What a forward of such a window sends and gets, the only place that knows the order of its parts. All tensors of a
// message are on the CPU.
struct ForwardOrder {
    std::vector<int64_t> timesteps; // of the window's frames
    std::vector<int> chunks;        // that the work is about, each once
    at::Tensor latents;             // [C, frames of these chunks, h, w] float32
    std::vector<int64_t> dropped;   // texts
    std::vector<Workers::Text> texts;  // new ones
    struct Work {
        ChunkWork item; // its pointers mean nothing
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
    networks::CallCount calls;           // made for it
    void put(ranks::Message& to) const;
    static ForwardAnswer get(ranks::Message& from);
};

} // namespace mc::wan_dit
