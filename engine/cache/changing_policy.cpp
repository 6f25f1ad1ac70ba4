// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/changing_policy.h"

#include <algorithm>
#include <utility>

namespace mc::cache {

ChangingPolicy::ChangingPolicy(const AnySettings& settings) {
    parts_.push_back({0, 0, make_policy(settings)});
}

// The part's rows are counted from its first one.
ChangingPolicy::Part ChangingPolicy::begun(int chunk, int row, std::unique_ptr<Policy> policy) {
    policy->observe([this, row](const Decision& decision) {
        if (!observer_) return;
        Decision told = decision;
        told.row += row;
        observer_(told);
    });
    WindowShape shape = shape_;
    if (shape.rows != UNLIMITED) shape.rows -= row;
    policy->begin_window(shape);
    return {chunk, row, std::move(policy)};
}

void ChangingPolicy::begin_window(const WindowShape& shape) {
    shape_ = shape;
    next_row_ = 0;
    Part newest = begun(0, 0, std::move(parts_.back().policy));
    parts_.clear();
    parts_.push_back(std::move(newest));
}

void ChangingPolicy::extend_window(int rows) {
    shape_.rows = rows;
    for (Part& part : parts_) part.policy->extend_window(rows - part.row);
}

void ChangingPolicy::change(int chunk, const AnySettings& settings) {
    std::unique_ptr<Policy> policy = make_policy(settings);
    const bool in_window = next_row_ < shape_.rows;
    Part next = in_window ? begun(chunk, next_row_, std::move(policy)) : Part{0, 0, std::move(policy)};
    const auto later = [&](const Part& part) { return part.chunk >= next.chunk; };
    std::erase_if(parts_, later); // none of their chunks has begun
    parts_.push_back(std::move(next));
}

Policy& ChangingPolicy::of(int chunk) const {
    const auto after = std::upper_bound(parts_.begin() + 1, parts_.end(), chunk,
                                        [](int wanted, const Part& part) { return wanted < part.chunk; });
    return *(after - 1)->policy;
}

std::vector<Plan> ChangingPolicy::decide(int row, int branch, std::span<const ChunkStep> chunks) {
    next_row_ = row + 1;
    std::vector<Plan> plans;
    for (size_t i = 0; i < parts_.size() && !chunks.empty(); i++) {
        const int end = i + 1 < parts_.size() ? parts_[i + 1].chunk : UNLIMITED;
        const auto mine = [&](const ChunkStep& step) { return step.chunk < end; };
        const size_t count = size_t(std::find_if_not(chunks.begin(), chunks.end(), mine) - chunks.begin());
        if (!count) continue;
        for (Plan& plan : parts_[i].policy->decide(row - parts_[i].row, branch, chunks.first(count)))
            plans.push_back(std::move(plan));
        chunks = chunks.subspan(count);
    }
    return plans;
}

void ChangingPolicy::finished(int chunk) {
    of(chunk).finished(chunk);
    while (parts_.size() > 1 && parts_[1].chunk <= chunk + 1) parts_.erase(parts_.begin());
}

} // namespace mc::cache
