// SPDX-License-Identifier: LGPL-2.1-or-later
// FlowCache: each chunk has a sum of its own (docs/algorithms.md#flowcache).
#include <map>

#include "engine/cache/policies.h"
#include "engine/cache/relative_distance.h"

namespace mc::cache {
namespace {

class FlowCache final : public WindowPolicy {
  public:
    explicit FlowCache(const FlowCacheSettings& settings) : settings_(settings) {}

    void finished(int chunk) override {
        for (int branch = 0; branch < shape_.branches; branch++) sums_.erase(state_of(branch, chunk));
    }

  private:
    void forget() override { sums_.clear(); }

    bool is_forced(int step) const {
        return step == 0 || step < settings_.forced_first || step >= shape_.steps - settings_.forced_last;
    }

    std::vector<Plan> plan(int row, int branch, std::span<const ChunkStep> chunks) override {
        const bool end = settings_.whole_ends && is_end(row);
        const bool whole = settings_.whole_when_chunk_starts && any_starts(chunks);
        std::vector<Plan> plans;
        for (const ChunkStep& chunk : chunks) {
            double& sum = sums_[state_of(branch, chunk.chunk)];
            const bool forced = is_forced(chunk.step) || end || whole;
            bool compute = forced;
            double distance = NOT_TAKEN, accumulated = NOT_TAKEN;
            if (!forced) {
                RelativeDistance moved;
                moved.add(chunk.distance);
                distance = settings_.polynomial(moved.value());
                accumulated = sum += distance;
                compute = !(sum < settings_.threshold); // also when it is NaN
            }
            if (compute && !end) sum = 0;
            plans.push_back({compute ? Action::WHOLE : Action::REUSED, {}});
            report_chunk(row, branch, chunk, compute, forced, distance, accumulated);
        }
        return plans;
    }

    const FlowCacheSettings settings_;
    std::map<size_t, double> sums_; // by branch and chunk
};

} // namespace

void read(const CacheFields& request, FlowCacheSettings& settings) {
    read_common(request, settings);
    if (request.warmup) settings.forced_first = *request.warmup;
}

void check(const FlowCacheSettings& settings) {
    check_common(settings);
    check_count("cache-warmup (the number of forced first evaluations)", settings.forced_first, "5");
    check_count("The cache's number of forced last evaluations", settings.forced_last, "1");
}

std::unique_ptr<Policy> make(const FlowCacheSettings& settings) {
    return std::make_unique<FlowCache>(settings);
}

} // namespace mc::cache
