// SPDX-License-Identifier: LGPL-2.1-or-later
// Which cache a request for MAGI-1 gets.
#include "engine/families/magi1/published_caches.h"

#include "engine/error.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::magi1;

namespace {

CacheFields of(CacheKind kind) {
    CacheFields r;
    r.kind = kind;
    return r;
}

} // namespace

TEST(a_cache_runs_unasked_where_it_was_published) {
    CHECK(choose_cache({}, 1, true).kind() == CacheKind::MOTIONCACHE);
    CHECK(choose_cache({}, 1, false).kind() == CacheKind::NONE);
    CHECK(choose_cache({}, 3, true).kind() == CacheKind::NONE);
    CHECK(choose_cache(of(CacheKind::NONE), 1, true).kind() == CacheKind::NONE);
    CHECK(std::get<cache::MotionCacheByStepsSettings>(choose_cache({}, 1, true).policy) ==
          published_motioncache());
}

TEST(settings_of_the_request_replace_those_published) {
    CacheFields r = of(CacheKind::MOTIONCACHE);
    r.threshold = 0.02, r.warmup = 3, r.weight_floor = 0.2, r.vote = 0.5, r.reuse = CacheReuse::SOLVER;
    r.distance = CacheDistance::TOKEN;
    const auto s = std::get<cache::MotionCacheByStepsSettings>(choose_cache(r, 1, false).policy);
    CHECK(s.threshold == 0.02 && s.token_threshold == 0.02 && s.warmup == 3 && s.weight_floor == 0.2 &&
          s.vote == 0.5);
    CHECK(s.reuse == CacheReuse::SOLVER && s.distance == CacheDistance::TOKEN && s.coarse_steps == 20);
    r.vote = -2;
    CHECK(!std::get<cache::MotionCacheByStepsSettings>(choose_cache(r, 1, false).policy).vote);

    r = of(CacheKind::FLOWCACHE);
    CHECK(std::get<cache::FlowCacheSettings>(choose_cache(r, 1, false).policy) == published_flowcache());
    r.warmup = 2;
    CHECK_EQ(std::get<cache::FlowCacheSettings>(choose_cache(r, 1, false).policy).forced_first, 2);
    r = of(CacheKind::TEACACHE);
    r.threshold = 0.5;
    const auto tea = std::get<cache::TeaCacheSettings>(choose_cache(r, 1, false).policy);
    CHECK(tea.threshold == 0.5 && tea.forced_last == 1 && !tea.whole_when_chunk_starts && !tea.by_place);
}

TEST(what_does_not_go_together_is_refused) {
    const auto refused = [](const CacheFields& r, int branches, const char* words) {
        CHECK_ERROR(choose_cache(r, branches, false), MC_ERROR_SETTINGS, words);
    };
    for (CacheKind kind : {CacheKind::TEACACHE, CacheKind::FLOWCACHE, CacheKind::MOTIONCACHE})
        refused(of(kind), 3, "computes one branch: this model computes 3, so set cache=none");
    CacheFields r;
    r.threshold = 0.1;
    refused(r, 1, "cache-threshold is set but nothing is cached: choose a cache, or drop it");
    r = of(CacheKind::NONE);
    r.warmup = 1;
    refused(r, 1, "cache-warmup is set but nothing is cached: drop it");
    r = of(CacheKind::FLOWCACHE);
    r.weight_floor = 0.5;
    refused(r, 1, "cache-weight-floor belongs to cache=motioncache");
    r = of(CacheKind::MOTIONCACHE);
    r.preset = CachePreset::QUALITY;
    refused(r, 1, "cache-preset=quality is not known for MAGI-1");
    r.preset = CachePreset::BALANCED;
    r.threshold = -1;
    refused(r, 1, "cache-threshold");
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
