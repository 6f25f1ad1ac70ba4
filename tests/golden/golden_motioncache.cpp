// SPDX-License-Identifier: LGPL-2.1-or-later
// MotionCache driven by hand: latents and a timestep for every latent frame given for each row, every chunk active in
// every row, no scheduler. Where only the timesteps are given only the decisions are expected, which depend on
// nothing else.
#include <ATen/ATen.h>

#include "engine/networks/wan_dit/transformer.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "tests/golden/cache_events.h"
#include "tests/golden/cache_settings.h"
#include "tests/golden/settings.h"

namespace mc::golden {
namespace {

std::vector<int64_t> numbers(const at::Tensor& tensor) {
    const at::Tensor flat = tensor.to(at::kCPU, at::kLong).contiguous();
    return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

Produced run_by_hand(const Run& run) {
    const Json& s = run.file.settings();
    model::TransformerConfig config;
    const auto tensors = model::open_transformer(run.weights("dit"), config);
    const wan_dit::Transformer net(Weights(*tensors, run.device), config, run.precision);
    auto embeds = [&](const std::string& name) {
        return run.file.inputs.has(name) ? run.input(name) : at::zeros({1, config.text_width});
    };
    const auto prompt = net.text_context(embeds("prompt_embeds")),
               negative = net.text_context(embeds("negative_prompt_embeds"));
    const wan_dit::TextContext* const text[] = {prompt.get(), negative.get()};

    const int rows = s.at("rows"), chunks = s.at("num_groups"), chunk = s.at("group_size");
    const cache::AnySettings settings = cache_settings_of(s);
    wan_dit::Window::Shape shape{chunks * chunk, s.at("latent_height"), s.at("latent_width"),
                                 chunk,          Attention::KV,         s.at("fps")};
    shape.branches = 2;
    shape.chunks_at_once = chunks;
    shape.remembers = true;
    wan_dit::Window window(net, shape);
    CacheEvents events(run.file);
    const auto policy = cache::make_policy(settings);
    policy->observe([&](const cache::Decision& d) { events.decided(d); });
    policy->begin_window({chunks, chunk, int(window.frame_tokens()), 2, rows, rows});

    const at::Tensor t = run.input("t"),
                     x = run.file.inputs.has("x")
                             ? run.input("x")
                             : at::zeros({rows, config.in_channels, shape.frames, shape.height, shape.width});
    for (int row = 0; row < rows; row++) {
        const std::vector<int64_t> now = numbers(t[row]), before = numbers(t[std::max(0, row - 1)]);
        std::vector<std::vector<cache::FrameDistance>> distances(chunks);
        std::vector<cache::ChunkStep> steps;
        for (int c = 0; c < chunks; c++) {
            for (int f = c * chunk; row && f < (c + 1) * chunk; f++) {
                const auto d = window.distance(true, now[f], before[f]);
                distances[c].push_back({d.difference, d.magnitude});
            }
            steps.push_back({c, row, distances[c]});
        }
        for (int branch = 0; branch < 2; branch++) {
            const std::vector<cache::Plan> plans = policy->decide(row, branch, steps);
            std::vector<wan_dit::ChunkWork> work;
            for (int c = 0; c < chunks; c++)
                work.push_back({branch, c, &plans[c], true, policy->wants_motion(branch, c)});
            window.forward(x[row], now, text, work);
            for (int c = 0; c < chunks; c++) {
                if (work[c].motion)
                    policy->motion(branch, c, window.change(c).tokens, window.change(c).has_previous);
                events.took(0, {row,
                                branch,
                                {sampler::ChunkTurn::Kind::STEP, c, row, 0},
                                window.velocity(branch).narrow(1, c * chunk, chunk),
                                work[c].motion ? policy->weights(branch, c) : std::span<const float>()});
            }
        }
    }
    Produced produced;
    events.fill(produced);
    return produced;
}

const Added added{{"MotionCache by hand", true,
                   [](const CaseFile& f) { return f.inputs.has("t") && f.json.contains("events"); },
                   run_by_hand}};

} // namespace
} // namespace mc::golden
