// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <string>

#include "engine/cache/policies.h"
#include "engine/error.h"

namespace mc::cache {

bool Policy::wants_motion(int, int) const {
    return false;
}
void Policy::motion(int, int, std::span<const float>, bool) {}
std::span<const float> Policy::weights(int, int) const {
    return {};
}

bool WindowPolicy::any_starts(std::span<const ChunkStep> chunks) {
    return std::any_of(chunks.begin(), chunks.end(), [](const ChunkStep& chunk) { return chunk.step == 0; });
}

void WindowPolicy::fault(const std::string& what) {
    throw Error(MC_ERROR_INTERNAL, "The sampler gave the cache " + what + "; please report this.");
}

size_t WindowPolicy::state_of(int branch, int chunk) const {
    if (branch < 0 || branch >= shape_.branches || chunk < 0 || chunk >= shape_.chunks)
        fault("branch " + std::to_string(branch) + ", chunk " + std::to_string(chunk) + " beyond its window");
    return size_t(branch) * size_t(shape_.chunks) + size_t(chunk);
}

void WindowPolicy::begin_window(const WindowShape& shape) {
    if (shape.chunks < 1 || shape.chunk_frames < 1 || shape.frame_tokens < 1 || shape.branches < 1 ||
        shape.steps < 1 || shape.rows < 1)
        fault("an empty window");
    shape_ = shape;
    forget();
}

std::vector<Plan> WindowPolicy::decide(int row, int branch, std::span<const ChunkStep> chunks) {
    if (row < 0 || row >= shape_.rows || branch < 0 || branch >= shape_.branches)
        fault("row " + std::to_string(row) + ", branch " + std::to_string(branch) + " beyond its window");
    for (const ChunkStep& chunk : chunks) {
        if (chunk.chunk < 0 || chunk.chunk >= shape_.chunks || chunk.step < 0 || chunk.step >= shape_.steps)
            fault("step " + std::to_string(chunk.step) + " of chunk " + std::to_string(chunk.chunk) +
                  " beyond its window");
        const size_t parts = chunk.distance.size();
        const bool known = chunk.step > 0 || compares_starting();
        if (known ? parts != 1 && parts != size_t(shape_.chunk_frames) && parts != chunk_tokens() &&
                        (parts || chunk.step)
                  : parts > 0)
            fault(std::to_string(chunk.distance.size()) + " distances for a chunk of " +
                  std::to_string(shape_.chunk_frames) + " latent frames");
    }
    return plan(row, branch, chunks);
}

Decision WindowPolicy::decision_of(int row, int branch, const ChunkStep& chunk) {
    Decision decision{};
    decision.row = row;
    decision.branch = branch;
    decision.chunk = chunk.chunk;
    decision.step = chunk.step;
    decision.kind = Decision::Kind::WHOLE;
    decision.distance = decision.accumulated = NOT_TAKEN;
    return decision;
}

Plan WindowPolicy::plan_of(std::span<const uint8_t> computed, Decision& decision) {
    const auto count = std::count(computed.begin(), computed.end(), 1);
    Plan plan;
    if (count == std::ssize(computed)) {
        decision.kind = Decision::Kind::WHOLE;
    } else if (count == 0) {
        decision.kind = Decision::Kind::REUSED;
        plan.action = Action::REUSED;
    } else {
        decision.kind = Decision::Kind::PARTIAL;
        plan.action = Action::PARTIAL;
        for (size_t t = 0; t < computed.size(); t++)
            if (computed[t]) plan.tokens.push_back(int32_t(t));
    }
    return plan;
}

void WindowPolicy::check_change(std::span<const float> change) const {
    if (change.size() != chunk_tokens())
        fault(std::to_string(change.size()) + " changes for a chunk of " + std::to_string(chunk_tokens()) + " tokens");
}

void WindowPolicy::report_chunk(int row, int branch, const ChunkStep& chunk, bool computed, bool forced,
                                double distance, double accumulated) const {
    Decision decision = decision_of(row, branch, chunk);
    decision.kind = computed ? Decision::Kind::WHOLE : Decision::Kind::REUSED;
    decision.forced = forced;
    decision.distance = distance;
    decision.accumulated = accumulated;
    report(decision);
}

} // namespace mc::cache
