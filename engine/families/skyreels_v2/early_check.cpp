// SPDX-License-Identifier: LGPL-2.1-or-later
// What speaks against a request before weights are read.
#include <filesystem>
#include <optional>

#include "engine/families/skyreels_v2/inputs.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/families/skyreels_v2/window_plans.h"
#include "engine/model/calibration.h"
#include "engine/model/tokenizer_json.h"
#include "engine/ranks/group.h"
#include "engine/ranks/membership.h"

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
    std::optional<model::Calibration> calibration;
    std::unique_ptr<model::skyreels_v2::Folder> folder;
    Checked checked;
    ModelFacts facts(const model::skyreels_v2::FolderOutline& o) const {
        return {o.transformer, o.vae, o.defaults, calibration ? &*calibration : nullptr};
    }
};

wan_dit::Ranks ranks_of(const session::LoadOptions& options) {
    if (options.group) return {options.group->size(), options.tokens_only};
    const auto member = ranks::membership_of_environment();
    return {member ? member->size : 1};
}

session::MemoryForecast forecast(const Early& early, const session::LoadOptions& options, at::Device device,
                                 const session::Request& request) {
    const model::skyreels_v2::Folder& folder = *early.folder;
    const VideoSettings& settings = early.checked.settings;
    const Precision precision = session::precision_on(device, options);
    const auto vae_tensors = folder.vae_tensors();
    const std::shared_ptr<const model::Tensors> text = folder.text_encoder_tensors();
    const wan_vae::WanVae vae(*vae_tensors, folder.vae, device, precision);
    const auto planned = [&](const session::Parts& parts) {
        return Planned{parts, early.facts(folder), vae, ranks_of(options)};
    };
    return session::forecast(
        {[&](session::TextEncoder& encoder) {
             return texts_known(encoder, text::Tokenizer(folder.tokenizer_file),
                                model::tokenizer_byte_fallback(folder.tokenizer_file), folder.transformer.text_rows,
                                settings);
         },
         [&](const session::Parts& parts) { return plan_memory(settings, early.checked.windows, planned(parts)); },
         [&](const session::Parts& parts, int64_t free) { return what_fits(request, planned(parts), free); }},
        {{precision, precision, device, device, folder.text_encoder},
         weight_bytes(*folder.transformer_tensors(), *vae_tensors, *text, precision, device, options.weights_in_bytes),
         folder.transformer.layers,
         wan_dit::Transformer::layer_bytes(folder.transformer, precision, options.weights_in_bytes),
         text},
        options);
}

} // namespace

session::Forecast Model::look(const std::string& path, const session::LoadOptions& options,
                              const session::Request& request) {
    const auto early = std::make_shared<Early>();
    const std::string file = model::calibration_file(path);
    const auto outlines = model::skyreels_v2::outlines(path);
    if (options.calibration && std::filesystem::exists(file))
        early->calibration = model::parse_calibration(model::JsonObject::read(file));
    std::optional<Error> refused;
    bool possible = false;
    for (const model::skyreels_v2::FolderOutline& o : outlines) {
        try {
            check(request, early->facts(o));
            possible = true;
        } catch (const Error& e) {
            if (e.status != MC_ERROR_SETTINGS) throw;
            if (!refused) refused = e;
        }
    }
    if (!possible) throw *refused;
    early->folder = model::skyreels_v2::Folder::open(path);
    early->checked = check(request, early->facts(*early->folder));
    return [=, &options, &request](at::Device device) { return forecast(*early, options, device, request); };
}

} // namespace mc::skyreels_v2
