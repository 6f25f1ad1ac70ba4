#include "engine/session/loading.h"

#include <algorithm>
#include <thread>
#include <unistd.h>

#include "engine/cuda/load_cuda.h"
#include "engine/error.h"
#include "engine/processor.h"
#include "engine/session/memory.h"

namespace mc::session {

static at::Device choose_device(const std::string& name) {
    if (name == "cpu") return at::kCPU;
    // The driver's device file tells cheaply whether trying makes sense.
    if (name == "auto") return ::access("/dev/nvidiactl", F_OK) == 0 ? open_cuda(0) : at::Device(at::kCPU);
    if (name == "cuda") return open_cuda(0);
    if (name.rfind("cuda:", 0) == 0) {
        std::string index = name.substr(5);
        if (!index.empty() && index.size() < 4 && index.find_first_not_of("0123456789") == std::string::npos)
            return open_cuda(std::stoi(index));
    }
    throw Error(MC_ERROR_SETTINGS,
                "device is \"" + name + "\" but must be auto, cpu or cuda:N with the number of a GPU.");
}

Placement place(const LoadOptions& o) {
    Placement p;
    p.device = choose_device(o.device);
    p.precision = o.precision.value_or(p.device.is_cpu() ? Precision::FLOAT32 : Precision::BFLOAT16);
    p.threads =
        o.threads > 0 ? o.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    set_thread_count(p.threads);
    return p;
}

void check_fits(const Placement& placement, int64_t bytes) {
    if (placement.device.is_cpu())
        check_memory(bytes, "The model",
                     placement.precision == Precision::FLOAT32
                         ? "set precision=bfloat16 to halve it, or use a smaller model."
                         : "use a smaller model or a machine with more memory.");
}

} // namespace mc::session
