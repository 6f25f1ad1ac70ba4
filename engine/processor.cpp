// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/processor.h"

#include <ATen/Parallel.h>
#include <ATen/core/ivalue.h>
#include <ATen/cpu/Utils.h>

namespace mc {

int thread_count() {
    return at::get_num_threads();
}
void set_thread_count(int count) {
    at::set_num_threads(count);
}

void parallel_for(int64_t begin, int64_t end, int64_t grain, c10::function_ref<void(int64_t, int64_t)> body) {
    at::parallel_for(begin, end, grain, body);
}

bool matrix_units() {
    static const bool found = [] {
        auto capabilities = at::cpu::get_cpu_capabilities();
        auto amx = capabilities.find("amx_bf16");
        return amx != capabilities.end() && amx->second.isBool() && amx->second.toBool();
    }();
    return found;
}

} // namespace mc
