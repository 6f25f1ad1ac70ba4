// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/loading.h"

#include "engine/available_processors.h"
#include "engine/processor.h"
#include "engine/session/memory.h"

namespace mc::session {

int thread_count(const LoadOptions& o) {
    return o.threads > 0 ? o.threads : available_processors();
}

at::Device choose_device(const LoadOptions& o, const std::function<void(int level, const std::string& text)>& log) {
    return o.opened ? *o.opened : choose_device(o.device, o.cuda, log);
}

Precision precision_on(at::Device device, const LoadOptions& o) {
    return o.precision.value_or(device.is_cpu() ? Precision::FLOAT32 : Precision::BFLOAT16);
}

Placement place(const LoadOptions& o) {
    Placement p;
    p.device = choose_device(o, o.log);
    p.precision = precision_on(p.device, o);
    p.threads = thread_count(o);
    set_thread_count(p.threads);
    return p;
}

void check_weights_fit(int64_t bytes, Precision precision, at::Device device, std::optional<int64_t> in_bytes) {
    check_memory(
        bytes, "The model",
        [&](int64_t free) -> std::string {
            if (precision == Precision::FLOAT32 && bytes / 2 <= free) return "set precision=bfloat16 to halve it.";
            if (in_bytes && *in_bytes <= free)
                return "set weights-precision=int8, with which they take " + gibibytes(*in_bytes) + ".";
            return device.is_cpu() ? "use a smaller model or a machine with more memory."
                                   : "use a smaller model, or device=cpu.";
        },
        device);
}

} // namespace mc::session
