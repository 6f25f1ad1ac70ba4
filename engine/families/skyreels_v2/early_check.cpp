// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/early_check.h"

#include <filesystem>
#include <optional>

#include "engine/families/skyreels_v2/model.h"
#include "engine/families/skyreels_v2/window_plans.h"
#include "engine/model/calibration.h"
#include "engine/processor.h"
#include "engine/session/memory.h"

namespace mc::skyreels_v2 {

namespace {

struct Checked {
    Settings settings;
    Windows windows;
};

Checked check(const session::Request& request, const ModelFacts& facts) {
    Checked c{complete(request, facts), {}};
    c.windows = plan_windows(c.settings, request.grid, request.cancel);
    for (const auto& image : {request.image, request.end_image})
        if (image) sampler::crop_to_aspect(*image, c.settings.width, c.settings.height);
    return c;
}

} // namespace

void check_early(const std::string& path, const session::LoadOptions& options,
                 const session::Request& request) {
    // Whether auto takes a GPU, and why not, is found out and told once, when the model is opened.
    const bool automatic = options.device == "auto";
    const bool on_cpu = automatic
                            ? !session::has_driver(options.cuda)
                            : session::choose_device(options.device, options.cuda, options.log).is_cpu();

    std::optional<model::Calibration> calibration;
    const std::string file = model::calibration_file(path);
    const std::vector<model::FolderOutline> outlines = model::outlines(path);
    if (options.calibration && std::filesystem::exists(file))
        calibration = model::parse_calibration(model::JsonObject::read(file));
    const model::Calibration* known = calibration ? &*calibration : nullptr;
    std::optional<Error> refused;
    bool possible = false;
    for (const model::FolderOutline& o : outlines) {
        try {
            check(request, {o.transformer, o.vae, o.defaults, known});
            possible = true;
        } catch (const Error& e) {
            if (e.status != MC_ERROR_SETTINGS) throw;
            if (!refused) refused = e;
        }
    }
    if (!possible) throw *refused;

    const auto folder = model::ModelFolder::open(path);
    const Checked c = check(request, {folder->transformer, folder->vae, folder->defaults, known});
    if (!on_cpu) return;
    set_thread_count(session::thread_count(options)); // each takes memory
    const Precision precision = options.precision.value_or(Precision::FLOAT32);
    const int64_t weights = held_bytes(*folder->transformer_tensors(), *folder->vae_tensors(),
                                       *folder->text_encoder_tensors(), precision);
    session::check_weights_fit(weights, precision);
    session::check_memory(
        weights + sampling_bytes(c.settings, c.windows, folder->transformer, precision,
                                 c.settings.height / folder->vae.spatial_factor,
                                 c.settings.width / folder->vae.spatial_factor),
        "The model with this request",
        "ask for a smaller picture, a smaller base-num-frames or fewer frames, or use a smaller model.");
}

} // namespace mc::skyreels_v2
