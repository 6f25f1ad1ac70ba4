// SPDX-License-Identifier: LGPL-2.1-or-later
// A model of the published 1.3B's sizes, but for two layers, is opened from its files in both layouts and makes a video
// of one step: seconds and resident memory, which is bounded. published_session_test ROOT RANDOM_WEIGHTS: the second is
// the program that writes such models.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <malloc.h>

#include "engine/session/memory.h"
#include "tests/model/published.h"
#include "tests/session/demo.h"

using namespace mc;
using namespace mc::session;
namespace fs = std::filesystem;

static std::string writer;

namespace {

// The sanitizer's own memory is most of what a process has then.
#ifdef __SANITIZE_ADDRESS__
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
constexpr int64_t MIB = 1 << 20, LARGEST = int64_t(9216) * 1536 * 4; // bytes of the largest matrix in float32

double mb(int64_t bytes) {
    return bytes / 1e6;
}

// From here on: how long, and the most that was resident beyond what was there.
class Measure {
  public:
    Measure() {
        malloc_trim(0); // what the last one gave back does not count
        std::ofstream("/proc/self/clear_refs") << 5; // the peak begins anew
        const Resident memory = resident_memory();
        if (memory.most > memory.now + 64 * MIB) SKIP("this kernel does not let the peak of memory begin anew");
        before_ = memory.now;
    }
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
    int64_t held() const { return resident_memory().now - before_; }
    int64_t most() const { return resident_memory().most - before_; }

  private:
    int64_t before_;
    const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

} // namespace

TEST(a_published_size_runs_in_both_layouts) {
    if (sanitized) SKIP("resident memory is AddressSanitizer's");
    if (free_memory() < int64_t(5) << 30) SKIP("needs 5 GiB of free memory");
    const test::TemporaryFolder folder;
    ::setenv("MOTIONCACHE_TEXT_CACHE", "never", 1); // each reads its text encoder
    at::Tensor first;
    for (const std::string layout : {"diffusers", "original"}) {
        const std::string place = folder.path + "/" + layout;
        const std::string command = "MC_SOURCE_ROOT='" + test::root + "' '" + writer +
                                    "' --sparse --layers 2 --text-layers 1 --layout " + layout + " '" + place + "'";
        CHECK_EQ(std::system(command.c_str()), 0);
        std::vector<std::string> told;
        LoadOptions o;
        o.device = "cpu", o.threads = 2, o.precision = Precision::BFLOAT16;
        o.log = [&](int, const std::string& text) {
            if (text.find(" read in ") != std::string::npos) told.push_back(text);
        };
        const Measure opening;
        const auto model = skyreels_v2::Model::open(place, o);
        const int64_t weights = model->bytes(), text = model->text_encoder->weight_bytes();
        std::printf("     %-9s opened in %.1f s: weights %.0f MB, resident %.0f, at most %.0f\n", layout.c_str(),
                    opening.seconds(), mb(weights), mb(opening.held()), mb(opening.most()));
        // Once: never the files, nor one network in the type that it is stored in, nor what packing has left behind.
        CHECK(opening.held() >= weights && opening.held() < weights + 96 * MIB);
        CHECK(opening.most() < weights + 3 * LARGEST + 64 * MIB);

        Request r;
        r.prompt.emplace("a red ball");
        r.seed = 3, r.width = 64, r.height = 48, r.num_frames = 5, r.steps = 1;
        r.cache.kind = CacheKind::NONE;
        const Measure running;
        Stats stats;
        const at::Tensor frames = test::video(model, r, &stats);
        std::printf("     %-9s a step in %.1f s: planned %.0f MB beside the weights, of which the text encoder is %.0f; "
                    "resident at most %.0f, afterwards %.0f\n",
                    layout.c_str(), running.seconds(), mb(stats.bytes_planned - stats.bytes_weights), mb(text),
                    mb(running.most()), mb(running.held()));
        CHECK(frames.sizes() == at::IntArrayRef({3, 5, 48, 64}));
        CHECK(frames.std().item<double>() > 1e-3);
        CHECK(running.most() >= text && running.most() < stats.bytes_planned - stats.bytes_weights + 64 * MIB);
        CHECK(running.held() < text / 8); // the encoder is gone
        CHECK_EQ(told.size(), size_t(2));
        for (const std::string& line : told) std::printf("     %s\n", line.c_str());
        CHECK(told.front().starts_with("model read in ") && told.back().starts_with("text encoder read in "));
        CHECK(told.front().find(" weights of " + gibibytes(weights) + ";") != std::string::npos);
        CHECK(told.back().find(" weights of " + gibibytes(text) + ";") != std::string::npos);

        // The same numbers by other names, in other files.
        if (first.defined()) CHECK(frames.equal(first));
        first = frames;
        fs::remove_all(place);
    }
}

int main(int argc, char** argv) {
    test::root = argv[1], writer = argv[2];
    ::setenv("MC_SOURCE_ROOT", argv[1], 1);
    return test::run_tests(1, argv);
}
