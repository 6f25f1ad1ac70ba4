// SPDX-License-Identifier: LGPL-2.1-or-later
// motioncache-calibrate: runs a model without a cache, learns how its output changes, searches settings of
// MotionCache, and writes motioncache.json. See usage in options.cpp.
#include <c10/core/InferenceMode.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "engine/error.h"
#include "engine/families/skyreels_v2/settings.h"
#include "engine/model/calibration.h"
#include "engine/model/fingerprint.h"
#include "engine/model/model_folder.h"
#include "tools/calibrate/elsewhere.h"
#include "tools/calibrate/options.h"
#include "tools/calibrate/presets.h"
#include "tools/calibrate/prompts.h"
#include "tools/calibrate/report.h"
#include "tools/calibrate/search.h"

using namespace mc;
using namespace mc::calibrate;

namespace {

// Before hours of work, not after.
void check_writable(const std::string& file) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    const std::string folder = fs::path(file).has_parent_path() ? fs::path(file).parent_path().string() : ".";
    if (!fs::is_directory(folder, ignored))
        throw Error(MC_ERROR_SETTINGS,
                    folder + ": there is no such folder to write to; make it, or give another --output.");
    if (::access(folder.c_str(), W_OK) != 0 || fs::is_directory(file, ignored))
        throw Error(MC_ERROR_SETTINGS,
                    file + ": cannot be written; give --output a file in a folder that you may write to.");
}

session::Request base_request(const Options& o) {
    session::Request r;
    r.seed = o.seed;
    r.width = o.width, r.height = o.height, r.num_frames = o.frames;
    r.steps = o.steps;
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::NONE;
    return r;
}

model::CalibratedPreset preset_of(const Trial& trial) {
    // Rounded down: no digit is promised that was not seen.
    return {trial.settings, trial.speedup, std::floor(10 * std::max(0.0, trial.stated())) / 10, trial.ssim, trial.psnr};
}

void calibrate_model(const Options& o) {
    if (model::find_model(o.model).family != "skyreels-v2")
        throw Error(MC_ERROR_SETTINGS, o.model + " is not of SkyReels-V2, and only its caches are calibrated: use the "
                                                 "published settings of this model's.");
    const auto folder = model::skyreels_v2::Folder::open(o.model);
    const std::string output = o.output.empty() ? model::calibration_file(o.model) : o.output;
    check_writable(output);
    TrialSetup setup;
    setup.prompts = o.prompts.empty() ? built_in_prompts() : read_prompts(o.prompts);
    if (o.quick && setup.prompts.size() > 2) setup.prompts.resize(2);
    model::Calibration calibration;
    calibration.fingerprint = model::fingerprint(*folder->transformer_tensors());

    session::LoadOptions load;
    load.device = o.device;
    load.threads = o.threads;
    load.precision = o.precision;
    load.calibration = false; // it is to be made anew
    setup.model = skyreels_v2::Model::open(o.model, load);
    setup.request = base_request(o);
    const skyreels_v2::VideoSettings s =
        skyreels_v2::complete(request_of(setup.request, setup.prompts, 0), *setup.model);
    progress("%s: %zu prompts, %d x %d, %d frames, %d steps, %d threads", o.model.c_str(),
             setup.prompts.size(), s.width, s.height, s.num_frames, s.steps, setup.model->placement.threads);

    c10::InferenceMode guard;
    SearchOptions options;
    options.quick = o.quick;
    // The first prompts are learnt from and searched on; the others tell how the settings do on prompts not seen.
    std::vector<std::string> first = setup.prompts;
    first.resize(std::min(first.size(), options.prompts));
    const Lesson lesson = learn(setup.model, setup.request, first);
    const std::vector<Point> points = lesson.points();
    const std::optional<Curve> curve = fit_curve(points);
    if (curve)
        progress("The polynomial rises from %.4f to %.4f over distances from %.4f to %.4f",
                 curve->polynomial(curve->least), curve->polynomial(curve->most), curve->least, curve->most);
    else
        progress("The model's changes do not rise with the distance: the distance is taken as it is");

    const Found found = search(setup, lesson, curve, options);
    const std::vector<double> shares =
        o.quick ? std::vector<double>{0.5, 0.35, 0.22}
                : std::vector<double>{0.37, 0.34, 0.307, 0.28, 0.253, 0.228};
    std::vector<Trial> trials = run_levels(setup, settings_for_shares(found, lesson.recording, shares));
    Choice choice = choose_presets(trials);
    look_elsewhere(setup, choice.presets, s, o.quick);
    print_table(trials, choice);

    calibration.polynomial = found.best.settings.polynomial;
    calibration.path = found.best.settings.path;
    for (const Point& p : points) {
        calibration.least = &p == points.data() ? p.x : std::min(calibration.least, p.x);
        calibration.most = std::max(calibration.most, p.x);
    }
    calibration.quality = preset_of(choice.presets[0]);
    calibration.balanced = preset_of(choice.presets[1]);
    calibration.fast = preset_of(choice.presets[2]);
    model::write_calibration(output, calibration);
    std::printf("written: %s\n", output.c_str());
}

} // namespace

int main(int argc, char** argv) {
    try {
        const Options o = parse_options(std::span(argv + 1, size_t(argc - 1)));
        if (o.help)
            std::fputs(usage, stdout);
        else
            calibrate_model(o);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "motioncache-calibrate: %s\n", e.what());
        return 1;
    }
}
