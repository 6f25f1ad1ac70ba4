// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/no_cache.h"

#include "engine/cache/policies.h"

namespace mc::cache {
namespace {

class ComputeAll final : public WindowPolicy {
    void forget() override {}
    std::vector<Plan> plan(int row, int branch, std::span<const ChunkStep> chunks) override {
        for (const ChunkStep& chunk : chunks) report_chunk(row, branch, chunk, true, true);
        return std::vector<Plan>(chunks.size());
    }
};

} // namespace

void read(const CacheFields&, NoCache&) {}
void check(const NoCache&) {}
std::unique_ptr<Policy> make(const NoCache&) {
    return std::make_unique<ComputeAll>();
}

} // namespace mc::cache
