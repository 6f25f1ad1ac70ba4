// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/policy.h"
#include "engine/families/skyreels_v2/published_caches.h"
#include "tests/check.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::model::skyreels_v2;
using namespace mc::test;

namespace {

TransformerConfig config(const PublishedTransformer& model) {
    TransformerConfig c;
    c.width = model.width, c.heads = model.heads, c.ffn = model.ffn, c.layers = model.layers;
    c.in_channels = c.out_channels = 16;
    c.fps_embedding = model.fps;
    return c;
}

} // namespace

TEST(published_caches_by_what_the_model_is) {
    CHECK_EQ(std::string(published_caches(config(DF_1_3B_540P))->model), "SkyReels-V2-DF-1.3B");
    CHECK_EQ(std::string(published_caches(config(DF_14B_540P))->model), "SkyReels-V2-DF-14B");
    CHECK(published_caches(config(DF_14B_540P)) == published_caches(config(DF_14B_720P)));
    CHECK(published_caches({}) == nullptr);
    for (auto member : {&TransformerConfig::width, &TransformerConfig::heads, &TransformerConfig::ffn,
                        &TransformerConfig::layers, &TransformerConfig::in_channels}) {
        TransformerConfig other = config(DF_1_3B_540P);
        other.*member += 2;
        CHECK(published_caches(other) == nullptr);
    }
    TransformerConfig other = config(DF_1_3B_540P);
    other.fps_embedding = false;
    CHECK(published_caches(other) == nullptr);
}

TEST(published_caches_are_usable) {
    using Origin = PublishedCache::Origin;
    for (const PublishedTransformer* model : {&DF_1_3B_540P, &DF_14B_540P}) {
        const PublishedCaches& caches = *published_caches(config(*model));
        for (const PublishedCache* cache :
             {&caches.teacache_retention, &caches.teacache, &caches.flowcache_slow, &caches.flowcache_fast,
              &caches.motioncache_slow, &caches.motioncache_fast})
            CHECK(cache::make_policy(cache->settings) != nullptr);
        CHECK(caches.teacache.settings.embedding() == cache::Embedding::E);
        CHECK(caches.teacache_retention.settings.embedding() == cache::Embedding::E0);
        for (const PublishedCache* cache : {&caches.flowcache_slow, &caches.motioncache_slow})
            CHECK(cache->settings.common().polynomial == caches.teacache_retention.settings.common().polynomial);
        CHECK(caches.motioncache_fast.origin == Origin::CARRIED_OVER);
    }
    const PublishedCaches& small = *published_caches(config(DF_1_3B_540P));
    CHECK(small.motioncache_slow.origin == Origin::PUBLISHED &&
          small.flowcache_fast.origin == Origin::PUBLISHED);
    // The published run is what MotionCacheSettings has by default, but for the model's polynomial.
    cache::MotionCacheSettings defaults;
    defaults.polynomial = small.motioncache_slow.settings.common().polynomial;
    CHECK(small.motioncache_slow.settings == cache::AnySettings(defaults));
    CHECK_EQ(small.flowcache_fast.settings.common().threshold, 0.15);
    CHECK(published_caches(config(DF_14B_540P))->motioncache_slow.origin == Origin::CARRIED_OVER);
}
