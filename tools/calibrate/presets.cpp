// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/presets.h"

#include <algorithm>
#include <cmath>

namespace mc::calibrate {
namespace {

bool reaches(const Trial& trial, const Goal& goal) {
    return trial.psnr - trial.error >= goal.psnr && trial.ssim >= goal.ssim;
}

// Levels by falling share of computed tokens, of which each is faster than all before it. All of them where
// the clock is too uneven for three to be left.
std::vector<Trial> rising(std::span<const Trial> trials, bool& rises) {
    std::vector<Trial> all(trials.begin(), trials.end()), kept;
    std::stable_sort(all.begin(), all.end(),
                     [](const Trial& a, const Trial& b) { return a.share > b.share; });
    for (const Trial& t : all)
        if (kept.empty() || t.speedup > kept.back().speedup) kept.push_back(t);
    rises = kept.size() >= GOALS.size();
    return rises ? kept : all;
}

// The level for a goal that none in [first, last) reaches: nearest in share.
size_t nearest(const std::vector<Trial>& levels, size_t first, size_t last, double share) {
    auto cost = [&](size_t i) { return std::fabs(std::log(levels[i].share / share)); };
    size_t best = first;
    for (size_t i = first; i < last; i++)
        if (cost(i) < cost(best)) best = i;
    return best;
}

} // namespace

Choice choose_presets(std::span<const Trial> trials) {
    Choice choice;
    bool rises = true;
    const std::vector<Trial> levels = rising(trials, rises);
    if (!rises)
        choice.notes.push_back(
            "The speed-ups do not rise as less is computed: the machine was busy, or the videos are "
            "too small to be timed. Calibrate again for speed-ups that mean something.");
    // From the fastest preset on: each leaves a range for the slower ones.
    size_t end = levels.size();
    for (size_t g = GOALS.size(); g-- > 0;) {
        const Goal& goal = GOALS[g];
        size_t level = end;
        for (size_t i = g; i < end; i++)
            if (reaches(levels[i], goal)) level = i; // the fastest one
        if (level == end) {
            level = nearest(levels, g, end, goal.share);
            choice.notes.insert(choice.notes.begin(),
                                std::string("No settings reach the goal of ") + goal.name +
                                    " on this model; it computes about " +
                                    std::to_string(int(std::lround(100 * levels[level].share))) +
                                    " % of the tokens instead.");
        }
        choice.presets[g] = levels[level];
        end = level;
    }
    return choice;
}

} // namespace mc::calibrate
