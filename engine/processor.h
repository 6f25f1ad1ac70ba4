// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The processors: how many threads work, and what they share. ATen/Parallel.h by itself is most of what a file costs to
// compile.
#include <c10/util/FunctionRef.h>
#include <cstdint>

namespace mc {

// Of the calling thread's parallel work; available_processors() until it is set. LibTorch's own is set with it.
int thread_count();
void set_thread_count(int count);

// body(first, last) over disjoint pieces of [begin, end) of at least `grain`, at once where threads are free: ours
// (engine/thread_pool.h), not LibTorch's. How it is cut depends on the number of threads and on who else is at work on
// this machine: no result may. Within a body it is not parallel.
void parallel_for(int64_t begin, int64_t end, int64_t grain, c10::function_ref<void(int64_t, int64_t)> body);

// While it lives, LibTorch's own operations take so many threads. Those spin for milliseconds after each operation, on
// the processors that ours need: 1 where it has small ones only.
class LibraryThreads {
  public:
    explicit LibraryThreads(int count);
    ~LibraryThreads();
    LibraryThreads(const LibraryThreads&) = delete;

  private:
    const int before_;
};

} // namespace mc
