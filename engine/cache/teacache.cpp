// SPDX-License-Identifier: LGPL-2.1-or-later
// TeaCache: one decision for a row, for all chunks that take a step in it (docs/algorithms.md#teacache).
#include "engine/cache/policies.h"
#include "engine/cache/relative_distance.h"

namespace mc::cache {
namespace {

class TeaCache final : public WindowPolicy {
  public:
    explicit TeaCache(const TeaCacheSettings& settings) : settings_(settings) {}

  private:
    bool compares_starting() const override { return settings_.by_place; }
    void forget() override { sums_.assign(size_t(shape_.branches), 0); }

    // The official code counts forwards, not rows, and tells the branches apart by whether the count is odd.
    // Here each branch keeps its own state.
    bool is_forced(int row, int branch) const {
        const int64_t branches = shape_.branches;
        int64_t forwards = row * branches + branch;
        if (settings_.counter_period > 0) forwards %= settings_.counter_period;
        return forwards < settings_.forced_first * branches ||
               forwards >= (int64_t(shape_.rows) - settings_.forced_last) * branches;
    }

    std::vector<Plan> plan(int row, int branch, std::span<const ChunkStep> chunks) override {
        // A chunk that starts has no embedding to compare with and nothing to reuse: it is computed and takes
        // no part in the decision about the others.
        RelativeDistance moved;
        for (const ChunkStep& chunk : chunks) moved.add(chunk.distance);

        double& sum = sums_[size_t(branch)];
        const bool forced = is_forced(row, branch);
        bool compute = forced;
        double distance = NOT_TAKEN, accumulated = NOT_TAKEN;
        if (forced) {
            sum = 0;
        } else if (!moved.empty()) {
            distance = settings_.polynomial(moved.value());
            accumulated = sum += distance;
            compute = !(sum < settings_.threshold) || // also when it is NaN
                      (settings_.whole_when_chunk_starts && any_starts(chunks));
            if (compute) sum = 0;
        }

        std::vector<Plan> plans;
        for (const ChunkStep& chunk : chunks) {
            const bool starts = chunk.distance.empty();
            plans.push_back({compute || starts ? Action::WHOLE : Action::REUSED, {}});
            report_chunk(row, branch, chunk, compute || starts, forced || starts, starts ? NOT_TAKEN : distance,
                         starts ? NOT_TAKEN : accumulated);
        }
        return plans;
    }

    const TeaCacheSettings settings_;
    std::vector<double> sums_; // [branch]
};

} // namespace

void read(const CacheFields& request, TeaCacheSettings& settings) {
    read_common(request, settings);
    if (request.warmup) settings.forced_first = *request.warmup;
}

void check(const TeaCacheSettings& settings) {
    check_common(settings);
    check_count("cache-warmup (the number of forced first evaluations)", settings.forced_first, "5");
    check_count("The cache's number of forced last evaluations", settings.forced_last, "1");
    check_count("The cache's period of its counter", settings.counter_period, "0");
}

std::unique_ptr<Policy> make(const TeaCacheSettings& settings) {
    return std::make_unique<TeaCache>(settings);
}

} // namespace mc::cache
