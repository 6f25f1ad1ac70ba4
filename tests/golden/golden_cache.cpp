// SPDX-License-Identifier: LGPL-2.1-or-later
// Cases of engine/cache: motion weights, the vote, polynomials.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "engine/cache/motion_weights.h"
#include "engine/cache/vote.h"
#include "engine/error.h"
#include "engine/families/skyreels_v2/published_caches.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "tests/golden/settings.h"

namespace mc::golden {
namespace {

// x: [frames, positions, channels] of a chunk; previous: [positions, channels], undefined: there is none.
// The change of every token against the latent frame before; of the first frame 0 without a previous one.
std::vector<float> change_of(const at::Tensor& x, const at::Tensor& previous) {
    const at::Tensor first = previous.defined() ? previous : x[0];
    const at::Tensor before = at::cat({first.unsqueeze(0), x.slice(0, 0, -1)});
    const at::Tensor change =
        ((x - before).abs().mean(-1) / (before.abs().mean(-1) + 1e-8)).to(at::kCPU).contiguous();
    return {change.const_data_ptr<float>(), change.const_data_ptr<float>() + change.numel()};
}

struct Mode {
    std::string name; // in the names of tensors: "mean", "max_rescale_floor0.6"
    CacheWeights weights;
    double floor;
};

std::vector<Mode> modes_of(const Json& settings) {
    std::vector<Mode> modes;
    for (const std::string mode : settings.at("modes")) {
        if (mode == "mean" || mode == "max") {
            modes.push_back({mode, mode == "mean" ? CacheWeights::MEAN : CacheWeights::MAX, 0});
        } else if (mode == "max_rescale") {
            for (const Json& floor : settings.at("floors"))
                modes.push_back({mode + "_floor" + floor.dump(), CacheWeights::MAX_RESCALE, floor});
        } else {
            throw NotImplemented{"weights by " + mode};
        }
    }
    return modes;
}

Produced run_weights(const Run& run) {
    const Json& settings = run.file.settings();
    const int frames = settings.at("group_size");
    const int64_t positions =
        settings.at("grid_height").get<int64_t>() * settings.at("grid_width").get<int64_t>();
    std::vector<at::Tensor> chunks;
    while (run.file.inputs.has("output.group" + std::to_string(chunks.size())))
        chunks.push_back(
            run.input("output.group" + std::to_string(chunks.size())).view({frames, positions, -1}));

    Produced produced;
    for (const Mode& mode : modes_of(settings)) {
        const auto add = [&](const std::string& name, const at::Tensor& x, const at::Tensor& previous,
                             cache::FirstFrame first) {
            produced.tensors[mode.name + "." + name] = at::tensor(
                cache::motion_weights(change_of(x, previous), frames, first, mode.weights, mode.floor));
        };
        add("group0", chunks[0], {}, cache::FirstFrame::SECOND);
        for (size_t i = 1; i < chunks.size(); i++) {
            const std::string name = "group" + std::to_string(i);
            add(name, chunks[i], chunks[i - 1][-1], cache::FirstFrame::COMPARED);
            if (run.file.expected.has(mode.name + "." + name + "_without_previous"))
                add(name + "_without_previous", chunks[i], {}, cache::FirstFrame::ONES);
        }
    }
    const at::Tensor masks = run.input("mask"); // [masks, tokens]
    for (const Json& share : settings.at("vote_thresholds")) {
        std::vector<at::Tensor> voted;
        for (int64_t i = 0; i < masks.size(0); i++) {
            const at::Tensor mask = masks[i].to(at::kCPU).contiguous();
            const std::span<const uint8_t> due(mask.const_data_ptr<uint8_t>(), size_t(mask.numel()));
            voted.push_back(at::tensor(cache::vote(due, frames, share)));
        }
        produced.tensors["vote_" + share.dump()] = at::stack(voted);
    }
    return produced;
}

// Those of the supported models, by the names of the case.
std::optional<cache::Polynomial> published(const std::string& name) {
    model::TransformerConfig config;
    config.in_channels = 16;
    if (name.find("1.3B") != std::string::npos)
        config.width = 1536, config.heads = 12, config.ffn = 8960, config.layers = 30,
        config.fps_embedding = true;
    else
        config.width = 5120, config.heads = 40, config.ffn = 13824, config.layers = 40;
    const model::skyreels_v2::PublishedCaches* caches = model::skyreels_v2::published_caches(config);
    if (!caches || !name.starts_with("t2v_")) return std::nullopt;
    return (name.ends_with("_ret") ? caches->teacache_retention : caches->teacache).settings.common().polynomial;
}

Produced run_polynomials(const Run& run) {
    Produced produced;
    for (const auto& [name, given] : run.file.json.at("polynomials").items()) {
        cache::Polynomial polynomial{given.at("coefficients")};
        Json& entry = produced.values["polynomials"][name];
        if (const auto ours = published(name)) {
            polynomial = *ours;
            entry["coefficients"] = ours->coefficients; // exact, as the case gives them no tolerance
        }
        for (double x : run.file.settings().at("x")) entry["values"].push_back(polynomial(x));
    }
    return produced;
}

const Added added{
    {"motion weights", false, [](const CaseFile& f) { return f.inputs.has("output.group0"); }, run_weights},
    {"polynomials", false, [](const CaseFile& f) { return f.json.contains("polynomials"); }, run_polynomials},
};

} // namespace
} // namespace mc::golden
