// SPDX-License-Identifier: LGPL-2.1-or-later
// Every knob out of its range is refused with what it is and what it must be.
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "engine/request/field.h"
#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();

// The settings whose member it is, with this value; those that every cache has: of S.
template <class S = MotionCacheSettings, class M, class V>
S with(M member, V value) {
    S settings;
    settings.*member = value;
    return settings;
}

void refused(const AnySettings& settings, const char* text) {
    CHECK_ERROR(make_policy(settings), MC_ERROR_SETTINGS, text);
}

} // namespace

TEST(settings_out_of_range) {
    for (double bad : {0.0, -0.1, not_a_number, infinite, -infinite}) {
        refused(with(&CommonSettings::threshold, bad), "cache-threshold is ");
        refused(with<TeaCacheSettings>(&CommonSettings::threshold, bad), "cache-threshold is ");
        refused(with<FlowCacheSettings>(&CommonSettings::threshold, bad), "cache-threshold is ");
    }
    refused(with(&MotionCacheSettings::threshold, -0.5),
            "cache-threshold is -0.5 but must be a number above 0; 0.1 is usual.");
    for (double bad : {-0.01, 1.01, not_a_number, infinite}) {
        refused(with(&MotionCacheSettings::weight_floor, bad), "cache-weight-floor is ");
        refused(with(&MotionCacheSettings::min_ratio, bad), "cache-min-ratio is ");
        refused(with(&MotionCacheSettings::vote, bad), "cache-vote is ");
    }
    for (double bad : {-0.01, -0.5, 1.01, not_a_number})
        refused(with(&MotionCacheSettings::first_share, bad), "cache-first-share is ");
    for (double bad : {-0.01, 8.01, not_a_number, infinite})
        refused(with(&MotionCacheSettings::noise_power, bad), "cache-noise-power is ");
    refused(with(&MotionCacheSettings::weight_floor, 2.0),
            "cache-weight-floor is 2 but must lie between 0 and 1; 0.6 is usual.");
    refused(with(&MotionCacheSettings::warmup, -1), "cache-warmup is -1 but must be 0 or more; 4 is usual.");
    refused(with(&MotionCacheSettings::coarse_updates, -1), "cache-coarse-updates is -1");
    refused(with<TeaCacheSettings>(&TeaCacheSettings::forced_first, -1),
            "cache-warmup (the number of forced first evaluations) is -1");
    refused(with<FlowCacheSettings>(&FlowCacheSettings::forced_first, -1),
            "cache-warmup (the number of forced first evaluations) is -1");
    refused(with<TeaCacheSettings>(&TeaCacheSettings::forced_last, -2), "forced last evaluations is -2");
    refused(with<FlowCacheSettings>(&FlowCacheSettings::forced_last, -2), "forced last evaluations is -2");
    refused(with<TeaCacheSettings>(&TeaCacheSettings::counter_period, -1), "period of its counter is -1");
    for (double bad : {not_a_number, infinite, -infinite})
        for (size_t i = 0; i < 5; i++) {
            Polynomial polynomial;
            polynomial.coefficients[i] = bad;
            for (const AnySettings& settings :
                 {AnySettings(with(&CommonSettings::polynomial, polynomial)),
                  AnySettings(with<TeaCacheSettings>(&CommonSettings::polynomial, polynomial)),
                  AnySettings(with<FlowCacheSettings>(&CommonSettings::polynomial, polynomial))})
                refused(settings, "coefficient of the cache's polynomial is ");
        }
}

TEST(settings_at_the_ends_of_their_ranges) {
    const auto usable = [](const AnySettings& least, const AnySettings& most) {
        CHECK(make_policy(least) != nullptr);
        Driver driver(most, {1, 2, 2, 2, 4, 4});
        for (int i = 0; i < 4; i++) CHECK(driver.step(1e300).action == Action::WHOLE);
    };
    constexpr double smallest = std::numeric_limits<double>::min(), greatest = std::numeric_limits<double>::max();
    constexpr int many = std::numeric_limits<int>::max();
    usable({}, {});
    TeaCacheSettings teacache;
    teacache.threshold = smallest, teacache.forced_first = teacache.forced_last = 0;
    TeaCacheSettings most_teacache;
    most_teacache.threshold = greatest;
    most_teacache.forced_first = most_teacache.forced_last = most_teacache.counter_period = many;
    usable(teacache, most_teacache);
    FlowCacheSettings flowcache;
    flowcache.threshold = smallest, flowcache.forced_first = flowcache.forced_last = 0;
    FlowCacheSettings most_flowcache;
    most_flowcache.threshold = greatest, most_flowcache.forced_first = most_flowcache.forced_last = many;
    usable(flowcache, most_flowcache);
    for (double end : {0.0, 1.0}) {
        MotionCacheSettings least;
        least.threshold = smallest;
        least.weight_floor = least.min_ratio = end;
        least.vote = end;
        least.warmup = least.coarse_updates = 0;
        MotionCacheSettings most = least;
        most.vote.reset();
        most.warmup = most.coarse_updates = many;
        most.threshold = greatest;
        usable(least, most);
    }
}

// A request's value for a field that differs from the policy's own, within the field's range.
void set_to_something_else(const Field& field, Fields& values, int attempt) {
    if (const auto* f = std::get_if<ChoiceField>(&field.type)) return f->set(values, attempt);
    if (const auto* f = std::get_if<IntField>(&field.type)) f->at(values) = f->least + attempt;
    if (const auto* f = std::get_if<NumberField>(&field.type)) f->at(values) = f->least + (attempt + 1) / 4.0;
}

TEST(each_setting_that_a_cache_has_is_read_and_no_other) {
    int read = 0;
    for (const Field& field : fields()) {
        const std::string name = field.name;
        if (field.part != Part::CACHE || name == "cache" || name == "cache-preset")
            continue; // which choose the settings
        for (const CacheKind kind : CACHE_KINDS) {
            bool changes = false;
            for (const AnySettings& settings : all_policies())
                for (int attempt = 0; attempt < 2 && settings.kind() == kind; attempt++) {
                    Fields values;
                    set_to_something_else(field, values, attempt);
                    changes |= !(with_request(settings, values.cache) == settings);
                    CHECK_EQ(foreign_setting(values.cache, kind) == nullptr, (field.caches & bit(kind)) != 0);
                }
            if (changes != ((field.caches & bit(kind)) != 0))
                test::fail(__FILE__, __LINE__,
                           name + (changes ? " is read" : " is not read") + " by cache=" + name_of(kind));
            read += changes;
        }
    }
    CHECK(read > 15);
}

TEST(a_setting_of_other_caches_is_refused_by_name) {
    CacheFields request;
    refuse_foreign_setting(request, CacheKind::TEACACHE);
    request.threshold = 0.1;
    refuse_foreign_setting(request, CacheKind::TEACACHE);
    request.vote = 0.5;
    refuse_foreign_setting(request, CacheKind::MOTIONCACHE);
    CHECK_ERROR(refuse_foreign_setting(request, CacheKind::TEACACHE), MC_ERROR_SETTINGS,
                "cache-vote belongs to cache=motioncache, not to cache=teacache: drop it.");
    CHECK_ERROR(
        refuse_foreign_setting(request, CacheKind::NONE), MC_ERROR_SETTINGS,
        "cache-threshold belongs to cache=teacache or cache=flowcache or cache=motioncache, not to cache=none");
}

TEST(motioncache_alone_looks_at_a_prefix) {
    for (const AnySettings& settings : all_policies())
        CHECK_EQ(make_policy(settings)->wants_prefix_motion(),
                 std::holds_alternative<MotionCacheSettings>(settings.policy));
}

TEST(faults_of_a_sampler_are_told) {
    for (const AnySettings& settings : all_policies()) {
        const auto policy = make_policy(settings);
        const auto frames = moved(0.1, 2);
        const auto decide = [&](int row, int branch, ChunkStep chunk) {
            policy->decide(row, branch, {&chunk, 1});
        };
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 0, {}}), MC_ERROR_INTERNAL, "beyond its window");
        CHECK_ERROR(policy->begin_window({0, 2, 2, 2, 4, 4}), MC_ERROR_INTERNAL, "empty window");
        CHECK_ERROR(policy->begin_window({1, 2, 2, 2, 4, 0}), MC_ERROR_INTERNAL, "empty window");
        policy->begin_window({2, 2, 3, 2, 4, 6});
        CHECK_ERROR(decide(6, 0, ChunkStep{0, 0, {}}), MC_ERROR_INTERNAL, "row 6, branch 0 beyond");
        CHECK_ERROR(decide(0, 2, ChunkStep{0, 0, {}}), MC_ERROR_INTERNAL, "row 0, branch 2 beyond");
        CHECK_ERROR(decide(0, 0, ChunkStep{2, 0, {}}), MC_ERROR_INTERNAL, "step 0 of chunk 2");
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 4, frames}), MC_ERROR_INTERNAL, "step 4 of chunk 0");
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 1, {}}), MC_ERROR_INTERNAL, "0 distances for a chunk of 2");
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 0, frames}), MC_ERROR_INTERNAL, "2 distances");
        decide(0, 0, ChunkStep{0, 0, {}});
        if (settings.kind() != CacheKind::MOTIONCACHE) continue;
        const std::vector<float> change(5);
        CHECK_ERROR(policy->motion(0, 0, change, false), MC_ERROR_INTERNAL,
                    "5 changes for a chunk of 6 tokens");
        CHECK_ERROR(policy->wants_motion(2, 0), MC_ERROR_INTERNAL, "branch 2, chunk 0");
        CHECK_ERROR(policy->weights(0, -1), MC_ERROR_INTERNAL, "branch 0, chunk -1");
    }
}
