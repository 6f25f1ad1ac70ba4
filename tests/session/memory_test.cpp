// SPDX-License-Identifier: LGPL-2.1-or-later
// What a session says it will take, against what it takes: resident memory, because keys, values and
// residuals lie in pages of their own, beside what ATen's allocator would count.
#include <fstream>
#include <malloc.h>

#include "tests/session/demo.h"

using namespace mc;
using namespace mc::session;
using test::demo;
using test::small;

namespace {

// The sanitizer's own memory is most of what a process has then.
#ifdef __SANITIZE_ADDRESS__
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
void needs_true_memory() {
    if (sanitized) SKIP("resident memory is AddressSanitizer's");
}

int64_t resident() {
    malloc_trim(0); // what was given back does not count
    int64_t total = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> total >> pages;
    return pages * 4096;
}

Request motioncache(CacheReuse reuse = CacheReuse::REPEAT) {
    Request r = small();
    r.ar_step = 0; // all chunks of a window at once
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::MOTIONCACHE;
    r.cache.threshold = 1000; // everything but the first evaluation of a chunk is reused: the test is quick
    r.cache.warmup = 0;
    r.cache.reuse = reuse;
    return r;
}

struct Taken {
    std::vector<int64_t> windows; // the most while the transformer runs, of each
    Stats stats;
};
// rows: of the schedule, after which it is enough; 0: to the end.
Taken run(const std::shared_ptr<const Family>& model, Request r, int rows = 0) {
    Taken taken;
    McCancel enough;
    r.cancel = Cancel(&enough);
    const int64_t before = resident();
    r.turns = [&](int window, const sampler::Turn& turn) {
        if (turn.branch == 0 || turn.turn.chunk > 0) return;
        taken.windows.resize(std::max<size_t>(taken.windows.size(), window + 1));
        taken.windows[window] = std::max(taken.windows[window], resident() - before);
        if (rows && turn.row + 1 == rows) enough.set = true;
    };
    Session s(model, r);
    taken.stats = s.stats();
    try {
        while (s.next()) {
        }
    } catch (const Error& e) {
        CHECK_EQ(e.status, MC_CANCELLED);
    }
    return taken;
}

double mb(int64_t bytes) {
    return bytes / 1e6;
}

} // namespace

// At a size where a layer's keys and values fill a block of memory that several share to a part only.
TEST(a_window_takes_what_was_planned) {
    needs_true_memory();
    auto m = demo();
    run(m, motioncache()); // what the process takes once is not the session's
    for (auto reuse : {CacheReuse::REPEAT, CacheReuse::TAYLOR, CacheReuse::SOLVER}) {
        Request r = motioncache(reuse);
        r.width = 320, r.height = 208;
        r.num_frames = r.base_num_frames.emplace(57);
        const Taken t = run(m, r, 2);
        const int64_t kept = t.stats.bytes_keys_values + t.stats.bytes_cache;
        // The VAE has its part of the plan and takes nothing yet.
        const int64_t vae = m->vae->decode_bytes(3, *r.height / 8, *r.width / 8);
        const int64_t planned = t.stats.bytes_planned - t.stats.bytes_weights - vae;
        std::printf("     %.1f MB taken of %.1f planned; keys and values %.1f, cache %.1f\n",
                    mb(t.windows.at(0)), mb(planned), mb(t.stats.bytes_keys_values), mb(t.stats.bytes_cache));
        CHECK(t.windows[0] <= planned + (int64_t(12) << 20)); // a dozen big pieces, each rounded to 2 MiB
        CHECK(t.windows[0] >= kept);
    }
}

// However long the video, the keys, values and residuals of one window are all there are.
TEST(a_long_video_takes_what_a_window_takes) {
    needs_true_memory();
    auto m = demo();
    Request r = motioncache();
    r.width = 128, r.height = 96;
    r.steps = 2;
    r.num_frames = r.base_num_frames.emplace(21);
    r.overlap_history = 9;
    r.long_video = LongVideo::LATENT;
    const Taken one = run(m, r);
    r.num_frames = 57;
    const Taken four = run(m, r);
    CHECK_EQ(one.windows.size(), size_t(1));
    CHECK_EQ(four.windows.size(), size_t(4));
    CHECK_EQ(four.stats.bytes_keys_values, one.stats.bytes_keys_values);
    CHECK_EQ(four.stats.bytes_cache, one.stats.bytes_cache);
    CHECK_EQ(four.stats.bytes_planned, one.stats.bytes_planned);
    std::printf("     keys and values %.1f MB; taken in the windows", mb(one.stats.bytes_keys_values));
    for (int64_t taken : four.windows) std::printf(" %.1f", mb(taken));
    std::printf(" MB\n");
    // The decoder came after the first window had begun.
    CHECK(four.windows[3] - four.windows[1] < one.stats.bytes_keys_values / 2);
}

int main(int argc, char** argv) {
    test::root = argv[1];
    return test::run_tests(argc - 1, argv + 1);
}
