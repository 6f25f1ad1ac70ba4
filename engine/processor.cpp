// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/processor.h"

#include <ATen/Parallel.h>
#include <algorithm>
#include <memory>

#include "engine/available_processors.h"
#include "engine/thread_pool.h"

namespace mc {
namespace {

// Per thread, beside other programs: one that is held up leaves the rest to the others.
constexpr int64_t PIECES = 8;

thread_local int threads_wanted = 0;
thread_local std::unique_ptr<ThreadPool> pool; // of the calling thread

} // namespace

int thread_count() {
    static const int available = available_processors();
    return threads_wanted > 0 ? threads_wanted : available;
}
void set_thread_count(int count) {
    threads_wanted = count;
    at::set_num_threads(count);
}

void parallel_for(int64_t begin, int64_t end, int64_t grain, c10::function_ref<void(int64_t, int64_t)> body) {
    if (begin >= end) return;
    const int64_t all = end - begin, threads = thread_count();
    if (threads == 1 || all <= std::max<int64_t>(grain, 1) || ThreadPool::inside()) return body(begin, end);
    if (!pool || pool->threads() != threads) {
        pool.reset();
        pool = std::make_unique<ThreadPool>(int(threads), [] { at::set_num_threads(1); });
    }
    const int64_t pieces = threads * (pool->contended() ? PIECES : 1);
    const int64_t size = std::max({int64_t{1}, grain, (all + pieces - 1) / pieces});
    struct Work {
        int64_t begin, end, size;
        c10::function_ref<void(int64_t, int64_t)> body;
    } work{begin, end, size, body};
    pool->run((all + size - 1) / size,
              [](void* user, int64_t piece) {
                  const Work& w = *static_cast<Work*>(user);
                  const int64_t first = w.begin + piece * w.size;
                  w.body(first, std::min(w.end, first + w.size));
              },
              &work);
}

LibraryThreads::LibraryThreads(int count) : before_(at::get_num_threads()) {
    at::set_num_threads(count);
}
LibraryThreads::~LibraryThreads() {
    at::set_num_threads(before_);
}

} // namespace mc
