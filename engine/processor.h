// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The processor as LibTorch uses it. ATen/Parallel.h by itself is most of what a file costs to compile.
#include <c10/util/FunctionRef.h>
#include <cstdint>

namespace mc {

int thread_count();
void set_thread_count(int count); // of the calling thread's parallel work

// body(first, last) over disjoint pieces of [begin, end) of at least `grain`, at once where threads are free.
void parallel_for(int64_t begin, int64_t end, int64_t grain, c10::function_ref<void(int64_t, int64_t)> body);

// Whether the processor has units for matrix products of bfloat16 (AMX), which LibTorch's library uses.
bool matrix_units();

} // namespace mc
