// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/early_check.h"

#include <filesystem>
#include <optional>

#include "engine/families/skyreels_v2/inputs.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/families/skyreels_v2/window_plans.h"
#include "engine/model/calibration.h"
#include "engine/model/tokenizer_json.h"
#include "engine/processor.h"
#include "engine/ranks/group.h"
#include "engine/ranks/membership.h"
#include "engine/session/memory.h"
#include "engine/session/streaming.h"

namespace mc::skyreels_v2 {

namespace {

struct Checked {
    VideoSettings settings;
    Windows windows;
};

Checked check(const session::Request& request, const ModelFacts& facts) {
    Checked c{complete(request, facts), {}};
    c.windows = plan_windows(c.settings, inputs_of(request).grid, request.cancel);
    for (const auto& image : {request.image, request.end_image})
        if (image) sampler::crop_to_aspect(*image, c.settings.width, c.settings.height);
    return c;
}

struct Early {
    std::unique_ptr<model::skyreels_v2::Folder> folder;
    std::optional<model::Calibration> calibration;
    Checked checked;
};

// No weight file is opened before the request is found possible.
Early look(const std::string& path, const session::LoadOptions& options, const session::Request& request) {
    Early early;
    const std::string file = model::calibration_file(path);
    const auto outlines = model::skyreels_v2::outlines(path);
    if (options.calibration && std::filesystem::exists(file))
        early.calibration = model::parse_calibration(model::JsonObject::read(file));
    const model::Calibration* known = early.calibration ? &*early.calibration : nullptr;
    std::optional<Error> refused;
    bool possible = false;
    for (const model::skyreels_v2::FolderOutline& o : outlines) {
        try {
            check(request, {o.transformer, o.vae, o.defaults, known});
            possible = true;
        } catch (const Error& e) {
            if (e.status != MC_ERROR_SETTINGS) throw;
            if (!refused) refused = e;
        }
    }
    if (!possible) throw *refused;
    early.folder = model::skyreels_v2::Folder::open(path);
    early.checked =
        check(request, {early.folder->transformer, early.folder->vae, early.folder->defaults, known});
    return early;
}

wan_dit::Ranks ranks_of(const session::LoadOptions& options) {
    if (options.group) return {options.group->size(), options.tokens_only};
    const auto member = ranks::membership_of_environment();
    return {member ? member->size : 1};
}

session::MemoryForecast forecast(const Early& early, const session::LoadOptions& options, at::Device device,
                                 const session::Request& request) {
    const model::skyreels_v2::Folder& folder = *early.folder;
    set_thread_count(session::thread_count(options)); // each takes memory
    session::MemoryForecast f;
    f.device = device;
    f.precision = session::precision_on(device, options);
    const auto vae_tensors = folder.vae_tensors();
    const WeightBytes weights = weight_bytes(*folder.transformer_tensors(), *vae_tensors,
                                             *folder.text_encoder_tensors(), f.precision, device,
                                             options.weights_in_bytes);
    const bool on_demand = session::TextEncoder::on_demand(weights.text_encoder);
    const wan_vae::WanVae vae(*vae_tensors, folder.vae, device, f.precision);
    f.free = session::free_memory(device);
    bool known = false;
    if (on_demand) {
        const LibraryThreads library(device.is_cpu() ? 1 : session::thread_count(options)); // as in a session
        session::TextEncoder encoder(folder.text_encoder_tensors(), folder.text_encoder, f.precision,
                                     text_device(weights, device, f.free), {});
        known = texts_known(encoder, text::Tokenizer(folder.tokenizer_file),
                            model::tokenizer_byte_fallback(folder.tokenizer_file), folder.transformer.text_rows,
                            early.checked.settings);
    }
    Planned planned{
        {folder.transformer, folder.vae, folder.defaults, early.calibration ? &*early.calibration : nullptr},
        folder.text_encoder,
        vae,
        f.precision,
        device,
        text_device(weights, device, f.free),
        on_demand ? weights.text_encoder : 0,
        known,
        ranks_of(options)};
    MemoryPlan plan = plan_memory(early.checked.settings, early.checked.windows, planned);
    int64_t transformer = weights.transformer;
    auto held = [&] {
        return transformer + weights.vae +
               (planned.text_device == device && !on_demand ? weights.text_encoder : 0);
    };
    auto plan_again = [&] { plan = plan_memory(early.checked.settings, early.checked.windows, planned); };
    auto total = [&] { return held() + plan.total(); };
    if (total() > f.free && !device.is_cpu()) { // as the session will move it
        planned.text_device = at::kCPU;
        plan_again();
    }
    if (total() > f.free && !device.is_cpu()) { // as the model and the session will
        const session::Streaming none{0, wan_dit::Transformer::layer_bytes(folder.transformer, f.precision,
                                                                               options.weights_in_bytes)};
        const int64_t layers = folder.transformer.layers;
        const session::Streaming s = session::stream_to_fit(none, layers, device, total(), f.free)
                                         .value_or(session::most_streamed(none, layers, device));
        transformer -= s.freed();
        f.streamed = s.host_bytes();
    }
    f.text_device = planned.text_device, f.text_on_demand = on_demand;
    f.saved = device.is_cpu() || f.streamed ? 0 : weights.saved;
    f.transformer = transformer, f.text_encoder = weights.text_encoder, f.vae_weights = weights.vae;
    f.keys_values = plan.keys_values, f.cache = plan.cache, f.activations = plan.activations;
    f.vae = plan.vae, f.text = plan.text;
    f.total = total();
    if (f.total > f.free) f.would_fit = what_fits(request, planned, f.free - held());
    return f;
}

} // namespace

session::MemoryForecast forecast_memory(const std::string& path, const session::LoadOptions& options,
                                        const session::Request& request) {
    const at::Device device = session::choose_device(options, {});
    return forecast(look(path, options, request), options, device, request);
}

void check_early(const std::string& path, const session::LoadOptions& options,
                 const session::Request& request) {
    // Whether auto takes a GPU, and why not, is found out and told once, when the model is opened.
    const bool open = options.opened || options.device != "auto" || !session::has_driver(options.cuda);
    const at::Device device = open ? session::choose_device(options, options.log) : at::kCPU;
    const Early early = look(path, options, request);
    if (!open) return;
    const session::MemoryForecast f = forecast(early, options, device, request);
    session::check_weights_fit(f.weights(), f.precision, device,
                               f.saved ? std::optional(f.weights() - f.saved) : std::nullopt);
    session::check_memory(
        f.total, "The model with this request", [&](int64_t) { return f.would_fit; }, device);
}

} // namespace mc::skyreels_v2
