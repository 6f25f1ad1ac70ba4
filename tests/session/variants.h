// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A video of every kind: each attention, cache, reuse rule, image and joint of windows, small enough for a test.
#include <string>
#include <utility>
#include <vector>

#include "engine/session/request.h"

// GCC 12 takes the members of an empty optional for ones that are read.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace mc::test {

struct Variant {
    const char* name;
    session::Request request;
};

inline std::vector<Variant> variants() {
    std::vector<Variant> list;
    auto add = [&](const char* name, auto change) {
        session::Request r;
        r.prompt.emplace("a red ball");
        r.seed = 7, r.width = 48, r.height = 32;
        r.num_frames = 21, r.base_num_frames.emplace(21), r.steps = 5;
        r.causal_block_size = 3, r.ar_step = 2, r.attention = Attention::KV;
        r.cache.kind = CacheKind::NONE;
        change(r);
        list.push_back({name, std::move(r)});
    };
    sampler::Image grey{48, 32, std::vector<uint8_t>(48 * 32 * 3, 90)};
    auto from_image = [&](session::Request& r) {
        r.attention = Attention::FULL, r.causal_block_size = 1, r.ar_step = 0, r.num_frames = 9;
        r.image = grey;
    };
    add("kv", [](session::Request&) {});
    add("kv, no guidance", [](session::Request& r) { r.guidance_scale = 1; });
    add("kv, refreshed", [](session::Request& r) { r.finished_chunks = FinishedChunks::REFRESHED; });
    add("full", [](session::Request& r) { r.attention = Attention::FULL; });
    add("causal", [](session::Request& r) { r.attention = Attention::CAUSAL; });
    add("full, teacache", [](session::Request& r) {
        r.attention = Attention::FULL, r.cache.kind = CacheKind::TEACACHE, r.cache.threshold = 0.3;
    });
    add("kv, flowcache", [](session::Request& r) {
        r.cache.kind = CacheKind::FLOWCACHE, r.cache.threshold = 1, r.cache.warmup = 1;
    });
    for (auto [name, reuse] : {std::pair("motioncache", CacheReuse::REPEAT),
                               {"taylor", CacheReuse::TAYLOR},
                               {"solver", CacheReuse::SOLVER}})
        add(name, [&, reuse = reuse](session::Request& r) {
            r.cache.kind = CacheKind::MOTIONCACHE, r.cache.preset = CachePreset::FAST, r.cache.reuse = reuse;
            r.cache.warmup = 2;
        });
    add("image", from_image);
    add("image, kv", [&](session::Request& r) { from_image(r), r.attention = Attention::KV; });
    add("end image", [&](session::Request& r) { from_image(r), r.end_image = grey; });
    for (auto [name, joint] : {std::pair("windows by latents", LongVideo::LATENT),
                               {"windows by pixels", LongVideo::PIXEL}})
        add(name, [&, joint = joint](session::Request& r) {
            r.num_frames = 33, r.overlap_history = 9, r.addnoise_condition = 20, r.long_video = joint;
        });
    return list;
}

} // namespace mc::test
