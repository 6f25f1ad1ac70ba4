// SPDX-License-Identifier: LGPL-2.1-or-later
// Caches of MAGI-1 behind the session, how they change while a video is made, and its budget of keys and values.
#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <map>
#include <tuple>

#include "engine/families/magi1/settings.h"
#include "engine/processor.h"
#include "tests/families/magi1/small_video.h"

using namespace mc;
using namespace mc::test;

// Settings of the cache, the cache itself, none, and one again: the chunks on their way keep theirs, to the last byte.
TEST(the_cache_changes_at_the_border_of_a_chunk) {
    Request r = small(24 * 8);
    r.steps = 16;
    r.cache.kind = CacheKind::MOTIONCACHE;
    r.cache.warmup = 1, r.cache.threshold = 0.05;
    const Made before = make(distilled(), r);
    const auto with = [](const auto& set) {
        CacheFields fields;
        set(fields);
        return fields;
    };
    const CacheFields whole_changes[] = {
        with([](auto& f) { f.kind = CacheKind::NONE; }),
        with([](auto& f) { f.kind = CacheKind::FLOWCACHE, f.threshold = 100, f.warmup = 2; }),
        with([](auto& f) { f.kind = CacheKind::TEACACHE, f.threshold = 100, f.warmup = 2; }),
    };
    const CacheFields part_changes[] = {
        with([](auto& f) { f.warmup = 9; }),
        with([](auto& f) { f.threshold = 1e-6; }), // computes everything
    };
    const auto changed = [&](const CacheFields& change, bool all, CacheKind kind) {
        Session session(distilled().model, r);
        std::vector<session::Frames> chunks;
        chunks.push_back(*session.next());
        Fields wanted;
        wanted.cache = change;
        CHECK_EQ(session.update(wanted, {}, all), 1);
        while (auto next = session.next()) chunks.push_back(*next);
        CHECK_EQ(chunks.size(), size_t(8));
        for (size_t c = 0; c < chunks.size(); c++) {
            CHECK_EQ(chunks[c].made_with->update, c < 4 ? 0 : 1);
            if (c < 4) CHECK(at::equal(chunks[c].pixels, before.chunks[c]));
        }
        CHECK(!at::equal(chunks[5].pixels, before.chunks[5]));
        CHECK(chunks[7].made_with->cache == kind && session.stats().cache == kind);
        return session.chunk_stats(7)->count;
    };
    for (const CacheFields& change : whole_changes) {
        const auto count = changed(change, true, *change.kind);
        // Warm-up, and the last step of the video that TeaCache and FlowCache compute; nothing in between.
        if (*change.kind == CacheKind::NONE)
            CHECK_EQ(count.whole, count.turns);
        else
            CHECK(count.whole <= 4 && count.reused >= 12);
    }
    for (const CacheFields& change : part_changes) changed(change, false, CacheKind::MOTIONCACHE);

    Session session(distilled().model, small(24 * 8));
    Fields wanted;
    wanted.cache.kind = CacheKind::FLOWCACHE;
    CHECK_ERROR(session.update(wanted), MC_ERROR_SETTINGS, "in which nothing is cached");
    Session cached(distilled().model, r);
    wanted = {};
    wanted.cache.reuse = CacheReuse::SOLVER;
    CHECK_ERROR(cached.update(wanted), MC_ERROR_SETTINGS, "cache-reuse would be solver");
    wanted = {};
    wanted.cache.min_ratio = 0.5;
    CHECK_ERROR(cached.update(wanted), MC_ERROR_SETTINGS, "cache-min-ratio is for SkyReels-V2");
}

TEST(caches_compute_less_and_are_the_published_ones) {
    Request r = small(24 * 5);
    r.steps = 16;
    const Made none = make(distilled(), r);
    CHECK_EQ(none.stats.count.turns, none.stats.count.whole);
    CHECK_EQ(none.stats.bytes_cache, 0);
    for (auto kind : {CacheKind::TEACACHE, CacheKind::FLOWCACHE, CacheKind::MOTIONCACHE}) {
        r.cache = {};
        r.cache.kind = kind;
        r.cache.threshold = 0.05;
        r.cache.warmup = 2;
        const Made made = make(distilled(), r);
        CHECK_EQ(made.stats.count.turns, none.stats.count.turns);
        CHECK(made.stats.count.reused + made.stats.count.partial > 10);
        CHECK_EQ(made.stats.count.extra, 0); // neither passes of finished chunks
        CHECK(made.stats.flop_transformer < none.stats.flop_transformer);
        CHECK(made.stats.cache == kind && made.stats.bytes_cache > 0);
        CHECK(whole(made).isfinite().all().item<bool>());
    }
    r.finished_chunks = FinishedChunks::REFRESHED;
    CHECK_EQ(make(distilled(), r).stats.count.extra, 4);
}

// The map of a chunk is what the policy decided of each of its tokens, and the weights that motion gave them last.
TEST(maps_are_those_of_the_tokens) {
    constexpr int ROWS = 2, COLUMNS = 3, TOKENS = 6 * ROWS * COLUMNS;
    int uneven = 0;
    for (auto kind : {CacheKind::NONE, CacheKind::FLOWCACHE, CacheKind::MOTIONCACHE}) {
        Request r = small(24 * 4);
        r.steps = 32;
        r.image = sampler::Image{48, 32, std::vector<uint8_t>(48 * 32 * 3, 90)};
        r.cache.kind = kind;
        if (kind != CacheKind::NONE) r.cache.threshold = 0.004, r.cache.warmup = 2;
        if (kind == CacheKind::MOTIONCACHE) r.cache.weight_floor = 0;
        std::map<int, std::vector<int>> computed; // by chunk and token
        std::map<int, std::vector<float>> motion;
        r.decisions = [&](const cache::Decision& d) {
            auto& counts = computed[d.chunk];
            counts.resize(TOKENS);
            const bool partial = d.kind == cache::Decision::Kind::PARTIAL,
                       none = d.kind == cache::Decision::Kind::REUSED;
            for (size_t t = 0; t < TOKENS; t++) counts[t] += partial ? d.computed[t] : none ? 0 : 1;
        };
        r.turns = [&](int, const sampler::Turn& turn) {
            motion[turn.turn.chunk].assign(turn.weights.begin(), turn.weights.end());
        };
        Session session(distilled().model, r);
        int chunk = 0;
        while (const auto frames = session.next()) {
            const sampler::TokenMap& map = *frames->map;
            CHECK(map.frames == 6 && map.rows == ROWS && map.columns == COLUMNS);
            CHECK_EQ(map.frame_of(0, frames->decoded), 0);
            CHECK_EQ(map.frame_of(4, frames->decoded), 1);
            std::vector<uint8_t> expected(TOKENS, 255);
            if (kind != CacheKind::NONE)
                for (size_t t = 0; t < TOKENS; t++)
                    expected[t] = sampler::TokenMap::share(computed.at(chunk)[t], 32);
            CHECK(map.computed == expected);
            CHECK(map.motion == motion[chunk]);
            CHECK_EQ(map.motion.size(), size_t(kind == CacheKind::MOTIONCACHE ? TOKENS : 0));
            uneven += std::count(expected.begin(), expected.end(), expected[0]) < TOKENS;
            chunk++;
        }
        CHECK_EQ(chunk, 4);
        CHECK_EQ(uneven > 0, kind == CacheKind::MOTIONCACHE);
    }
}

// Where every chunk would see all before it: what is kept of finished ones is compressed, whatever else is asked for.
TEST(a_stream_without_ranges_goes_on_with_a_budget) {
    const Opened unbounded({.noise2clean = {}}), guided({.distilled = false, .noise2clean = {}});
    for (const auto& [opened, kind, budget] :
         {std::tuple(&unbounded, CacheKind::NONE, 1), std::tuple(&unbounded, CacheKind::FLOWCACHE, 2),
          std::tuple(&unbounded, CacheKind::TEACACHE, 1), std::tuple(&guided, CacheKind::NONE, 2)}) {
        Request endless = small(magi1::ENDLESS);
        endless.kv_budget = budget;
        endless.cache.kind = kind;
        if (kind != CacheKind::NONE) endless.cache.warmup = 2, endless.cache.threshold = 0.02;
        Session session(opened->model, endless);
        const auto pass = [&](int chunks) {
            for (int i = 0; i < chunks; i++) {
                const auto next = session.next();
                CHECK(next && next->pixels.size(1) == 24 && next->pixels.isfinite().all().item<bool>());
            }
        };
        pass(8);
        const size_t shapes = session.calls().counts().size();
        pass(8);
        CHECK_EQ(session.calls().counts().size(), shapes); // no attention to more keys than before
        // As much is planned as for a video that ends after many chunks.
        Request finite = small(24 * 40);
        finite.cache = endless.cache;
        finite.kv_budget = budget;
        const auto planned = [&](const Request& r) { return Session(opened->model, r).stats().bytes_keys_values; };
        CHECK_EQ(planned(endless), planned(finite));
        finite.kv_budget.reset();
        CHECK(planned(finite) != planned(endless));
    }
}

// Ranges forget nothing before the first compression, and old and new lie beside each other in it.
TEST(pages_of_a_budget_are_planned_also_with_ranges) {
    const Opened ranges(test::SmallMagi1{}), unbounded({.noise2clean = {}});
    for (const Opened* opened : {&ranges, &unbounded}) {
        Request r = small(24 * 5);
        r.kv_budget = 3, r.cache.kind = CacheKind::NONE;
        const auto planned = [&](int frames) {
            r.num_frames = frames;
            return Session(opened->model, r).stats().bytes_keys_values;
        };
        CHECK(planned(24 * 5) > planned(24 * 3)); // 4 finished chunks and the 3 that are kept of them
        CHECK_EQ(planned(24 * 20), planned(24 * 40));
        CHECK(planned(24 * 20) >= planned(24 * 5));
    }
}

TEST(the_budget_and_its_queries_reach_the_sampler) {
    const Opened unbounded({.noise2clean = {}});
    std::vector<at::Tensor> made;
    for (int form = 0; form < 4; form++) {
        Request r = small(24 * 10);
        if (form) r.kv_budget = form == 2 ? 2 : 1;
        if (form == 3) r.kv_queries = KvQueries::CHUNK;
        const auto compression = magi1::complete(r, unbounded.model->planned().facts).sampler.compression;
        CHECK_EQ(compression.has_value(), form > 0);
        if (compression) {
            CHECK_EQ(compression->kept, *r.kv_budget);
            CHECK(compression->how.queries == (form == 3 ? KvQueries::CHUNK : KvQueries::FRAME));
        }
        made.push_back(whole(make(unbounded, r)));
        for (int before = 0; before < form; before++) CHECK(!at::equal(made[size_t(before)], made.back()));
    }
    // Until there is more to keep than the budget nothing differs.
    CHECK(at::equal(made[0].narrow(1, 0, 48), made[1].narrow(1, 0, 48)));
    // A cache that runs unasked is none that a budget excludes.
    Request r = small(24);
    r.cache.kind.reset(), r.kv_budget = 1, r.steps = 64;
    model::MagiDitConfig large = unbounded.model->folder.transformer;
    large.layers = 34, large.width = 3072;
    const magi1::ModelFacts facts{unbounded.model->folder.runtime, large};
    CHECK(magi1::complete(r, facts).sampler.cache.kind() == CacheKind::NONE);
    r.kv_budget.reset();
    CHECK(magi1::complete(r, facts).sampler.cache.kind() == CacheKind::MOTIONCACHE);
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    set_thread_count(1);
    return test::run_tests(argc, argv);
}
