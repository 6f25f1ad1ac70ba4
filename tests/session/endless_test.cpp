// SPDX-License-Identifier: LGPL-2.1-or-later
// Videos without end, and changes while a video is made.
#include <ATen/ATen.h>
#include <fstream>
#include <map>
#include <unistd.h>

#include "engine/families/skyreels_v2/windows.h"
#include "tests/session/demo.h"

using namespace mc;
using namespace mc::session;
using test::demo;
using test::root;
using test::small;

namespace {

// Windows of two chunks, of which one is new.
Request windows(int frames) {
    Request r = small();
    r.num_frames = frames;
    r.base_num_frames = 21;
    r.overlap_history = 9;
    r.steps = 2;
    r.cache.kind = CacheKind::NONE; // a cache's thresholds depend on the length
    return r;
}

at::Tensor frames_of(Session& s, int64_t wanted) {
    std::vector<at::Tensor> parts;
    for (int64_t have = 0; have < wanted;) {
        auto frames = s.next();
        CHECK(frames.has_value());
        have += frames->pixels.size(1);
        parts.push_back(frames->pixels);
    }
    return at::cat(parts, 1).narrow(1, 0, wanted);
}

int64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    int64_t all = 0, resident = 0;
    file >> all >> resident;
    return resident * sysconf(_SC_PAGESIZE);
}

std::string error_of(Session& s, const Fields& wanted) {
    try {
        s.update(wanted);
    } catch (const Error& e) {
        return e.what();
    }
    return "";
}

Fields prompt(const char* text) {
    Fields wanted;
    wanted.prompt = text;
    return wanted;
}

} // namespace

TEST(without_end_begins_as_a_long_one) {
    auto m = demo();
    for (auto joint : {LongVideo::PIXEL, LongVideo::LATENT}) {
        Request finite = windows(69), endless = windows(skyreels_v2::ENDLESS);
        finite.long_video = endless.long_video = joint;
        Session a(m, finite), b(m, endless);
        CHECK_EQ(b.stats().frames_total, -1);
        CHECK_EQ(b.stats().chunks_total, -1);
        CHECK_EQ(b.stats().forwards_total, -1);
        CHECK_EQ(a.stats().bytes_planned, b.stats().bytes_planned); // of the steady state
        CHECK(at::equal(frames_of(a, 69), frames_of(b, 69)));
    }
}

TEST(memory_counters_and_work_stay_as_they_are) {
    auto m = demo();
    for (auto joint : {LongVideo::PIXEL, LongVideo::LATENT}) {
        Request r = windows(skyreels_v2::ENDLESS);
        r.steps = 1, r.width = 32, r.height = 32; // a chunk's pixels are 144 KiB
        r.long_video = joint;
        Session s(m, r);
        struct Work {
            int64_t forwards, transformer, vae;
            bool operator==(const Work&) const = default;
        };
        const auto pass = [&](int chunks) -> Work { // and keep nothing
            const Stats before = s.stats();
            for (int i = 0; i < chunks; i++) CHECK(s.next().has_value());
            const Stats after = s.stats();
            return {after.forwards - before.forwards, after.flop_transformer - before.flop_transformer,
                    after.flop_vae - before.flop_vae};
        };
        pass(20);
        const int64_t before = resident_bytes();
        const size_t shapes = s.calls().counts().size();
        const Work early = pass(10);
        pass(60);
        const Work late = pass(10);
        const int64_t grown = resident_bytes() - before;
        std::printf("     80 chunks: %+.2f MiB; ten of them: %lld forwards, %.2f GFLOP, %.2f of the VAE\n", double(grown) / (1 << 20),
                    static_cast<long long>(late.forwards), 1e-9 * double(late.transformer), 1e-9 * double(late.vae));
        CHECK(grown < int64_t(2) << 20);
        CHECK_EQ(s.calls().counts().size(), shapes);
        CHECK(early.forwards > 0 && early.transformer > 0 && early.vae > 0);
        CHECK(early == late);
    }
}

TEST(without_end_there_is_no_last_picture) {
    Request r = windows(skyreels_v2::ENDLESS);
    r.causal_block_size = 1, r.ar_step = 0, r.attention = Attention::FULL;
    r.image = r.end_image = sampler::Image{16, 16, std::vector<uint8_t>(3 * 16 * 16, 200)};
    CHECK_ERROR(Session(demo(), r), MC_ERROR_SETTINGS, "num-frames=-1 has no end");
    r = windows(skyreels_v2::ENDLESS);
    r.overlap_history = 5;
    CHECK_ERROR(Session(demo(), r), MC_ERROR_SETTINGS, "overlap-history");
}

// Everything before the chunk that a change begins with is as it was.
TEST(a_change_counts_from_a_chunk_that_starts) {
    auto m = demo();
    Request r = small();
    r.num_frames = 57;
    r.steps = 3;
    r.ar_step = 3; // a chunk starts when the one before it is done
    for (auto attention : {Attention::KV, Attention::FULL}) {
        r.attention = attention;
        if (attention == Attention::FULL) r.base_num_frames = 21, r.overlap_history = 9;
        Session untouched(m, r), changed(m, r);
        std::vector<int64_t> ids;
        std::vector<bool> same;
        int64_t id = 0;
        for (int chunk = 0; auto a = untouched.next(); chunk++) {
            auto b = changed.next();
            CHECK(b && a->pixels.size(1) == b->pixels.size(1));
            ids.push_back(b->made_with->update);
            same.push_back(at::equal(a->pixels, b->pixels));
            CHECK_EQ(b->made_with->prompt == "a blue fish under water", ids.back() > 0);
            if (chunk == 0) id = changed.update(prompt("a blue fish under water"));
        }
        CHECK_EQ(id, 1);
        CHECK(ids.size() == 5 && ids.front() == 0 && ids.back() == 1);
        // At most one chunk is under way; a window of FULL has two chunks, both handed out together.
        CHECK(ids[2] == 1);
        for (size_t i = 0; i < ids.size(); i++) CHECK_EQ(same[i], ids[i] == 0);
    }
}

TEST(a_transition_goes_from_one_prompt_to_the_other) {
    auto m = demo();
    Request r = windows(57);
    r.base_num_frames = 57;
    r.ar_step = 2;
    const auto run = [&](int transition, int guidance) {
        r.guidance_scale = 2;
        Session s(m, r);
        Fields wanted = prompt("a blue fish under water");
        wanted.prompt_transition = transition;
        if (guidance) wanted.guidance_scale = guidance;
        s.update(wanted); // before the first chunk
        return frames_of(s, 57);
    };
    Session s(m, r);
    const at::Tensor old = frames_of(s, 57), cut = run(0, 0), blended = run(1, 0), strong = run(0, 5);
    Request fish = r;
    fish.prompt = "a blue fish under water";
    Session direct(m, fish);
    CHECK(at::equal(cut, frames_of(direct, 57))); // a change before the first chunk is as good as a request
    const auto first = [](const at::Tensor& t) { return t.narrow(1, 0, 9); };
    CHECK(!at::equal(first(blended), first(old)) && !at::equal(first(blended), first(cut)));
    CHECK(!at::equal(first(strong), first(cut)));
    fish.guidance_scale = 5;
    Session guided(m, fish);
    CHECK(at::equal(strong, frames_of(guided, 57)));
}

// What a negative prompt says counts as if the request had had it from there on.
TEST(a_negative_prompt_counts_from_a_chunk_that_starts) {
    auto m = demo();
    Request r = windows(57);
    r.base_num_frames = 57;
    r.ar_step = 2; // chunks one after the other
    r.guidance_scale = 3;
    Request rain = r;
    rain.negative_prompt = "a blue fish under water";
    Fields wanted;
    wanted.negative_prompt = rain.negative_prompt;
    Session without(m, r), with(m, rain), first(m, r), later(m, r);
    const at::Tensor old = frames_of(without, 57), all = frames_of(with, 57);
    first.update(wanted); // before the first chunk
    CHECK(at::equal(frames_of(first, 57), all));
    CHECK(!at::equal(old.narrow(1, 0, 9), all.narrow(1, 0, 9)));

    std::vector<at::Tensor> parts;
    int64_t same = 0; // frames that were made without it
    while (auto frames = later.next()) {
        if (parts.empty()) later.update(wanted);
        CHECK_EQ(frames->made_with->negative_prompt == *rain.negative_prompt, frames->made_with->update == 1);
        if (frames->made_with->update == 0) same += frames->pixels.size(1);
        parts.push_back(frames->pixels);
    }
    const at::Tensor changed = at::cat(parts, 1);
    CHECK(same >= 9 && same <= 21);
    CHECK(at::equal(changed.narrow(1, 0, same), old.narrow(1, 0, same)));
    CHECK(!at::equal(changed.narrow(1, same, 12), old.narrow(1, same, 12)));
}

TEST(the_threshold_of_a_cache_changes_with_a_chunk) {
    auto m = demo();
    Request r = small();
    r.steps = 8, r.ar_step = 8, r.num_frames = 57;
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::MOTIONCACHE;
    r.cache.warmup = 1;
    r.cache.threshold = 1e-6; // computes everything
    Session s(m, r);
    CHECK(s.next().has_value());
    Fields wanted;
    wanted.cache.threshold = 1000.0;
    s.update(wanted);
    std::vector<double> thresholds;
    while (auto frames = s.next()) thresholds.push_back(frames->made_with->cache_threshold);
    CHECK_EQ(thresholds.back(), 1000);
    CHECK_EQ(s.chunk_stats(0)->count.tokens_reused, 0);
    CHECK(s.chunk_stats(4)->count.tokens_reused > 0);
}

// Frames and decisions are as they were up to the chunk that the change begins with, and others from it on.
TEST(every_setting_of_the_cache_changes_with_a_chunk) {
    auto m = demo();
    Request r = small();
    r.steps = 8, r.ar_step = 8, r.num_frames = 57; // chunks one after the other
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::MOTIONCACHE;
    r.cache.preset = CachePreset::CUSTOM;
    r.cache.threshold = 0.1, r.cache.warmup = 1, r.cache.coarse_updates = 1;
    r.cache.reuse = CacheReuse::SOLVER; // as the presets have it
    const auto with = [](const auto& set) {
        CacheFields fields;
        set(fields);
        return fields;
    };
    const std::pair<const char*, CacheFields> changes[] = {
        {"cache-threshold", with([](auto& f) { f.threshold = 0.3; })},
        {"cache-warmup", with([](auto& f) { f.warmup = 4; })},
        {"cache-coarse-updates", with([](auto& f) { f.coarse_updates = 5; })},
        {"cache-weights", with([](auto& f) { f.weights = CacheWeights::MEAN; })},
        {"cache-weight-floor", with([](auto& f) { f.weight_floor = 0.05; })},
        {"cache-distance", with([](auto& f) { f.distance = CacheDistance::TOKEN; })},
        {"cache-vote", with([](auto& f) { f.vote = -2.; })},
        {"cache-min-ratio", with([](auto& f) { f.min_ratio = 0.; })},
        {"cache-noise-power", with([](auto& f) { f.noise_power = 3.; })},
        {"cache-first-share", with([](auto& f) { f.first_share = 0.5; })},
        {"cache-preset", with([](auto& f) { f.preset = CachePreset::QUALITY; })},
    };
    struct Made {
        std::vector<at::Tensor> pixels;
        std::vector<std::string> decisions; // of each chunk
    };
    const auto run = [&](const Request& request, const CacheFields* change) {
        Made made;
        Request observed = request;
        observed.decisions = [&](const cache::Decision& d) {
            made.decisions.resize(std::max(made.decisions.size(), size_t(d.chunk) + 1));
            std::string& text = made.decisions[size_t(d.chunk)];
            text += std::to_string(int(d.kind)) + " ";
            for (float weight : d.weights) text += std::to_string(weight) + " ";
            for (float distance : d.token_distance) text += std::to_string(distance) + " ";
            for (uint8_t computed : d.computed) text += computed ? "x" : ".";
        };
        Session s(m, observed);
        while (auto frames = s.next()) {
            made.pixels.push_back(frames->pixels.clone());
            if (made.pixels.size() == 2 && change) {
                Fields wanted;
                wanted.cache = *change;
                s.update(wanted);
            }
        }
        return made;
    };
    const Made before = run(r, nullptr);
    CHECK_EQ(before.pixels.size(), size_t(5));
    for (const auto& [name, change] : changes) {
        const Made changed = run(r, &change);
        // The share counts for the first chunk of a window alone; here all frames of a chunk have the same distance.
        const bool unseen = change.first_share || change.distance;
        for (size_t chunk = 0; chunk < 5; chunk++) {
            const bool same = at::equal(before.pixels[chunk], changed.pixels[chunk]) &&
                              before.decisions[chunk] == changed.decisions[chunk];
            // When the second chunk was handed out, the third had not begun.
            if (same != (chunk < 2 || unseen)) std::printf("     %s: chunk %zu\n", name, chunk);
            if (chunk < 2 || unseen)
                CHECK(same);
            else if (chunk == 4)
                CHECK(!same);
        }
    }
}

// Another cache, none, and one again, in the middle of windows and at their joints; what is not said is the default.
TEST(the_cache_itself_changes_with_a_chunk) {
    auto m = demo();
    Request r = windows(141);
    r.steps = 6, r.ar_step = 6;
    for (auto attention : {Attention::KV, Attention::FULL}) {
        r.attention = attention;
        r.cache = {};
        r.cache.reuse = CacheReuse::REPEAT;
        r.cache.kind = CacheKind::TEACACHE;
        r.cache.threshold = 1000, r.cache.warmup = 1; // as much reused as can be
        Session s(m, r), untouched(m, r);
        CacheFields flow, none, tea = r.cache;
        flow.kind = attention == Attention::KV ? CacheKind::FLOWCACHE : CacheKind::TEACACHE;
        flow.reuse = CacheReuse::REPEAT, flow.threshold = 1000, flow.warmup = 3;
        none.kind = CacheKind::NONE;
        const std::map<int, CacheFields> changes = {{3, none}, {6, flow}, {9, tea}};
        std::vector<int64_t> reused;
        std::vector<CacheKind> kinds;
        bool as_before = true;
        for (int chunk = 0; auto frames = s.next(); chunk++) {
            const auto old = untouched.next();
            if (frames->made_with->update == 0)
                as_before = as_before && at::equal(old->pixels, frames->pixels);
            kinds.push_back(frames->made_with->cache);
            reused.push_back(s.chunk_stats(size_t(chunk))->count.tokens_reused);
            if (!changes.count(chunk)) continue;
            Fields wanted;
            wanted.cache = changes.at(chunk);
            s.update(wanted, {}, true);
        }
        CHECK(as_before);
        CHECK(kinds[0] == CacheKind::TEACACHE && kinds[3] == CacheKind::TEACACHE);
        // At most two chunks are under way, or handed out and not yet delivered.
        CHECK(kinds[6] == CacheKind::NONE && reused[6] == 0);
        CHECK(kinds[9] == *flow.kind && reused[9] > 0);
        CHECK(kinds.back() == CacheKind::TEACACHE && reused.back() > reused[9]);
        CHECK(s.stats().cache == CacheKind::TEACACHE);
    }
}

// A queued threshold is one of the cache that is in use when it begins; where none is, it is left out.
TEST(a_queued_threshold_goes_with_the_cache_of_its_time) {
    auto m = demo();
    for (const CacheKind kind : {CacheKind::FLOWCACHE, CacheKind::NONE}) {
        Request r = windows(141);
        r.attention = Attention::KV;
        r.cache.kind = CacheKind::TEACACHE;
        r.cache.threshold = 0.1, r.cache.reuse = CacheReuse::REPEAT;
        Session s(m, r);
        CHECK(s.next().has_value());
        Fields threshold, now;
        threshold.cache.threshold = 0.5;
        now.cache.kind = kind;
        if (kind != CacheKind::NONE) now.cache.threshold = 0.3, now.cache.reuse = CacheReuse::REPEAT;
        s.update(prompt("a blue car moving left"), 48);
        s.update(threshold, 0);
        s.update(now, {}, true);
        std::vector<double> thresholds; // each once
        CacheKind last = CacheKind::TEACACHE;
        while (auto frames = s.next()) {
            last = frames->made_with->cache;
            const double used = frames->made_with->cache_threshold;
            if (thresholds.empty() || thresholds.back() != used) thresholds.push_back(used);
        }
        CHECK(last == kind);
        CHECK(thresholds == (kind == CacheKind::NONE ? std::vector{0.1, 0.} : std::vector{0.1, 0.3, 0.5}));
    }
}

TEST(a_cache_that_cannot_come_is_refused_and_changes_nothing) {
    auto m = demo();
    Request r = small();
    r.num_frames = 57;
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::MOTIONCACHE;
    r.cache.threshold = 0.2, r.cache.reuse = CacheReuse::REPEAT;
    Session s(m, r), untouched(m, r);
    CHECK(s.next().has_value() && untouched.next().has_value());
    const auto refused = [&](const auto& set, const char* text, bool all = false) {
        Fields wanted;
        set(wanted.cache);
        try {
            s.update(wanted, {}, all);
        } catch (const Error& e) {
            if (std::string(e.what()).find(text) == std::string::npos) std::printf("     %s\n", e.what());
            return std::string(e.what()).find(text) != std::string::npos;
        }
        return false;
    };
    CHECK(refused([](auto& f) { f.warmup = -3; }, "cache-warmup is -3"));
    CHECK(refused([](auto& f) { f.vote = 2.; }, "cache-vote is 2"));
    CHECK(refused([](auto& f) { f.kind = CacheKind::NONE; }, "cache-threshold is set but nothing is cached"));
    CHECK(refused([](auto& f) { f.kind = CacheKind::TEACACHE, f.min_ratio = 0.1; },
                  "cache-min-ratio belongs to"));
    CHECK(
        refused([](auto& f) { f.weights = CacheWeights::MEAN, f.weight_floor = 0.1; }, "cache-weight-floor"));
    CHECK(refused([](auto& f) { f.reuse = CacheReuse::TAYLOR; }, "cache-reuse would be taylor"));
    while (auto frames = untouched.next()) CHECK(at::equal(frames->pixels, s.next()->pixels));
    CHECK(!s.next().has_value());
}

TEST(changes_that_cannot_be_are_refused_and_change_nothing) {
    auto m = demo();
    Request r = windows(17);
    r.guidance_scale = 1;
    Session s(m, r), untouched(m, r);
    Fields wanted;
    wanted.guidance_scale = 2;
    CHECK(error_of(s, wanted).find("guidance-scale was 1 or less") == 0);
    wanted = {};
    wanted.cache.threshold = 0.5;
    CHECK(error_of(s, wanted).find("nothing is cached") != std::string::npos);
    wanted.cache.threshold.reset();
    wanted.cache.kind = CacheKind::TEACACHE;
    CHECK(error_of(s, wanted).find("cache=teacache would come into a video in which nothing is cached") == 0);
    wanted = {};
    wanted.cache.threshold = -3;
    CHECK(error_of(s, wanted).find("cache-threshold is -3") == 0);
    CHECK(error_of(s, prompt(" \n ")).find("The new prompt is empty") == 0);
    CHECK(at::equal(frames_of(s, 17), frames_of(untouched, 17)));
}

// A window that waits for a new prompt has more rows than was said at first.
TEST(what_is_left_is_told_when_a_window_waits) {
    auto m = demo();
    Request r = small();
    r.num_frames = 57;
    for (auto cache : {CacheKind::NONE, CacheKind::TEACACHE, CacheKind::FLOWCACHE, CacheKind::MOTIONCACHE}) {
        r.cache.kind = cache;
        r.attention = Attention::KV;
        Session s(m, r);
        const int64_t planned = s.stats().forwards_total;
        int steps = 0;
        s.on_step([&] {
            if (++steps == 4) s.update(prompt("a blue fish under water"));
        });
        frames_of(s, 57);
        CHECK(!s.next().has_value());
        const Stats stats = s.stats();
        CHECK(stats.forwards_total > planned);
        CHECK_EQ(stats.forwards, stats.forwards_total);
        CHECK_EQ(stats.count.turns, 5 * 3 * 2);
    }
}

// With the demo model as it comes: a new prompt begins with the next chunk that starts, and the picture is the new
// one's within two chunks, also where that is in the middle of a window, with chunks of the old one under way; so is a
// transition's last one.
TEST(colours_follow_the_prompt) {
    auto m = demo(2);
    Request r;
    r.prompt = "an orange ball still in the desert at sunset";
    r.seed = 3, r.num_frames = skyreels_v2::ENDLESS;
    const std::string water = "a blue fish still under water";
    // Mean colour of frames: [3].
    const auto colour = [](const at::Tensor& pixels) { return pixels.mean({1, 2, 3}); };
    const auto far = [](const at::Tensor& a, const at::Tensor& b) { return (a - b).norm().item<double>(); };
    Request other = r;
    other.prompt = water;
    Session direct(m, other), whole(m, r);
    const at::Tensor wanted = colour(frames_of(direct, 9)), old = colour(frames_of(whole, 9));
    std::printf("     the two prompts are %.2f apart\n", far(old, wanted));
    CHECK(far(old, wanted) > 0.4);
    // Chunks start every 5 rows, the first with row 0; when it is handed out all 5 of the window are under way.
    const struct {
        int rows;
        int64_t chunk; // the first one with the new prompt
        int transition = 0;
    } cases[] = {{4, 1}, {7, 2}, {16, 4}, {36, 5}, {4, 1, 1}};
    for (const auto& c : cases) {
        Session s(m, r);
        int steps = 0;
        Fields change = prompt(water.c_str());
        change.prompt_transition = c.transition;
        s.on_step([&] { // the first two begin the text and the window
            if (++steps == 2 + c.rows) s.update(change);
        });
        for (int chunk = 0, since = -c.transition; since < 2; chunk++) {
            auto frames = s.next();
            CHECK(frames && chunk < 12);
            const at::Tensor last = frames->pixels.slice(1, -4);
            const double to_old = far(colour(last), old), to_new = far(colour(last), wanted);
            std::printf(
                "     changed after %d rows: chunk %d, change %d: %.2f from the old colours, %.2f from the new ones\n",
                c.rows, chunk, int(frames->made_with->update), to_old, to_new);
            CHECK_EQ(frames->made_with->update, int64_t(chunk >= c.chunk));
            if (frames->made_with->update == 0)
                CHECK(to_old < 0.5 * to_new);
            else if (++since == 2) CHECK(to_new < 0.5 * to_old);
        }
    }
}

int main(int argc, char** argv) {
    root = argv[1];
    return mc::test::run_tests(argc - 1, argv + 1);
}
