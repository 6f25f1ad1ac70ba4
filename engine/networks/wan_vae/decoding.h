// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The decoder, latent frame by latent frame, with its state (docs/algorithms.md#vae-stream).
#include <functional>

#include "engine/networks/wan_vae/blocks.h"
#include "engine/trace.h"

namespace mc::wan_vae {

class Decoding {
  public:
    using Sink = std::function<void(const Frame&)>; // frames of three channels
    Decoding(const Decoder& network, Ops& ops);
    // One latent frame, denormalised, [z, h, w]: the first makes one frame, every later one four.
    void push(const at::Tensor& latent, const Sink& sink, const Trace& trace);
    std::vector<at::Tensor> slots() const;

  private:
    struct StageState {
        std::vector<ResidualState> blocks;
        History time;
    };
    void stage(size_t i, Frame x, const Sink& sink);

    const Decoder& network_;
    Ops& ops_;
    History in_, out_;
    MiddleState middle_;
    std::vector<StageState> stages_;
    int64_t latents_ = 0;
    std::vector<at::Tensor>* stage0_ = nullptr; // collects that stage's output while there is a trace
};

} // namespace mc::wan_vae
