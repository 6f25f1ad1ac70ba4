// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Settings of the cache that change while a video is made: chunks keep the policy that they began with, and those that
// begin later get another one, with nothing of the first in it. So any setting may change, and the policy itself.
#include <algorithm>
#include <vector>

#include "engine/cache/policy.h"
#include "engine/request/changes.h"

namespace mc::cache {

class ChangingPolicy final : public Policy {
  public:
    explicit ChangingPolicy(const AnySettings& settings);
    // From this chunk on, none of which has begun. Decided about apart from those before, also by a policy that decides
    // about rows: the next row is the first of its window. Throws MC_ERROR_SETTINGS as make_policy.
    void change(int chunk, const AnySettings& settings);

    void begin_window(const WindowShape& shape) override; // with the newest settings
    void extend_window(int rows) override;
    std::vector<Plan> decide(int row, int branch, std::span<const ChunkStep> chunks) override;
    bool wants_token_distances(int chunk) const override { return of(chunk).wants_token_distances(chunk); }
    bool wants_motion(int branch, int chunk) const override { return of(chunk).wants_motion(branch, chunk); }
    // Of any: the first chunk that is generated may have a newer one.
    bool wants_prefix_motion() const override {
        return std::ranges::any_of(parts_, [](const Part& part) { return part.policy->wants_prefix_motion(); });
    }
    void motion(int branch, int chunk, std::span<const float> change, bool has_previous) override {
        of(chunk).motion(branch, chunk, change, has_previous);
    }
    std::span<const float> weights(int branch, int chunk) const override {
        return of(chunk).weights(branch, chunk);
    }
    void finished(int chunk) override;
    size_t parts() const { return parts_.size(); } // policies that chunks may still ask

  private:
    struct Part {
        int chunk, row; // the first of each
        std::unique_ptr<Policy> policy;
    };
    Part begun(int chunk, int row, std::unique_ptr<Policy> policy);
    Policy& of(int chunk) const;

    std::vector<Part> parts_; // by rising chunks, at least one; the last has the newest settings
    WindowShape shape_{};
    int next_row_ = 0;
};

// What chunks are made with from such a change on.
inline void set_cache(MadeWith& made_with, const AnySettings& settings) {
    made_with.cache = settings.kind();
    made_with.cache_threshold = settings.kind() == CacheKind::NONE ? 0 : settings.common().threshold;
}

} // namespace mc::cache
