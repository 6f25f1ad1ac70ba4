// SPDX-License-Identifier: LGPL-2.1-or-later
// Cases of engine/networks/wan_vae: encoding, decoding at once, decoding as a stream with the state after every call.

#include "engine/networks/wan_vae/wan_vae.h"
#include "engine/networks/wan_vae/wan_vae_files.h"
#include "tests/golden/runner.h"

namespace mc::golden {
namespace {

struct Vae {
    model::VaeConfig config;
    std::unique_ptr<model::Tensors> tensors;
    wan_vae::WanVae net;
    explicit Vae(const Run& run)
        : tensors(model::open_vae(run.weights("vae"), config)), net(Weights(*tensors, run.device), config) {}
};

Produced run_encode(const Run& run) {
    const Vae vae(run);
    const at::Tensor video = run.input("video")[0]; // [3, F, H, W]
    Produced produced;
    produced.tensors["latents"] = vae.net.encode(video).unsqueeze(0);
    if (run.file.expected.has("latents_first_frame"))
        produced.tensors["latents_first_frame"] = vae.net.encode(video.narrow(1, 0, 1)).unsqueeze(0);
    return produced;
}

Produced run_decode(const Run& run) {
    const Vae vae(run);
    const at::Tensor latents = run.input("latents")[0]; // [z, T, h, w]
    Produced produced;
    const Trace trace = [&](const std::string& name, const at::Tensor& value) {
        if (run.file.expected.has(name)) produced.tensors[name] = value.clone();
    };
    produced.tensors["video"] = vae.net.decoder()->decode(latents, {}, trace).unsqueeze(0);

    if (run.file.json.contains("frame_ranges")) {
        const auto stream = vae.net.decoder();
        int64_t begin = 0;
        for (int64_t k = 0; k < latents.size(1); k++) {
            const int64_t end = begin + stream->decode(latents.narrow(1, k, 1)).size(1);
            produced.values["frame_ranges"].push_back({begin, end});
            begin = end;
        }
    }
    return produced;
}

// The state of a slot, or the case's own word for one that holds nothing.
Json slot_summary(const at::Tensor& slot, const Json& expected) {
    if (!slot.defined()) return expected.is_string() ? expected : Json();
    const at::Tensor value = slot.to(at::kDouble);
    return {{"shape", value.sizes().vec()},
            {"mean", value.mean().item<double>()},
            {"mean_abs", value.abs().mean().item<double>()}};
}

Produced run_stream(const Run& run) {
    const Vae vae(run);
    const at::Tensor latents = run.input("latents")[0];
    const auto stream = vae.net.decoder();
    Produced produced;
    for (int64_t k = 0; k < latents.size(1); k++) {
        produced.tensors["frames." + std::to_string(k)] = stream->decode(latents.narrow(1, k, 1));
        if (!run.file.json.contains("slots")) continue;
        const Json& expected = run.file.json["slots"].at(size_t(k));
        const auto slots = stream->slots();
        Json row;
        for (size_t i = 0; i < std::max(slots.size(), expected.size()); i++)
            row.push_back(slot_summary(i < slots.size() ? slots[i] : at::Tensor(),
                                       i < expected.size() ? expected[i] : Json()));
        produced.values["slots"].push_back(row);
    }
    return produced;
}

bool has_vae(const CaseFile& f) {
    return f.json.contains("weights") && f.json["weights"].contains("vae");
}

const Added added{
    {"vae encoder", false,
     [](const CaseFile& f) { return has_vae(f) && f.inputs.has("video") && f.expected.has("latents"); },
     run_encode},
    {"vae decoder", false,
     [](const CaseFile& f) { return has_vae(f) && f.inputs.has("latents") && f.expected.has("video"); },
     run_decode},
    {"vae stream", false,
     [](const CaseFile& f) { return has_vae(f) && f.inputs.has("latents") && f.expected.has("frames.0"); },
     run_stream},
};

} // namespace
} // namespace mc::golden
