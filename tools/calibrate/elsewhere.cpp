// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/elsewhere.h"

#include <algorithm>
#include <cmath>

#include "tools/calibrate/report.h"

namespace mc::calibrate {
namespace {

constexpr size_t FEW = 3;       // prompts, the first ones, moving and still, where each takes long
constexpr double SMALLER = 0.6; // of the sides: many requests in a smaller picture take as long as a few in a whole one
constexpr double HIGH_SHIFT = 8;
// A cache that computes everything is exact, which tells nothing of how far prompts differ: more than this above the
// smaller picture alone is not counted.
constexpr double MOST_GAIN = 3; // dB

int side(int calibrated) {
    return std::max(32, int(std::lround(calibrated * SMALLER / 16)) * 16);
}

struct Mean {
    double mean = 0, error = 0;
};
Mean mean_of(std::span<const double> values) {
    Mean m;
    const double n = double(values.size());
    for (double v : values) m.mean += v / n;
    double squares = 0;
    for (double v : values) squares += (v - m.mean) * (v - m.mean);
    if (n > 1) m.error = std::sqrt(squares / n / (n - 1));
    return m;
}

} // namespace

std::vector<Elsewhere> elsewhere(const skyreels_v2::VideoSettings& s) {
    std::vector<Elsewhere> list;
    const auto add = [&, w = side(s.width), h = side(s.height)](const char* name,
                                                                std::function<void(session::Request&)> change,
                                                                size_t prompts = 0) {
        list.push_back({name, [=](session::Request& r) { r.width = w, r.height = h, change(r); }, prompts});
    };
    add("a smaller size", [](session::Request&) {});
    add("twice the steps", [n = 2 * s.steps](session::Request& r) { r.steps = n; });
    add("a third of the steps", [n = std::max(2, s.steps / 3)](session::Request& r) { r.steps = n; });
    add("a fifth of the steps", [n = std::max(2, s.steps / 5)](session::Request& r) { r.steps = n; });
    if (s.guidance_scale != 1) add("no guidance", [](session::Request& r) { r.guidance_scale = 1; });
    add("chunks of 1", [](session::Request& r) { r.causal_block_size = 1, r.ar_step = 2; });
    add("another shift", [v = s.shift < HIGH_SHIFT ? HIGH_SHIFT : 1](session::Request& r) { r.shift = v; });
    if (s.length.windows.size() == 1) {
        add("chunks of 5", [](session::Request& r) { r.causal_block_size = 5; });
        add("two windows", [n = s.length.frames, history = s.overlap_history](session::Request& r) {
            r.base_num_frames = n, r.num_frames = 2 * n - history;
        });
    }
    add("all chunks at once", [](session::Request& r) { r.ar_step = 0; });
    add("seven times the steps", [n = 7 * s.steps](session::Request& r) { r.steps = n; }, FEW);
    return list;
}

double stated_from(std::span<const double> base, std::span<const double> there) {
    std::vector<double> gains, known;
    for (size_t i = 0; i < there.size(); i++) gains.push_back(std::min(there[i] - base[i], MOST_GAIN));
    for (size_t i = 0; i < there.size(); i++) known.push_back(base[i] + gains[i]);
    const Mean gain = mean_of(gains),
               all = mean_of(there.size() == base.size() ? std::span<const double>(known) : base);
    return there.size() == base.size() ? all.mean - all.error
                                       : all.mean + gain.mean - std::hypot(all.error, gain.error);
}

void look_elsewhere(const TrialSetup& setup, std::span<Trial> trials,
                    const skyreels_v2::VideoSettings& calibrated, bool quick) {
    std::vector<cache::MotionCacheSettings> levels;
    for (const Trial& t : trials) levels.push_back(t.settings);
    std::vector<std::vector<double>> base; // of the first: the smaller picture alone
    for (const Elsewhere& e : elsewhere(calibrated)) {
        TrialSetup there = setup;
        there.prompts.resize(std::min(setup.prompts.size(), quick       ? 1
                                                            : e.prompts ? e.prompts
                                                                        : setup.prompts.size()));
        e.change(there.request);
        const std::vector<std::vector<double>> psnr = psnr_of_levels(there, levels);
        if (base.empty()) base = psnr;
        std::string line;
        for (size_t l = 0; l < levels.size(); l++) {
            const double stated = stated_from(base[l], psnr[l]);
            trials[l].elsewhere = std::min(trials[l].elsewhere, stated);
            char text[48];
            std::snprintf(text, sizeof text, " %.1f", stated);
            line += text;
        }
        progress("With %s:%s dB may be stated", e.name.c_str(), line.c_str());
        if (quick) break;
    }
}

} // namespace mc::calibrate
