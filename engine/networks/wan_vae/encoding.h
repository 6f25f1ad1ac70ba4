// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The encoder, frame by frame (docs/algorithms.md#vae-stream): the first frame makes a latent frame, then every four.
#include <functional>

#include "engine/networks/wan_vae/blocks.h"

namespace mc::wan_vae {

class Encoding {
  public:
    using Sink = std::function<void(const Frame&)>; // latent frames of 2z channels: mean and log variance
    Encoding(const Encoder& network, Ops& ops);
    void push(const at::Tensor& picture, const Sink& sink); // [3, 8h, 8w]

  private:
    struct StageState {
        std::vector<ResidualState> blocks;
        Frame last, waiting; // of its time convolution, which makes one frame of two
    };
    void stage(size_t i, Frame x, const Sink& sink);

    const Encoder& network_;
    Ops& ops_;
    History in_, out_;
    MiddleState middle_;
    std::vector<StageState> stages_;
};

} // namespace mc::wan_vae
