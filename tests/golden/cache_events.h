// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a cache decided and what became of it, in the words of the golden format ("events", "decisions", "ev.*",
// "upd.*", "new_weights.*").
#include <map>
#include <tuple>

#include "engine/cache/policy.h"
#include "engine/families/skyreels_v2/diffusion_forcing.h"
#include "tests/golden/compare.h"

namespace mc::golden {

class CacheEvents {
  public:
    explicit CacheEvents(const CaseFile& file) : file_(file) {}
    void decided(const cache::Decision& decision);    // before the turns of its row and branch
    void took(int window, const sampler::Turn& turn); // in the order of execution
    void fill(Produced& produced) const;

  private:
    struct Kept { // a decision with its own copies
        cache::Decision decision;
        std::vector<float> weights, distance, before, after;
        std::vector<uint8_t> due, voted, computed;
    };
    Json event_of(int window, const sampler::Turn& turn, int64_t tokens, const Kept* kept) const;
    Json teacache_decision_of(const sampler::Turn& turn, const Kept& kept) const;

    const CaseFile& file_;
    std::map<std::tuple<int, int, int>, Kept> decisions_; // of the row at hand: row, branch, chunk
    Json events_ = Json::array(), teacache_ = Json::array();
    std::vector<at::Tensor> velocities_;
    std::map<std::string, std::vector<at::Tensor>> updates_, new_weights_;
};

} // namespace mc::golden
