// SPDX-License-Identifier: LGPL-2.1-or-later
// What is said of a request before weights are read, through the C API: every contradiction, in folders whose weights
// cannot be opened at all, so that an error which is the contradiction was found without them. And warnings of what is
// done, but not wholly.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sys/stat.h>
#include <vector>

#include "engine/motioncache.h"
#include "tests/check.h"
#include "tests/session/c_request.h"

using namespace mc;
namespace fs = std::filesystem;

static std::string root;

namespace {

// The demo model's JSON files and tokenizer; where it has weights, what `put` puts there.
struct Folder {
    fs::path path;
    explicit Folder(const std::function<void(const fs::path&)>& put) {
        std::string name = fs::temp_directory_path() / "motioncache-early-XXXXXX";
        if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
        path = name;
        const fs::path demo = root + "/models/demo";
        for (const auto& entry : fs::recursive_directory_iterator(demo)) {
            const fs::path to = path / fs::relative(entry.path(), demo);
            if (entry.is_directory())
                fs::create_directories(to);
            else if (entry.path().extension() == ".safetensors")
                put(to);
            else
                fs::copy_file(entry.path(), to);
        }
    }
    ~Folder() { fs::remove_all(path); }
};
void pipe(const fs::path& to) { CHECK(::mkfifo(to.c_str(), 0600) == 0); }
void nothing(const fs::path&) {}
void cut_off(const fs::path& to) { std::ofstream(to) << "cut"; }

test::CRequest request() {
    test::CRequest r;
    r.prompt = "a red ball bouncing over green hills";
    return r;
}

struct Asked {
    McModelOptions options;
    test::CRequest request = ::request();
    Asked() {
        mc_model_options_init(&options, sizeof options);
        options.device = "cpu";
    }
};

const uint8_t picture[4 * 4 * 3] = {};
const uint8_t* const rgb = picture;

// A contradiction, and words of what is said of it.
struct Case {
    std::function<void(Asked&)> set;
    const char* words;
};
const std::vector<Case> cases = {
    {[](Asked& a) { a.request.prompt = " "; }, "No prompt"},
    {[](Asked& a) { a.request.prompt = "ball \xff"; }, "UTF-8"},
    {[](Asked& a) { a.request.seed = -7; }, "seed is -7"},
    {[](Asked& a) { a.request.width = 100; }, "width 100 is not a multiple of 16"},
    {[](Asked& a) {
         a.request.width = 16384;
         a.request.height = 16400;
     },
     "height"},
    {[](Asked& a) { a.request.frame_rate_n = 0; }, "frame-rate-n is 0"},
    {[](Asked& a) { a.request.num_frames = 0; }, "num-frames is 0"},
    {[](Asked& a) { a.request.steps = 1001; }, "steps is 1001"},
    {[](Asked& a) { a.request.shift = -1; }, "shift is -1"},
    {[](Asked& a) { a.request.shift = 0.001; }, "shift is 0.001"},
    {[](Asked& a) { a.request.guidance_scale = INFINITY; }, "guidance-scale"},
    {[](Asked& a) { a.request.addnoise_condition = 1000; }, "addnoise-condition is 1000"},
    {[](Asked& a) { a.request.causal_block_size = 0; }, "causal-block-size is 0"},
    {[](Asked& a) {
         a.request.image = {rgb, 4, 4, 12};
         a.request.causal_block_size = 3;
     },
     "causal-block-size=1"},
    {[](Asked& a) {
         a.request.image = {rgb, 4, 4, 12};
     },
     "causal-block-size=1"}, // the model's is 3
    {[](Asked& a) {
         a.request.end_image = {rgb, 4, 4, 12};
         a.request.causal_block_size = 1;
     },
     "end-image needs image"},
    {[](Asked& a) {
         a.request.image = a.request.end_image = {rgb, 4, 4, 12};
         a.request.causal_block_size = 1;
     },
     "end-image needs attention=full"},
    {[](Asked& a) {
         a.request.image = {rgb, 16, 1, 48};
         a.request.causal_block_size = 1;
         a.request.width = 16, a.request.height = 4096;
     },
     "too"},
    {[](Asked& a) {
         a.request.attention = MC_ATTENTION_FULL;
         a.request.finished_chunks = MC_FINISHED_REFRESHED;
     },
     "finished-chunks"},
    {[](Asked& a) {
         a.request.attention = MC_ATTENTION_FULL;
         a.request.caching.kind = MC_CACHE_MOTIONCACHE;
     },
     "needs attention=kv"},
    {[](Asked& a) {
         a.request.attention = MC_ATTENTION_CAUSAL;
         a.request.caching.kind = MC_CACHE_FLOWCACHE;
     },
     "needs attention=kv"},
    {[](Asked& a) {
         a.request.caching.kind = MC_CACHE_NONE;
         a.request.caching.threshold = 0.1;
     },
     "cache-threshold is set"},
    {[](Asked& a) {
         a.request.caching.kind = MC_CACHE_FLOWCACHE;
         a.request.caching.vote = 0.5;
     },
     "belongs to cache=motioncache"},
    {[](Asked& a) {
         a.request.attention = MC_ATTENTION_FULL;
         a.request.caching.kind = MC_CACHE_TEACACHE;
         a.request.caching.reuse = MC_CACHE_REUSE_TAYLOR;
     },
     "need attention=kv"},
    {[](Asked& a) {
         a.request.caching.kind = MC_CACHE_MOTIONCACHE;
         a.request.caching.weights = MC_CACHE_WEIGHTS_MEAN;
         a.request.caching.weight_floor = 0.5;
     },
     "cache-weight-floor"},
    {[](Asked& a) { a.request.caching.preset = McCachePreset(77); }, "number 77"},
    {[](Asked& a) { a.request.attention = McAttention(9); }, "number 9"},
    {[](Asked& a) { a.request.caching.threshold = -1; }, "cache-threshold is -1"},
    {[](Asked& a) {
         a.request.num_frames = 200;
         a.request.overlap_history = 57;
     },
     "overlap-history"},
    {[](Asked& a) {
         a.request.num_frames = 200;
         a.request.base_num_frames = 41;
     },
     "base-num-frames"},
    {[](Asked& a) { a.request.num_frames = a.request.base_num_frames = 8997; }, "lower base-num-frames"},
    {[](Asked& a) { a.request.ar_step = -1; }, "ar-step is -1"},
    {[](Asked& a) { a.options.device = "gpu"; }, "device is \"gpu\""},
    {[](Asked& a) { a.options.device = "cuda:900"; }, "cuda:900"},
    {[](Asked& a) { a.options.threads = -1; }, "threads is -1"},
};

} // namespace

TEST(contradictions_are_told_without_the_weights) {
    for (const auto put : {pipe, nothing, cut_off}) {
        const Folder folder(put);
        const std::string path = folder.path.string();
        for (const Case& c : cases) {
            Asked a;
            a.options.path = path.c_str();
            c.set(a);
            McError error{};
            CHECK(!mc_request_check(&a.options, a.request.whole(), &error));
            if (std::string(error.message).find(c.words) == std::string::npos)
                test::fail(__FILE__, __LINE__, std::string("\"") + c.words + "\" is not in: " + error.message);
        }
        // Nothing contradicts itself: now the weights are what is wrong.
        Asked a;
        a.options.path = path.c_str();
        McError error{};
        CHECK(!mc_request_check(&a.options, a.request.whole(), &error));
        CHECK(error.status == MC_ERROR_READ || error.status == MC_ERROR_NOT_FOUND);
        CHECK(std::string(error.message).find("safetensors") != std::string::npos);
    }
}

TEST(a_damaged_calibration_is_told_without_the_weights) {
    const Folder folder(nothing);
    std::ofstream(folder.path / "motioncache.json") << "{";
    const std::string path = folder.path.string();
    Asked a;
    a.options.path = path.c_str();
    McError error{};
    CHECK(!mc_request_check(&a.options, a.request.whole(), &error));
    CHECK(std::string(error.message).find("motioncache.json") != std::string::npos);
}

TEST(what_can_be_made_passes) {
    const std::string path = root + "/models/demo";
    Asked a;
    a.options.path = path.c_str();
    McError error{};
    if (!mc_request_check(&a.options, a.request.whole(), &error)) test::fail(__FILE__, __LINE__, error.message);
    CHECK_EQ(int(error.status), int(MC_OK));
}

TEST(memory_is_refused_with_both_numbers) {
    const std::string path = root + "/models/demo";
    Asked a;
    a.options.path = path.c_str();
    a.request.width = a.request.height = 16384;
    a.request.num_frames = a.request.base_num_frames = 4089;
    McError error{};
    CHECK(!mc_request_check(&a.options, a.request.whole(), &error));
    CHECK_EQ(int(error.status), int(MC_ERROR_MEMORY));
    CHECK(std::string(error.message).find("GiB are free") != std::string::npos);
    CHECK(std::string(error.message).find("would fit") != std::string::npos);
}

// The same numbers as the session's, which has read the weights.
TEST(a_plan_tells_the_memory) {
    const std::string path = root + "/models/demo";
    Asked a;
    a.options.path = path.c_str();
    McPlan plan{};
    plan.struct_size = sizeof plan;
    McError error{};
    if (!mc_plan(&a.options, a.request.whole(), &plan, &error)) test::fail(__FILE__, __LINE__, error.message);
    CHECK(plan.fits && !plan.would_fit[0] && !plan.text_encoder_apart);
    CHECK_EQ(std::string(plan.device), "cpu");
    McModel* model = mc_model_open(&a.options, &error);
    McSession* session = mc_session_new(model, a.request.whole(), &error);
    McStats stats{};
    stats.struct_size = sizeof stats;
    mc_session_stats(session, &stats);
    const int64_t weights = plan.bytes_transformer + plan.bytes_text_encoder + plan.bytes_vae;
    CHECK_EQ(stats.bytes_planned - stats.bytes_weights, plan.bytes_total - weights);
    CHECK_EQ(stats.bytes_keys_values, plan.bytes_keys_values);
    CHECK_EQ(stats.bytes_cache, plan.bytes_cache);
    CHECK(plan.bytes_vae_work > 0 && plan.bytes_activations > 0 && plan.bytes_text_work > 0);
    mc_session_free(session);
    mc_model_free(model);

    a.request.width = a.request.height = 16384;
    a.request.num_frames = a.request.base_num_frames = 4089;
    CHECK(mc_plan(&a.options, a.request.whole(), &plan, &error));
    CHECK(!plan.fits && plan.bytes_total > plan.bytes_free);
    CHECK(std::string(plan.would_fit).find("would fit.") != std::string::npos);

    McPlan short_one{};
    short_one.struct_size = offsetof(McPlan, bytes_transformer); // of a program that knows no more
    CHECK(mc_plan(&a.options, a.request.whole(), &short_one, &error));
    CHECK(!short_one.fits && short_one.bytes_transformer == 0);

    a.request.steps = 0;
    CHECK(!mc_plan(&a.options, a.request.whole(), &plan, &error));
    CHECK_EQ(int(error.status), int(MC_ERROR_SETTINGS));
}

static std::vector<std::string> warnings;
TEST(a_text_longer_than_the_model_reads_is_said) {
    std::string text, other;
    // Two tokens per word for this tokenizer, and the end token.
    for (int i = 0; i < 700; i++) text += "red ", other += "blue ball ";
    const std::string path = root + "/models/demo";
    Asked a;
    a.options.path = path.c_str();
    a.options.log = [](void*, int level, const char* text) {
        if (level <= 2) warnings.push_back(text);
    };
    McError error{};
    McModel* model = mc_model_open(&a.options, &error);
    if (!model) test::fail(__FILE__, __LINE__, error.message);
    auto run = [&](const char* prompt, const char* negative, double guidance) {
        warnings.clear();
        test::CRequest r = request();
        r.prompt = prompt;
        r.negative_prompt = negative;
        r.guidance_scale = guidance;
        r.width = 64, r.height = 48, r.num_frames = 1, r.steps = 1, r.ar_step = 0;
        McSession* session = mc_session_new(model, r.whole(), &error);
        if (!session) test::fail(__FILE__, __LINE__, error.message);
        while (McFrames* frames = mc_session_next(session, &error)) mc_frames_free(frames);
        CHECK_EQ(int(error.status), int(MC_OK));
        mc_session_free(session);
    };
    run("a red ball", "", 4);
    CHECK(warnings.empty());
    run(text.c_str(), other.c_str(), 4);
    CHECK_EQ(warnings.size(), size_t(2));
    CHECK(warnings[0].starts_with("The prompt has 1401 tokens and the model reads 512"));
    CHECK(warnings[1].starts_with("The negative prompt has 2801 tokens and the model reads 512"));
    run(text.c_str(), other.c_str(), 1); // without guidance the negative prompt is not read at all
    CHECK_EQ(warnings.size(), size_t(1));
    mc_model_free(model);
}

int main(int argc, char** argv) {
    root = argv[1];
    return mc::test::run_tests(argc - 1, argv + 1);
}
