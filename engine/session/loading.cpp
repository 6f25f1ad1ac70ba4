// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/loading.h"

#include <algorithm>
#include <thread>

#include "engine/processor.h"
#include "engine/session/memory.h"

namespace mc::session {

int thread_count(const LoadOptions& o) {
    return o.threads > 0 ? o.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

Placement place(const LoadOptions& o) {
    Placement p;
    p.device = o.opened ? *o.opened : choose_device(o.device, o.cuda, o.log);
    p.precision = o.precision.value_or(p.device.is_cpu() ? Precision::FLOAT32 : Precision::BFLOAT16);
    p.threads = thread_count(o);
    set_thread_count(p.threads);
    return p;
}

void check_weights_fit(int64_t bytes, Precision precision) {
    check_memory(bytes, "The model",
                 precision == Precision::FLOAT32
                     ? "set precision=bfloat16 to halve it, or use a smaller model."
                     : "use a smaller model or a machine with more memory.");
}

} // namespace mc::session
