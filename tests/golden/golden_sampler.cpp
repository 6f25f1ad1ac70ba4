// SPDX-License-Identifier: LGPL-2.1-or-later
// Whole generations, through the session as the element runs them, with the noise of the case.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <filesystem>

#include "engine/error.h"
#include "engine/families/skyreels_v2/inputs.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/session/session.h"
#include "tests/golden/cache_events.h"
#include "tests/golden/cache_settings.h"
#include "tests/golden/settings.h"

namespace mc::golden {
namespace {

std::shared_ptr<const skyreels_v2::Model> load(const Run& run) {
    const std::string tokenizer = run.weights("tokenizer");
    const skyreels_v2::ModelParts parts{run.weights("dit"), run.weights("vae"), run.weights("text_encoder"),
                                        std::filesystem::is_directory(tokenizer) ? tokenizer + "/spiece.model"
                                                                                 : tokenizer};
    session::LoadOptions options;
    options.opened = run.device;
    options.precision = run.precision;

    // Cases share models; the one used last is kept.
    static std::string kept_key;
    static std::shared_ptr<const skyreels_v2::Model> kept;
    const std::string key = parts.transformer + "\n" + parts.vae + "\n" + parts.text_encoder + "\n" +
                            parts.tokenizer + "\n" + run.device.str() + "\n" +
                            std::to_string(int(run.precision));
    if (key != kept_key) {
        kept = skyreels_v2::Model::open_parts(parts, options);
        kept_key = key;
    }
    return kept;
}

at::Tensor noise_of(const Run& run, const std::string& name, at::IntArrayRef shape,
                    std::optional<int> row = {}) {
    at::Tensor noise = run.input(name);
    if (row) noise = noise[*row];
    if (noise.sizes() != shape)
        throw Error(MC_ERROR_INTERNAL, name + " has shape " + model::shape_text(noise.sizes().vec()) +
                                           " but the session asks for " + model::shape_text(shape.vec()) +
                                           ".");
    return noise;
}

session::Request request_of(const Run& run) {
    const Json& settings = run.file.settings();
    session::Request request;
    request.prompt = settings.at("prompt");
    request.negative_prompt = settings.value("negative_prompt", "");
    request.seed = 0;
    request.width = setting<int>(settings, "width");
    request.height = setting<int>(settings, "height");
    // The reference drops frames that do not fill a latent frame, the session samples one more.
    request.num_frames = 4 * ((settings.at("num_frames").get<int>() - 1) / 4) + 1;
    request.steps = setting<int>(settings, "num_inference_steps");
    request.causal_block_size = setting<int>(settings, "causal_block_size");
    request.ar_step = setting<int>(settings, "ar_step");
    request.base_num_frames = setting<int>(settings, "base_num_frames");
    request.overlap_history = setting<int>(settings, "overlap_history");
    request.addnoise_condition = setting<int>(settings, "addnoise_condition");
    request.frame_rate_n = setting<int>(settings, "fps");
    request.frame_rate_d = 1;
    request.guidance_scale = setting<double>(settings, "guidance_scale");
    request.shift = setting<double>(settings, "shift");
    request.long_video = long_video_of(settings);
    request.attention = attention_of(settings);
    if (run.file.inputs.has("image")) request.image = image_of(run.input("image"));
    if (run.file.inputs.has("end_image")) request.end_image = image_of(run.input("end_image"));
    request.initial_noise = [&run](int window, at::IntArrayRef shape) {
        return noise_of(run, "noise.w" + std::to_string(window), shape);
    };
    auto inputs = std::make_shared<skyreels_v2::Inputs>();
    inputs->grid = grid_of(settings);
    inputs->prefix_noise = [&run](int window, int row, at::IntArrayRef shape) {
        return noise_of(run, "addnoise.w" + std::to_string(window), shape, row);
    };
    request.family_inputs = inputs;
    return request;
}

// What the case gives as inputs though the engine makes it from the prompt.
void add_text(const Run& run, const std::map<std::string, at::Tensor>& traced, Produced& produced) {
    for (const std::string branch : {"prompt", "negative"}) {
        const std::string given = branch == "prompt" ? "prompt" : "negative_prompt";
        const auto value = [&](const std::string& name) {
            const auto found = traced.find(branch + name);
            return found == traced.end() ? at::Tensor() : found->second;
        };
        if (run.file.inputs.has(given + "_ids"))
            produced.extras.push_back(
                {given + "_ids", value("_ids"), run.input(given + "_ids"), {true, 0, 0}});
        if (run.file.inputs.has(given + "_embeds"))
            produced.extras.push_back(
                {given + "_embeds", value("_embeds"), run.input(given + "_embeds"), {false, 1e-4, 1e-4}});
    }
}

bool has_cache(const CaseFile& f) {
    return f.json.contains("decisions") || f.json.contains("events") || f.settings().contains("teacache") ||
           f.settings().contains("token_cache");
}

Produced run_sampler(const Run& run) {
    session::Request request = request_of(run);
    std::map<std::string, at::Tensor> traced;
    std::map<std::string, std::vector<at::Tensor>> rows; // of "steps.*", one entry per row
    request.trace = [&](const std::string& name, const at::Tensor& value) {
        if (!name.starts_with("steps."))
            traced[name] = value.clone();
        else if (run.file.expected.has(name))
            rows[name].push_back(value.clone());
    };
    CacheEvents events(run.file);
    if (has_cache(run.file)) {
        request.cache_settings = cache_settings_of(run.file.settings());
        request.reference_windows = true;
        request.decisions = [&](const cache::Decision& d) { events.decided(d); };
        request.turns = [&](int window, const sampler::Turn& turn) { events.took(window, turn); };
    }
    session::Session session(load(run), request);
    std::vector<at::Tensor> pieces;
    int64_t next = 0;
    while (auto frames = session.next()) {
        if (frames->first != next)
            throw Error(MC_ERROR_INTERNAL, "Frames " + std::to_string(frames->first) + "... came where " +
                                               std::to_string(next) + "... were due.");
        next += frames->pixels.size(1);
        pieces.push_back(frames->pixels.clone());
    }

    Produced produced;
    produced.tensors = traced;
    for (const auto& [name, values] : rows) produced.tensors[name] = at::stack(values);
    if (!pieces.empty()) {
        const at::Tensor video = at::cat(pieces, 1); // [3, F, H, W]
        produced.tensors["frames"] = video;
        produced.tensors["frames_u8"] =
            ((video / 2 + 0.5).clamp(0, 1) * 255).to(at::kByte).permute({1, 2, 3, 0}).contiguous();
    }
    add_text(run, traced, produced);
    if (has_cache(run.file)) events.fill(produced);
    return produced;
}

bool takes(const CaseFile& f) {
    return f.inputs.has("noise.w0") && f.json.contains("settings") && f.settings().contains("prompt");
}
const Added added{{"session", true, takes, run_sampler}};

} // namespace
} // namespace mc::golden
