// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/coarse_schedule.h"

namespace mc::cache {
namespace {

// " 0-2 6" of the steps with this action.
std::string steps_with(const CoarseSchedule& schedule, Action action) {
    std::string text;
    const std::vector<Action>& actions = schedule.actions;
    for (size_t first = 0; first < actions.size(); first++) {
        if (actions[first] != action) continue;
        size_t last = first;
        while (last + 1 < actions.size() && actions[last + 1] == action) ++last;
        text += " " + std::to_string(first);
        if (last > first) text += "-" + std::to_string(last);
        first = last;
    }
    return text;
}

} // namespace

CoarseSchedule coarse_schedule(const AnySettings& settings, std::span<const ScheduledStep> steps,
                               bool first_chunk, int branches, int video_chunks) {
    CoarseSchedule schedule;
    schedule.steps = int(steps.size());
    if (steps.empty()) return schedule;
    // The policy itself, on one chunk with one token per frame: without motion the tokens of a frame are alike.
    bool depends_on_motion = false;
    const std::unique_ptr<Policy> policy = make_policy(settings);
    policy->observe([&](const Decision& decision) { depends_on_motion = decision.fine; });
    const int frames = steps.size() > 1 ? int(steps[1].distance.size()) : 1;
    const int others = 1 + (settings.first_frames() - 1) / frames;
    policy->begin_window({others + 1, frames, 1, branches, schedule.steps, schedule.steps, 0, video_chunks});
    for (int step = 0; step < schedule.steps && !depends_on_motion; step++) {
        const ScheduledStep& at = steps[size_t(step)];
        const double next = step + 1 < schedule.steps ? steps[size_t(step) + 1].sigma : 0;
        // Not the first chunk: one that lies behind the first frames.
        const ChunkStep chunk{first_chunk ? 0 : others, step, at.distance, at.sigma, next};
        schedule.actions.push_back(policy->decide(step, 0, {&chunk, 1}).front().action);
    }
    return schedule;
}

std::string text_of(const CoarseSchedule& schedule) {
    std::string text = std::to_string(schedule.steps) + (schedule.steps == 1 ? " step:" : " steps:");
    const char* comma = "";
    const auto add = [&](const char* name, Action action) {
        const std::string steps = steps_with(schedule, action);
        if (steps.empty()) return;
        text += std::string(comma) + " " + name + steps;
        comma = ",";
    };
    add("whole", Action::WHOLE);
    add("partial", Action::PARTIAL);
    add("reused", Action::REUSED);
    const int known = int(schedule.actions.size());
    if (known < schedule.steps) {
        text += "; " + std::to_string(known);
        if (known + 1 < schedule.steps)
            text += "-" + std::to_string(schedule.steps - 1) + " depend on motion";
        else
            text += " depends on motion";
    }
    return text;
}

} // namespace mc::cache
