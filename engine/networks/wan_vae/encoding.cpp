// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/encoding.h"

namespace mc::wan_vae {

Encoding::Encoding(const Encoder& network, Ops& ops) : network_(network), ops_(ops) {
    for (const EncoderStage& s : network.stages)
        stages_.push_back({std::vector<ResidualState>(s.blocks.size()), {}, {}});
}

void Encoding::push(const at::Tensor& picture, const Sink& sink) {
    stage(0, ops_.conv(network_.in, in_.push(ops_.load(picture))), sink);
}

void Encoding::stage(size_t i, Frame x, const Sink& sink) {
    const EncoderStage& s = network_.stages[i];
    StageState& state = stages_[i];
    for (size_t j = 0; j < s.blocks.size(); j++)
        x = residual(ops_, s.blocks[j], state.blocks[j], std::move(x));
    if (i + 1 == network_.stages.size()) {
        x = middle(ops_, network_.middle, middle_, std::move(x));
        x = ops_.conv(network_.out, out_.push(ops_.norm_silu(network_.norm, x)));
        sink(ops_.conv(network_.quant, {{}, {}, x}));
        return;
    }
    x = ops_.conv(*s.space, {{}, {}, x});
    if (!s.time) {
        stage(i + 1, std::move(x), sink);
    } else if (!state.last.defined()) {
        // The first frame passes; it is also what the time convolution sees before its first pair.
        state.last = ops_.copy(x);
        stage(i + 1, std::move(x), sink);
    } else if (!state.waiting.defined()) {
        state.waiting = std::move(x);
    } else {
        const FrameTaps seen{std::move(state.last), std::move(state.waiting), x};
        state.last = std::move(x);
        state.waiting.reset();
        stage(i + 1, ops_.conv(*s.time, seen), sink);
    }
}

} // namespace mc::wan_vae
