// SPDX-License-Identifier: LGPL-2.1-or-later
// From what a request says about caching to a policy's settings: what is chosen where nothing is said, what a
// setting changes, and what cannot work.
#include <functional>

#include "engine/error.h"
#include "engine/families/skyreels_v2/cache_choice.h"
#include "engine/families/skyreels_v2/published_caches.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::skyreels_v2;
using cache::AnySettings;
using cache::MotionCacheSettings;

namespace {

// Of a model that nobody has published anything about, and of the published 1.3B.
model::TransformerConfig unknown_model() {
    model::TransformerConfig c{};
    c.width = 192, c.heads = 4, c.ffn = 768, c.layers = 8, c.in_channels = 16, c.fps_embedding = true;
    return c;
}
model::TransformerConfig published_model() {
    model::TransformerConfig c = unknown_model();
    c.width = 1536, c.heads = 12, c.ffn = 8960, c.layers = 30;
    return c;
}

// No setting of a preset has its default, so that one which gets lost shows.
model::Calibration calibration() {
    model::Calibration c;
    c.polynomial.coefficients = {0, 0, 0.5, 1.25, 0.01};
    double threshold = 0;
    for (model::CalibratedPreset* preset : {&c.quality, &c.balanced, &c.fast}) {
        MotionCacheSettings& s = preset->settings;
        s.polynomial = c.polynomial;
        s.threshold = threshold += 0.07;
        s.warmup = 3, s.coarse_updates = 2, s.weight_floor = 0.3, s.distance = CacheDistance::TOKEN;
        s.vote = 0.25, s.min_ratio = 0.2, s.first_share = 0.5, s.noise_power = 1,
        s.reuse = CacheReuse::TAYLOR;
    }
    return c;
}

AnySettings choose(const CacheFields& request, Attention attention = Attention::KV, bool calibrated = true,
                   const model::TransformerConfig& config = unknown_model()) {
    const model::Calibration c = calibration();
    return choose_cache(request, attention, calibrated ? &c : nullptr,
                        model::skyreels_v2::published_caches(config));
}
void refused(const CacheFields& request, const std::string& text, Attention attention = Attention::KV,
             bool calibrated = true) {
    CHECK_ERROR(choose(request, attention, calibrated), MC_ERROR_SETTINGS, text);
}

CacheFields asking(CacheKind kind) {
    CacheFields r;
    r.kind = kind;
    return r;
}
CacheFields asking(CachePreset preset) {
    CacheFields r;
    r.preset = preset;
    return r;
}

// Each setting: its name, how a request sets it, and what of the settings it is.
struct Knob {
    const char* name;
    bool motioncache_only;
    std::function<void(CacheFields&)> set;
    std::function<void(MotionCacheSettings&)> expected;
};
const std::vector<Knob>& knobs() {
    static const std::vector<Knob> list = {
        {"cache-threshold", false, [](CacheFields& r) { r.threshold = 0.9; },
         [](MotionCacheSettings& s) { s.threshold = 0.9; }},
        {"cache-warmup", false, [](CacheFields& r) { r.warmup = 7; },
         [](MotionCacheSettings& s) { s.warmup = 7; }},
        {"cache-reuse", false, [](CacheFields& r) { r.reuse = CacheReuse::REPEAT; },
         [](MotionCacheSettings& s) { s.reuse = CacheReuse::REPEAT; }},
        {"cache-coarse-updates", true, [](CacheFields& r) { r.coarse_updates = 9; },
         [](MotionCacheSettings& s) { s.coarse_updates = 9; }},
        {"cache-weights", true, [](CacheFields& r) { r.weights = CacheWeights::MEAN; },
         [](MotionCacheSettings& s) { s.weights = CacheWeights::MEAN; }},
        {"cache-weight-floor", true, [](CacheFields& r) { r.weight_floor = 0.8; },
         [](MotionCacheSettings& s) { s.weight_floor = 0.8; }},
        {"cache-distance", true, [](CacheFields& r) { r.distance = CacheDistance::GLOBAL; },
         [](MotionCacheSettings& s) { s.distance = CacheDistance::GLOBAL; }},
        {"cache-vote", true, [](CacheFields& r) { r.vote = 0.75; },
         [](MotionCacheSettings& s) { s.vote = 0.75; }},
        {"cache-min-ratio", true, [](CacheFields& r) { r.min_ratio = 0; },
         [](MotionCacheSettings& s) { s.min_ratio = 0; }},
        {"cache-first-share", true, [](CacheFields& r) { r.first_share = 0.9; },
         [](MotionCacheSettings& s) { s.first_share = 0.9; }},
        {"cache-noise-power", true, [](CacheFields& r) { r.noise_power = 3; },
         [](MotionCacheSettings& s) { s.noise_power = 3; }},
    };
    return list;
}

} // namespace

TEST(auto_caches_where_something_is_known) {
    CHECK(choose({}) == calibration().balanced.settings);
    CHECK(choose({}, Attention::KV, true, published_model()) ==
          calibration().balanced.settings); // ours before theirs
    CHECK(choose({}, Attention::KV, false, published_model()) ==
          model::skyreels_v2::published_caches(published_model())->motioncache_slow.settings);
    CHECK(choose({}, Attention::KV, false) == AnySettings{});
    for (Attention whole : {Attention::FULL, Attention::CAUSAL})
        for (const auto& config : {unknown_model(), published_model()})
            CHECK(choose({}, whole, true, config) == AnySettings{});
    CHECK(choose(asking(CacheKind::NONE)) == AnySettings{});
}

// A setting by itself asks for MotionCache, where the attention allows it.
TEST(a_threshold_or_custom_begins_with_nothing_known) {
    CacheFields r;
    r.threshold = 0.4;
    MotionCacheSettings expected;
    CHECK(choose(asking(CachePreset::CUSTOM), Attention::KV, false) == expected);
    expected.threshold = 0.4;
    CHECK(choose(r, Attention::KV, false) == expected);
    r.kind = CacheKind::MOTIONCACHE;
    CHECK(choose(r, Attention::KV, false) == expected);
}

TEST(presets_are_the_calibrated_ones) {
    CHECK(choose(asking(CachePreset::QUALITY)) == calibration().quality.settings);
    CHECK(choose(asking(CachePreset::BALANCED)) == calibration().balanced.settings);
    CHECK(choose(asking(CachePreset::FAST)) == calibration().fast.settings);
    MotionCacheSettings custom; // the published run's settings with the model's polynomial
    custom.polynomial = calibration().polynomial;
    CHECK(choose(asking(CachePreset::CUSTOM)) == custom);
}

TEST(published_settings_by_what_the_model_is) {
    const auto* published = model::skyreels_v2::published_caches(published_model());
    const auto of = [&](const CacheFields& r, Attention attention = Attention::KV) {
        return choose(r, attention, false, published_model());
    };
    for (CachePreset slow : {CachePreset::QUALITY, CachePreset::BALANCED, CachePreset::CUSTOM})
        CHECK(of(asking(slow)) == published->motioncache_slow.settings);
    CHECK(of(asking(CachePreset::FAST)) == published->motioncache_fast.settings);
    CHECK(of(asking(CacheKind::FLOWCACHE)) == published->flowcache_slow.settings);
    for (Attention any : {Attention::FULL, Attention::CAUSAL, Attention::KV})
        CHECK(of(asking(CacheKind::TEACACHE), any) == published->teacache_retention.settings);
    // One layer more is another model.
    model::TransformerConfig other = published_model();
    other.layers++;
    CHECK(choose({}, Attention::KV, false, other) == AnySettings{});
}

TEST(a_setting_changes_the_preset_and_nothing_else) {
    for (CachePreset preset : {CachePreset::QUALITY, CachePreset::FAST})
        for (const Knob& knob : knobs()) {
            CacheFields r = asking(preset);
            knob.set(r);
            const model::Calibration c = calibration();
            MotionCacheSettings expected = preset == CachePreset::FAST ? c.fast.settings : c.quality.settings;
            CHECK(choose(asking(preset)) == expected);
            knob.expected(expected);
            if (!(choose(r) == expected))
                test::fail(__FILE__, __LINE__, std::string(knob.name) + " changes something else");
            CHECK(!(choose(r) == choose(asking(preset))));
        }
    CacheFields r;
    r.vote = cache::NO_VOTE;
    MotionCacheSettings expected = calibration().balanced.settings;
    expected.vote.reset();
    CHECK(choose(r) == expected);
}

// The other caches have a polynomial, a threshold and evaluations that are computed at first.
template <class S>
static void settings_of_a_whole_chunk_cache() {
    const CacheKind kind = S::KIND;
    S expected;
    expected.threshold = kind == CacheKind::TEACACHE ? 0.2 : 0.1;
    CHECK(choose(asking(kind), Attention::KV, false) == expected);
    expected.polynomial = calibration().polynomial;
    CHECK(choose(asking(kind)) == expected);
    CacheFields r = asking(kind);
    r.threshold = expected.threshold = 0.6;
    r.warmup = expected.forced_first = 2; // and not MotionCache's own
    r.reuse = expected.reuse = CacheReuse::TAYLOR;
    CHECK(choose(r) == expected);
}
TEST(settings_of_the_other_caches) {
    settings_of_a_whole_chunk_cache<cache::TeaCacheSettings>();
    settings_of_a_whole_chunk_cache<cache::FlowCacheSettings>();
}

TEST(a_cache_setting_without_a_cache_is_refused) {
    auto all = knobs();
    all.push_back({"cache-preset", true, [](CacheFields& r) { r.preset = CachePreset::FAST; }, {}});
    for (const Knob& knob : all) {
        CacheFields r = asking(CacheKind::NONE);
        knob.set(r);
        refused(r, std::string(knob.name) +
                       " is set but nothing is cached: drop it, or choose another cache than none.");
        r.kind.reset();
        for (Attention whole : {Attention::FULL, Attention::CAUSAL})
            refused(r, std::string(knob.name) + " is set but nothing is cached: set attention=kv", whole);
        if (!r.threshold) // which makes a cache of its own
            refused(r, std::string(knob.name) + " is set but nothing is cached: nothing is known",
                    Attention::KV, false);
    }
}

TEST(caches_that_the_attention_cannot_serve_are_refused) {
    for (CacheKind kind : CACHE_KINDS) {
        if (kind == CacheKind::NONE || kind == CacheKind::TEACACHE) continue;
        const std::string name = std::string("cache=") + name_of(kind);
        refused(asking(kind), name + " works chunk by chunk and needs attention=kv (it is full)",
                Attention::FULL);
        refused(asking(kind), name + " works chunk by chunk and needs attention=kv (it is causal)",
                Attention::CAUSAL);
    }
    for (Attention whole : {Attention::FULL, Attention::CAUSAL}) {
        CacheFields r = asking(CacheKind::TEACACHE);
        for (CacheReuse reuse : {CacheReuse::TAYLOR, CacheReuse::SOLVER}) {
            r.reuse = reuse;
            refused(r, "need attention=kv", whole);
        }
        r.reuse = CacheReuse::REPEAT;
        CHECK(choose(r, whole).reuse() == CacheReuse::REPEAT);
    }
}

TEST(settings_of_motioncache_with_another_cache_are_refused) {
    auto all = knobs();
    all.push_back({"cache-preset", true, [](CacheFields& r) { r.preset = CachePreset::BALANCED; }, {}});
    for (CacheKind kind : CACHE_KINDS)
        for (const Knob& knob : all) {
            if (!knob.motioncache_only || kind == CacheKind::NONE || kind == CacheKind::MOTIONCACHE) continue;
            CacheFields r = asking(kind);
            knob.set(r);
            refused(r, std::string(knob.name) + " belongs to cache=motioncache, not to cache=" +
                           name_of(kind) + ": drop it.");
        }
}

TEST(a_preset_of_an_unknown_model_is_refused) {
    refused(asking(CacheKind::MOTIONCACHE), "run motioncache-calibrate on its folder", Attention::KV, false);
    for (CachePreset preset : {CachePreset::QUALITY, CachePreset::BALANCED, CachePreset::FAST}) {
        CacheFields r = asking(preset);
        refused(r, "run motioncache-calibrate on its folder", Attention::KV, false);
        r.kind = CacheKind::MOTIONCACHE;
        refused(r, "Nothing is known about caching with this model", Attention::KV, false);
        r.threshold = 0.2; // does not make up for what is not known
        refused(r, "or set cache-preset=custom and a cache-threshold", Attention::KV, false);
    }
    CacheFields r;
    r.threshold = 0.2;
    CHECK(choose_cache(r, Attention::KV, nullptr, model::skyreels_v2::published_caches(unknown_model()))
              .kind() == CacheKind::MOTIONCACHE);
}

TEST(a_weight_floor_with_other_weights_is_refused) {
    CacheFields r;
    r.weight_floor = 0.5;
    r.weights = CacheWeights::MAX_RESCALE;
    CHECK_EQ(std::get<MotionCacheSettings>(choose(r).policy).weight_floor, 0.5);
    for (CacheWeights other : {CacheWeights::NONE, CacheWeights::MEAN, CacheWeights::MAX}) {
        r.weights = other;
        refused(r, "cache-weight-floor is the least weight of cache-weights=max-rescale");
    }
    // Be the weights the request's or the preset's.
    model::Calibration c = calibration();
    c.balanced.settings.weights = CacheWeights::MAX;
    r.weights.reset();
    CHECK_ERROR(choose_cache(r, Attention::KV, &c, model::skyreels_v2::published_caches(unknown_model())),
                MC_ERROR_SETTINGS, "cache-weight-floor");
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
