// SPDX-License-Identifier: LGPL-2.1-or-later
// The C API as a program sees it: the header and the library, nothing else. What the statistics say of what
// was computed and reused, and that a bad value is one sentence with the setting's name.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/motioncache.h"
#include "tests/check.h"
#include "tests/session/c_request.h"
#include "tests/session/model_copy.h"

using namespace mc;
using test::CRequest;

static std::string root;

namespace {

constexpr int FRAME_TOKENS = 4 * 3, CHUNK_TOKENS = 3 * FRAME_TOKENS; // at 64 x 48

// Without a calibration, which would change what the knobs below mean.
McModel* demo() {
    static McModel* model = [] {
        const test::ModelCopy copy(root + "/models/demo"); // read to its end when it is opened
        const std::string path = copy.path.string();
        McModelOptions options;
        mc_model_options_init(&options, sizeof options);
        options.path = path.c_str();
        options.device = "cpu";
        options.threads = 1;
        McError error;
        McModel* opened = mc_model_open(&options, &error);
        if (!opened) test::fail(__FILE__, __LINE__, error.message);
        return opened;
    }();
    return model;
}

CRequest request(int frames = 33) {
    CRequest r;
    r.prompt = "a red ball bouncing over green hills";
    r.seed = 5;
    r.width = 64, r.height = 48;
    r.num_frames = frames;
    r.steps = 6;
    r.ar_step = 2;
    return r;
}
// With about half of each chunk's evaluations reused in the course of the video. A few tokens of a chunk do not compute
// alone, however a model's subjects move: so every chunk has turns that reuse all of it, and others.
CRequest motioncache(int frames = 33) {
    CRequest r = request(frames);
    r.attention = MC_ATTENTION_KV;
    r.caching.kind = MC_CACHE_MOTIONCACHE;
    r.caching.threshold = 0.3;
    r.caching.warmup = 0;
    r.caching.coarse_updates = 0;
    r.caching.min_ratio = 0.5;
    return r;
}

struct Result {
    McStats stats{};
    std::vector<McChunkStats> chunks;
    std::vector<int64_t> first, frames; // as delivered
};

void add(McWork& sum, const McWork& w) {
    sum.turns += w.turns, sum.turns_whole += w.turns_whole, sum.turns_partial += w.turns_partial;
    sum.turns_reused += w.turns_reused, sum.passes_extra += w.passes_extra;
    sum.tokens_computed += w.tokens_computed, sum.tokens_reused += w.tokens_reused;
}

McStats stats_of(McSession* session) {
    McStats s{};
    s.struct_size = sizeof s;
    mc_session_stats(session, &s);
    return s;
}

struct Map {
    McFramesWork work{};
    std::vector<uint8_t> computed; // 0xaa behind its end, and before it is written
    std::vector<float> motion;
};
Map map_of(const McFrames* frames, int index) {
    Map map;
    map.work.struct_size = sizeof map.work;
    mc_frames_work(frames, &map.work);
    const size_t tokens = map.work.map_width * map.work.map_height;
    map.computed.assign(tokens + 1, 0xaa);
    map.motion.assign(tokens, -1);
    mc_frames_map(frames, index, map.computed.data(), map.motion.data());
    CHECK_EQ(map.computed.back(), 0xaa);
    map.computed.pop_back();
    return map;
}

// What the frames of a chunk say of it: the maps of its latent frames, one for four frames, add up to its count.
void check_maps(const McFrames* frames, int64_t chunk, bool cached) {
    const int count = mc_frames_count(frames);
    double sum = 0;
    for (int i = 0; i < count; i++) {
        const Map map = map_of(frames, i);
        CHECK_EQ(map.work.chunk, chunk);
        CHECK(map.work.map_width == 4 && map.work.map_height == 3);
        if (!cached) {
            CHECK(std::all_of(map.computed.begin(), map.computed.end(), [](int c) { return c == 255; }));
            CHECK_EQ(map.work.has_motion, 0);
            CHECK_EQ(map.motion[0], -1);
        } else if (map.work.has_motion) {
            CHECK(std::all_of(map.motion.begin(), map.motion.end(), [](float m) { return m >= 0; }));
        }
        const bool last_of_latent = (count - 1 - i) % 4 == 0;
        if (last_of_latent) sum += std::accumulate(map.computed.begin(), map.computed.end(), 0.0);
        else CHECK(map.computed == map_of(frames, i + 1).computed);
    }
    const Map any = map_of(frames, 0);
    CHECK_NEAR(sum / 255, double(any.work.work.tokens_computed) / double(any.work.work.turns), 0.01 * CHUNK_TOKENS);
}

Result run(CRequest r) {
    Result result;
    const bool chunks = r.attention == MC_ATTENTION_KV && r.long_video != MC_LONG_VIDEO_PIXEL; // whole ones
    const bool cached = r.caching.kind != MC_CACHE_NONE;
    McError error;
    McSession* session = mc_session_new(demo(), r.whole(), &error);
    if (!session) {
        test::fail(__FILE__, __LINE__, error.message);
        return result;
    }
    McChunkStats chunk{};
    chunk.struct_size = sizeof chunk;
    chunk.frames = -1;
    CHECK_EQ(mc_session_chunk_stats(session, 0, &chunk), 0); // none yet
    while (McFrames* frames = mc_session_next(session, &error)) {
        result.first.push_back(mc_frames_first(frames));
        result.frames.push_back(mc_frames_count(frames));
        if (chunks) check_maps(frames, int64_t(result.first.size()) - 1, cached);
        mc_frames_free(frames);
        const int64_t delivered = int64_t(result.first.size());
        for (int64_t beyond : {int64_t(-1), delivered, delivered + 1, std::numeric_limits<int64_t>::max()})
            CHECK_EQ(mc_session_chunk_stats(session, beyond, &chunk), 0);
        CHECK_EQ(chunk.frames, -1); // not touched
    }
    CHECK_EQ(error.status, MC_OK);
    result.stats = stats_of(session);
    for (int64_t i = 0; mc_session_chunk_stats(session, i, &chunk); i++) result.chunks.push_back(chunk);
    mc_session_free(session);

    CHECK_EQ(result.chunks.size(), result.first.size());
    CHECK_EQ(result.stats.chunks, int64_t(result.first.size()));
    for (size_t i = 0; i < result.chunks.size(); i++) {
        CHECK_EQ(result.chunks[i].first_frame, result.first[i]);
        CHECK_EQ(result.chunks[i].frames, result.frames[i]);
    }
    const McWork& w = result.stats.work;
    CHECK_EQ(w.turns, w.turns_whole + w.turns_partial + w.turns_reused);
    CHECK(w.turns > 0 && w.tokens_computed > 0);
    return result;
}

McWork sum_of(const std::vector<McChunkStats>& chunks) {
    McWork sum{};
    for (const McChunkStats& c : chunks) add(sum, c.work);
    return sum;
}

} // namespace

TEST(chunks_add_up_to_the_whole) {
    for (bool cached : {false, true})
        for (McFinished finished : {MC_FINISHED_FROZEN, MC_FINISHED_REFRESHED}) {
            CRequest r = cached ? motioncache() : request();
            r.attention = MC_ATTENTION_KV;
            r.caching.kind = cached ? MC_CACHE_MOTIONCACHE : MC_CACHE_NONE;
            r.finished_chunks = finished;
            const Result result = run(r);
            const McWork &all = result.stats.work, sum = sum_of(result.chunks);
            CHECK_EQ(result.chunks.size(), size_t(3));
            CHECK_EQ(sum.turns, all.turns);
            CHECK_EQ(sum.turns_whole, all.turns_whole);
            CHECK_EQ(sum.turns_partial, all.turns_partial);
            CHECK_EQ(sum.turns_reused, all.turns_reused);
            CHECK_EQ(sum.tokens_computed, all.tokens_computed);
            CHECK_EQ(sum.tokens_reused, all.tokens_reused);
            // Every chunk but the last is passed once more when it is finished, which is after it was
            // delivered.
            CHECK_EQ(all.passes_extra, finished == MC_FINISHED_REFRESHED ? 2 * 2 : 0);
            CHECK_EQ(sum.passes_extra, all.passes_extra);
            CHECK_EQ(all.turns, 3 * 6 * 2); // chunks, steps, branches
            CHECK_EQ(all.tokens_computed + all.tokens_reused, all.turns * CHUNK_TOKENS);
            for (const McChunkStats& c : result.chunks) {
                CHECK_EQ(c.work.turns, 6 * 2);
                CHECK_EQ(c.work.turns, c.work.turns_whole + c.work.turns_partial + c.work.turns_reused);
                CHECK_EQ(c.work.tokens_computed + c.work.tokens_reused, c.work.turns * CHUNK_TOKENS);
                if (cached) CHECK(c.work.turns_reused > 0 && c.work.turns_whole > 0);
            }
        }
}

// The prefix of a window belongs to no delivered chunk of it: its passes are in the totals alone.
TEST(chunks_of_windows_add_up_to_the_whole) {
    for (McLongVideo joint : {MC_LONG_VIDEO_LATENT, MC_LONG_VIDEO_PIXEL}) {
        CRequest r = motioncache(45);
        r.base_num_frames = 21;
        r.overlap_history = 9;
        r.long_video = joint;
        const Result result = run(r);
        const McWork &all = result.stats.work, sum = sum_of(result.chunks);
        CHECK_EQ(sum.turns, all.turns);
        CHECK_EQ(sum.tokens_computed, all.tokens_computed);
        CHECK_EQ(sum.tokens_reused, all.tokens_reused);
        CHECK_EQ(all.tokens_computed + all.tokens_reused, all.turns * CHUNK_TOKENS);
        CHECK_EQ(all.turns, result.stats.chunks_total * 6 * 2);
        CHECK_EQ(sum.passes_extra, 0);
        CHECK(all.passes_extra > 0);
    }
}

// Where attention is not kv the window is one chunk, whose work each of its frames' chunks names.
TEST(a_whole_window_is_one_chunk) {
    CRequest r = request();
    r.attention = MC_ATTENTION_CAUSAL;
    const Result result = run(r);
    const McWork& all = result.stats.work;
    CHECK_EQ(all.turns, (6 + 2 * 2) * 2); // rows, branches
    CHECK_EQ(all.turns_whole, all.turns);
    CHECK_EQ(all.tokens_computed, all.turns * 3 * CHUNK_TOKENS);
    CHECK_EQ(all.turns, result.stats.forwards);
    for (const McChunkStats& c : result.chunks) CHECK_EQ(c.work.turns, all.turns);
}

TEST(statistics_with_and_without_a_cache) {
    CRequest none = request();
    none.attention = MC_ATTENTION_KV;
    none.caching.kind = MC_CACHE_NONE;
    const McStats without = run(none).stats, with = run(motioncache()).stats;
    CHECK_EQ(without.cache, MC_CACHE_NONE);
    CHECK_EQ(without.work.turns_whole, without.work.turns);
    CHECK_EQ(without.work.tokens_reused, 0);
    CHECK_EQ(without.bytes_cache, 0);

    CHECK_EQ(with.cache, MC_CACHE_MOTIONCACHE);
    CHECK(with.work.turns_partial > 0 && with.work.turns_reused > 0);
    CHECK_EQ(with.work.turns, without.work.turns);
    CHECK_EQ(with.forwards, without.forwards);
    // Work falls with the tokens; what a reused token still costs is little.
    const double tokens = double(with.work.tokens_computed) / without.work.tokens_computed;
    const double flop = double(with.flop_transformer) / without.flop_transformer;
    std::printf("     tokens %.3f, FLOP %.3f\n", tokens, flop);
    CHECK(tokens < 0.9);
    CHECK_NEAR(flop, tokens, 0.1);
    CHECK(with.seconds_cache > 0 && with.seconds_cache < with.seconds_transformer);

    // Float32: a residual of 192 numbers per token and branch, and each chunk's last frame.
    CHECK_EQ(with.bytes_cache, 2 * (3 * CHUNK_TOKENS + 3 * FRAME_TOKENS) * 192 * 4);
    for (const McStats& s : {without, with}) {
        // Keys and values of 8 layers, at least.
        CHECK(s.bytes_keys_values >= 2 * 8 * 2 * 3 * CHUNK_TOKENS * 192 * 4);
        CHECK(s.bytes_planned > s.bytes_weights + s.bytes_keys_values + s.bytes_cache);
    }
    CHECK_EQ(with.bytes_keys_values, without.bytes_keys_values);
    CRequest taylor = motioncache();
    taylor.caching.reuse = MC_CACHE_REUSE_TAYLOR;
    CHECK(run(taylor).stats.bytes_cache > with.bytes_cache * 3 / 2);
}

// The maps of a video with a subject that moves are not flat, and motion was measured.
TEST(a_map_shows_where_it_was_computed) {
    McError error;
    CRequest r = motioncache();
    McSession* session = mc_session_new(demo(), r.whole(), &error);
    CHECK(session != nullptr);
    int partial = 0, uneven = 0;
    while (McFrames* frames = mc_session_next(session, &error)) {
        const Map map = map_of(frames, mc_frames_count(frames) - 1);
        partial += map.work.work.turns_partial > 0;
        const auto [low, high] = std::minmax_element(map.computed.begin(), map.computed.end());
        uneven += *low < *high;
        CHECK_EQ(map.work.has_motion, 1);
        CHECK(*low > 0 && *high < 255); // the first step is computed everywhere, and some turns reuse everything
        mc_frames_free(frames);
    }
    CHECK(partial > 0 && uneven > 0);
    mc_session_free(session);
}

// Where attention is not kv each frame has the map of its latent frame in the window.
TEST(frames_of_a_whole_window_have_maps) {
    McError error;
    CRequest r = request();
    r.attention = MC_ATTENTION_CAUSAL;
    r.caching.kind = MC_CACHE_TEACACHE;
    r.caching.threshold = 0.2;
    McSession* session = mc_session_new(demo(), r.whole(), &error);
    CHECK(session != nullptr);
    int64_t chunk = 0;
    while (McFrames* frames = mc_session_next(session, &error)) {
        const Map map = map_of(frames, 0);
        const McWork& work = map.work.work;
        CHECK_EQ(map.work.chunk, chunk++);
        const auto share = uint8_t((255 * work.turns_whole + work.turns / 2) / work.turns);
        CHECK(map.computed == std::vector<uint8_t>(12, share));
        mc_frames_free(frames);
    }
    CHECK_EQ(chunk, 3);
    mc_session_free(session);
}

TEST(progress_is_told_after_each_step) {
    struct Told {
        McSession* session;
        std::vector<McStats> stats;
    };
    McError error;
    for (McAttention attention : {MC_ATTENTION_KV, MC_ATTENTION_CAUSAL}) {
        CRequest r = request();
        r.attention = attention;
        Told told{mc_session_new(demo(), r.whole(), &error), {}};
        CHECK(told.session != nullptr);
        mc_session_on_step(told.session, [](void* user) {
            auto* t = static_cast<Told*>(user);
            t->stats.push_back(stats_of(t->session));
        }, &told);
        const int steps = attention == MC_ATTENTION_KV ? 6 : 6 + 2 * 2; // of a chunk, of the window
        std::vector<size_t> at; // when a chunk was delivered
        while (McFrames* frames = mc_session_next(told.session, &error)) {
            mc_frames_free(frames);
            at.push_back(told.stats.size());
        }
        CHECK_EQ(at.size(), size_t(3));
        int64_t forwards = 0;
        for (const McStats& s : told.stats) {
            CHECK(s.forwards >= forwards && s.step >= 0 && s.step <= s.steps);
            forwards = s.forwards;
            if (forwards) CHECK_EQ(s.steps, steps);
        }
        // With kv a chunk is delivered after its last step.
        if (attention == MC_ATTENTION_KV)
            for (size_t i : at) CHECK_EQ(told.stats.at(i - 1).step, steps);
        CHECK_EQ(told.stats.back().forwards, told.stats.back().forwards_total);
        mc_session_on_step(told.session, nullptr, nullptr);
        mc_session_free(told.session);
    }
}

// A caller built against a shorter struct gets what it knows, and nothing is written behind it.
TEST(shorter_structs_are_filled_as_far_as_they_go) {
    McError error;
    CRequest r = request(9);
    McSession* session = mc_session_new(demo(), r.whole(), &error);
    CHECK(session != nullptr);
    if (!session) return;
    McFrames* frames = mc_session_next(session, &error);
    CHECK(frames != nullptr);
    McFramesWork work{};
    work.struct_size = offsetof(McFramesWork, map_width);
    work.map_width = 77;
    if (frames) mc_frames_work(frames, &work);
    CHECK_EQ(work.work.turns, 12);
    CHECK_EQ(work.map_width, 77);
    if (frames) mc_frames_free(frames);
    McStats stats{};
    stats.struct_size = offsetof(McStats, cache);
    stats.cache = MC_CACHE_FLOWCACHE; // not what the request has
    stats.work.turns = 77;
    mc_session_stats(session, &stats);
    CHECK_EQ(stats.frames, 9);
    CHECK_EQ(stats.height, 48);
    CHECK(stats.cache == MC_CACHE_FLOWCACHE);
    CHECK_EQ(stats.work.turns, 77);
    McChunkStats chunk{};
    chunk.struct_size = offsetof(McChunkStats, work);
    chunk.work.turns = 77;
    CHECK_EQ(mc_session_chunk_stats(session, 0, &chunk), 1);
    CHECK_EQ(chunk.frames, 9);
    CHECK_EQ(chunk.work.turns, 77);
    CHECK_EQ(chunk.struct_size, offsetof(McChunkStats, work));
    mc_session_free(session);
}

TEST(a_bad_value_is_one_sentence_with_its_name) {
    const auto refused = [](const std::string& name, CRequest r,
                            const std::function<void(CRequest&)>& change) {
        change(r);
        McError error;
        McSession* session = mc_session_new(demo(), r.whole(), &error);
        if (session || error.status != MC_ERROR_SETTINGS || !std::strstr(error.message, name.c_str()))
            test::fail(__FILE__, __LINE__, "not refused by name: " + name + ": " + error.message);
        const std::string message = error.message;
        CHECK(message.empty() || message.back() == '.');
        mc_session_free(session);
    };
    const double infinite = std::numeric_limits<double>::infinity(),
                 none = std::numeric_limits<double>::quiet_NaN();
    const struct {
        const char* name;
        double McCacheOptions::*field;
        std::vector<double> bad;
    } numbers[] = {
        {"cache-threshold", &McCacheOptions::threshold, {0, -0.1, infinite, -infinite, none}},
        {"cache-weight-floor", &McCacheOptions::weight_floor, {-0.01, 2, infinite, none}},
        {"cache-vote", &McCacheOptions::vote, {-1, -0.01, 1.5, infinite, none}},
        {"cache-min-ratio", &McCacheOptions::min_ratio, {-0.01, 1.01}},
        {"cache-first-share", &McCacheOptions::first_share, {0, -1, 2}},
        {"cache-noise-power", &McCacheOptions::noise_power, {-1, 9, infinite}},
    };
    for (const auto& n : numbers)
        for (double bad : n.bad)
            refused(n.name, motioncache(), [&](CRequest& r) { r.caching.*n.field = bad; });
    for (int bad : {-5, -1}) {
        refused("cache-warmup", motioncache(), [&](CRequest& r) { r.caching.warmup = bad; });
        refused("cache-coarse-updates", motioncache(), [&](CRequest& r) { r.caching.coarse_updates = bad; });
    }
    CRequest teacache = request();
    teacache.caching.kind = MC_CACHE_TEACACHE;
    refused("cache-warmup", teacache, [](CRequest& r) { r.caching.warmup = -5; });
    refused("cache-threshold", teacache, [](CRequest& r) { r.caching.threshold = 0; });
    // A number of a later version; no larger than what a C++ program may read from the enumeration.
    refused("the number 7", motioncache(), [](CRequest& r) { r.caching.kind = static_cast<McCache>(7); });
    refused("the number 3", motioncache(),
            [](CRequest& r) { r.finished_chunks = static_cast<McFinished>(3); });
    refused("finished-chunks", request(),
            [](CRequest& r) { r.attention = MC_ATTENTION_CAUSAL, r.finished_chunks = MC_FINISHED_FROZEN; });
}

TEST(what_is_unset_is_not_there) {
    CRequest r = request(9);
    r.attention = MC_ATTENTION_CAUSAL; // where a cache setting without a cache would be refused
    for (double McCacheOptions::*field :
         {&McCacheOptions::threshold, &McCacheOptions::weight_floor, &McCacheOptions::vote,
          &McCacheOptions::min_ratio, &McCacheOptions::first_share, &McCacheOptions::noise_power})
        r.caching.*field = MC_UNSET;
    r.caching.warmup = r.caching.coarse_updates = MC_UNSET;
    McError error;
    McSession* session = mc_session_new(demo(), r.whole(), &error);
    CHECK(session != nullptr && error.status == MC_OK);
    if (!session) return;
    CHECK_EQ(stats_of(session).cache, MC_CACHE_NONE);
    mc_session_free(session);
    CRequest vote = motioncache(9);
    vote.caching.vote = MC_NO_VOTE;
    CHECK_EQ(run(vote).stats.cache, MC_CACHE_MOTIONCACHE);
}

TEST(a_struct_that_is_not_ours_is_refused) {
    McError error;
    CRequest r = request(9);
    const auto refused = [&](const char* init) {
        McSession* session = mc_session_new(demo(), r.whole(), &error);
        CHECK(session == nullptr && error.status == MC_ERROR_SETTINGS);
        CHECK(std::strstr(error.message, init) != nullptr);
    };
    for (size_t size : {size_t(0), sizeof(McRequest) + 8, ~size_t(0)}) {
        r.struct_size = size;
        refused("mc_request_init");
    }
    r = request(9);
    r.caching.struct_size = 0;
    refused("mc_cache_options_init");
    McModelOptions options;
    mc_model_options_init(&options, sizeof options);
    options.struct_size = 0;
    CHECK(mc_model_open(&options, &error) == nullptr);
    CHECK(std::strstr(error.message, "mc_model_options_init") != nullptr);
}

// A program built against an older, shorter struct: nothing is written behind it, and what it lacks is not set.
TEST(a_shorter_struct_is_read_as_far_as_it_goes) {
    CRequest r = request(9);
    const size_t older = offsetof(McRequest, reference_windows);
    r.reference_windows = 77;
    mc_request_init(&r, older);
    CHECK_EQ(r.reference_windows, 77);
    CHECK_EQ(r.struct_size, older);
    r.prompt = "ball", r.width = 64, r.height = 48, r.num_frames = 9, r.steps = 2, r.ar_step = 0;
    McError error;
    McSession* session = mc_session_new(demo(), r.whole(), &error);
    CHECK(session != nullptr);
    mc_session_free(session);
}

// Each network's file loses its second half when loading has begun: an error, and no signal.
TEST(weights_that_shrink_while_they_are_loaded) {
    namespace fs = std::filesystem;
    for (const char* file : {"transformer/diffusion_pytorch_model.safetensors",
                             "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"}) {
        const test::ModelCopy folder(root + "/models/demo");
        const fs::path part = folder.path / fs::path(file).parent_path();
        fs::remove(part); // the link
        fs::copy(fs::path(root) / "models/demo" / fs::path(file).parent_path(), part,
                 fs::copy_options::recursive);
        const fs::path weights = folder.path / file;
        fs::permissions(weights, fs::perms::owner_write, fs::perm_options::add);
        const std::string path = folder.path.string();
        McModelOptions options;
        mc_model_options_init(&options, sizeof options);
        options.path = path.c_str();
        options.device = "cpu";
        options.threads = 1;
        options.user = const_cast<fs::path*>(&weights);
        options.progress = [](void* user, double, const char*) {
            const fs::path& shrinks = *static_cast<const fs::path*>(user);
            static constexpr uintmax_t LEFT = 4096;
            if (fs::file_size(shrinks) > LEFT) fs::resize_file(shrinks, LEFT);
        };
        McError error;
        McModel* model = mc_model_open(&options, &error);
        CHECK(model == nullptr);
        mc_model_free(model);
        CHECK_EQ(error.status, MC_ERROR_READ);
        CHECK(std::string(error.message).find(weights.string() + ": became shorter while it was read") == 0);
    }
}

int main(int argc, char** argv) {
    root = argv[1];
    const int failed = test::run_tests(argc - 1, argv + 1);
    mc_model_free(demo());
    return failed;
}
