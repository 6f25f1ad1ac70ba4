#include "engine/processor.h"

#include <ATen/Parallel.h>
#include <ATen/core/ivalue.h>
#include <ATen/cpu/Utils.h>

namespace mc {

int thread_count() { return at::get_num_threads(); }
void set_thread_count(int count) { at::set_num_threads(count); }

void parallel_for(int64_t begin, int64_t end, int64_t grain, c10::function_ref<void(int64_t, int64_t)> body) {
    at::parallel_for(begin, end, grain, body);
}

bool native_bfloat16() {
    static const bool native = [] {
        auto capabilities = at::cpu::get_cpu_capabilities();
        for (const char* name : {"avx512_bf16", "amx_bf16"}) {
            auto found = capabilities.find(name);
            if (found != capabilities.end() && found->second.isBool() && found->second.toBool()) return true;
        }
        return false;
    }();
    return native;
}

} // namespace mc
