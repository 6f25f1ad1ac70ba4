// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/decoding.h"

#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

namespace mc::wan_vae {

Decoding::Decoding(const Decoder& network, Ops& ops) : network_(network), ops_(ops) {
    for (const DecoderStage& s : network.stages)
        stages_.push_back({std::vector<ResidualState>(s.blocks.size()), {}});
}

void Decoding::push(const at::Tensor& latent, const Sink& sink, const Trace& trace) {
    const auto tell = [&](const char* name, const at::Tensor& value) {
        trace(name + ("." + std::to_string(latents_)), value);
    };
    Frame x = ops_.conv(network_.post_quant, {{}, {}, ops_.load(latent)});
    x = ops_.conv(network_.in, in_.push(x));
    if (trace) tell("conv1_out", ops_.view(x).unsqueeze(1).clone());
    x = middle(ops_, network_.middle, middle_, std::move(x));
    if (trace) tell("middle_out", ops_.view(x).unsqueeze(1).clone());

    std::vector<at::Tensor> stage0;
    stage0_ = trace ? &stage0 : nullptr;
    stage(0, std::move(x), sink);
    if (trace) tell("stage0_out", at::stack(stage0, 1));
    latents_++;
}

// Depth first: a frame goes through all later stages before its stage makes the next one.
void Decoding::stage(size_t i, Frame x, const Sink& sink) {
    if (i == 1 && stage0_) stage0_->push_back(ops_.view(x).clone());
    const DecoderStage& s = network_.stages[i];
    for (size_t j = 0; j < s.blocks.size(); j++)
        x = residual(ops_, s.blocks[j], stages_[i].blocks[j], std::move(x));
    if (i + 1 == network_.stages.size()) {
        sink(ops_.conv(network_.out, out_.push(ops_.norm_silu(network_.norm, x))));
        return;
    }
    // The first frame of a video is not doubled in time, nor is it ever seen by the time convolution.
    if (!s.time || latents_ == 0) {
        stage(i + 1, ops_.conv(*s.space, {{}, {}, x}), sink);
        return;
    }
    const FrameTaps seen = stages_[i].time.push(x);
    for (const Conv& half : *s.time) {
        const Frame one = ops_.conv(half, seen);
        stage(i + 1, ops_.conv(*s.space, {{}, {}, one}), sink);
    }
}

std::vector<at::Tensor> Decoding::slots() const {
    std::vector<at::Tensor> slots;
    size_t unused = 0;
    // A time convolution's slot is two frames from its first use on: "one of zeros before the first".
    const auto add = [&](const History& h, bool time) {
        if (!h.last().defined()) {
            slots.emplace_back();
            return;
        }
        const at::Tensor last = ops_.view(h.last());
        if (h.older().defined())
            slots.push_back(at::stack({ops_.view(h.older()), last}, 1));
        else if (time)
            slots.push_back(at::stack({at::zeros_like(last), last}, 1));
        else
            slots.push_back(last.unsqueeze(1).clone());
    };
    const auto add_residual = [&](const ResidualState& r) { add(r[0], false), add(r[1], false); };
    add(in_, false);
    for (const ResidualState& r : middle_) add_residual(r);
    for (size_t i = 0; i < stages_.size(); i++) {
        for (size_t j = 0; j < stages_[i].blocks.size(); j++) {
            add_residual(stages_[i].blocks[j]);
            unused += network_.stages[i].blocks[j].shortcut.has_value();
        }
        if (network_.stages[i].time) add(stages_[i].time, true);
    }
    add(out_, false);
    slots.resize(slots.size() + unused); // the reference counts shortcuts too, but never uses theirs
    return slots;
}

} // namespace mc::wan_vae
