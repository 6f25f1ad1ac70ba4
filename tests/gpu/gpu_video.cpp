// SPDX-License-Identifier: LGPL-2.1-or-later
// One whole video on a device, twice: gpu-video MODEL --device DEVICE [--PROPERTY VALUE...], any of the element's.
// Prints a line of JSON for each: seconds by part, and memory taken against planned. Ends with 1 where more was taken.
#include <ATen/ATen.h>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/cuda/load_cuda.h"
#include "engine/error.h"
#include "engine/session/session.h"
#include "tests/gpu/taken.h"
#include "tools/bench/arguments.h"

using namespace mc;

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

bool make(const std::shared_ptr<const session::Family>& model, const session::Request& request, const char* which,
          double load) {
    const test::Taken taking(model->placement.device);
    const auto start = Clock::now();
    session::Session video(model, request);
    int64_t frames = 0;
    while (const auto next = video.next()) frames += next->pixels.size(1);
    const double seconds = since(start);
    const session::Stats s = video.stats();
    const int64_t taken = taking.most(), planned = s.bytes_planned - s.bytes_weights;
    const nlohmann::json line{{"part", "video"},
                              {"which", which},
                              {"dtype", name_of(model->placement.precision)},
                              {"width", s.width},
                              {"height", s.height},
                              {"frames", frames},
                              {"forwards", s.forwards},
                              {"load", load},
                              {"seconds", seconds},
                              {"text", s.seconds_text},
                              {"transformer", s.seconds_transformer},
                              {"cache", s.seconds_cache},
                              {"scheduler", s.seconds_schedule},
                              {"vae", s.seconds_vae},
                              {"weights", s.bytes_weights},
                              {"taken", taken},
                              {"planned", planned}};
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
    return frames > 0 && taken <= planned;
}

} // namespace

int main(int argc, char** argv) {
    bench::Arguments given;
    given.request.prompt = "a white boat moving left on the sea";
    given.request.seed = 0;
    try {
        bench::read_arguments(argc, argv, given, {{"--device", [&](const std::string& value) {
                                                      given.options.opened = device_by_name(value);
                                                  }}});
        if (given.model.empty()) throw Error(MC_ERROR_SETTINGS, "Which model? Give its folder.");
        const auto start = Clock::now();
        const auto model = session::open_family(given.model, given.options);
        const double load = since(start);
        const bool first = make(model, given.request, "first", load), then = make(model, given.request, "then", load);
        return !(first && then);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "gpu-video: %s\n", e.what());
        return 2;
    }
}
