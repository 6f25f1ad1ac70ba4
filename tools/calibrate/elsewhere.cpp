// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/elsewhere.h"

#include <algorithm>

#include "tools/calibrate/report.h"

namespace mc::calibrate {
namespace {

constexpr size_t PROMPTS = 2; // a moving and a still one
constexpr double HIGH_SHIFT = 8;

} // namespace

std::vector<Elsewhere> elsewhere(const skyreels_v2::Settings& s) {
    std::vector<Elsewhere> list;
    const auto add = [&](const char* name, std::function<void(session::Request&)> change) {
        list.push_back({name, std::move(change)});
    };
    add("twice the steps", [n = 2 * s.steps](session::Request& r) { r.steps = n; });
    add("a third of the steps", [n = std::max(2, s.steps / 3)](session::Request& r) { r.steps = n; });
    if (s.guidance_scale != 1) add("no guidance", [](session::Request& r) { r.guidance_scale = 1; });
    add("chunks of 1", [](session::Request& r) { r.causal_block_size = 1, r.ar_step = 2; });
    add("another shift", [v = s.shift < HIGH_SHIFT ? HIGH_SHIFT : 1](session::Request& r) { r.shift = v; });
    if (s.length.windows.size() == 1)
        add("two windows", [n = s.length.frames, history = s.overlap_history](session::Request& r) {
            r.base_num_frames = n, r.num_frames = 2 * n - history;
        });
    return list;
}

void look_elsewhere(const Stage& stage, std::span<Trial> trials, const skyreels_v2::Settings& calibrated, bool quick) {
    std::vector<cache::MotionCacheSettings> levels;
    for (const Trial& t : trials) levels.push_back(t.settings);
    Stage there = stage;
    there.prompts.resize(std::min(stage.prompts.size(), quick ? 1 : PROMPTS));
    for (const Elsewhere& e : elsewhere(calibrated)) {
        there.request = stage.request;
        e.change(there.request);
        const std::vector<double> psnr = psnr_of_levels(there, levels);
        std::string line;
        for (size_t l = 0; l < levels.size(); l++) {
            trials[l].elsewhere = std::min(trials[l].elsewhere, psnr[l]);
            char text[32];
            std::snprintf(text, sizeof text, " %.1f", psnr[l]);
            line += text;
        }
        progress("With %s:%s dB", e.name.c_str(), line.c_str());
        if (quick) break;
    }
}

} // namespace mc::calibrate
