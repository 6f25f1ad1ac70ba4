// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/cache_settings.h"

#include "engine/error.h"

namespace mc::golden {
namespace {

using cache::AnySettings;

bool given(const Json& settings, const char* name) {
    return settings.contains(name) && !settings[name].is_null();
}

[[noreturn]] void refuse(const std::string& what) {
    throw Error(MC_ERROR_READ, what + " has no place in the cache's settings; correct the case.");
}

CacheWeights weights_of(const std::string& mode) {
    if (mode == "mean") return CacheWeights::MEAN;
    if (mode == "max") return CacheWeights::MAX;
    if (mode == "max_rescale") return CacheWeights::MAX_RESCALE;
    refuse("weight_norm_mode \"" + mode + "\"");
}

cache::MotionCacheSettings motioncache_of(const Json& c) {
    cache::MotionCacheSettings settings;
    settings.threshold = c.at("threshold");
    settings.polynomial.coefficients = c.at("coefficients");
    settings.warmup = c.at("warmup_steps");
    settings.coarse_updates = c.at("phase1_update_count");
    const std::string distance = c.at("distance_mode");
    if (distance != "global" && distance != "token") refuse("distance_mode \"" + distance + "\"");
    settings.distance = distance == "global" ? CacheDistance::GLOBAL : CacheDistance::TOKEN;
    settings.weights = weights_of(c.at("weight_norm_mode"));
    if (given(c, "weight_floor")) settings.weight_floor = c["weight_floor"];
    settings.vote.reset();
    if (given(c, "temporal_consistency_threshold"))
        settings.vote = c["temporal_consistency_threshold"].get<double>();
    settings.min_ratio = c.at("min_update_ratio");
    return settings;
}

cache::TeaCacheSettings teacache_of(const Json& c, int rows, int branches) {
    // A number of forwards that is no whole number of rows would treat the branches of a row differently.
    const auto in_rows = [&](const char* name) {
        const int forwards = c.at(name);
        if (forwards % branches) refuse(std::string(name) + " " + std::to_string(forwards));
        return forwards / branches;
    };
    cache::TeaCacheSettings settings;
    settings.threshold = c.at("threshold");
    settings.polynomial.coefficients = c.at("coefficients");
    settings.embedding =
        c.at("input").get<std::string>().starts_with("e0") ? cache::Embedding::E0 : cache::Embedding::E;
    settings.forced_first = in_rows("ret_steps");
    settings.forced_last = rows - in_rows("cutoff_steps");
    settings.counter_period = c.at("counter_period");
    return settings;
}

} // namespace

AnySettings cache_settings_of(const Json& settings) {
    if (given(settings, "token_cache")) return motioncache_of(settings["token_cache"]);
    if (given(settings, "teacache"))
        return teacache_of(settings["teacache"], settings.at("rows"),
                           settings.at("guidance_scale").get<double>() == 1 ? 1 : 2);
    return {};
}

} // namespace mc::golden
