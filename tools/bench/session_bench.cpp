// SPDX-License-Identifier: LGPL-2.1-or-later
// One run of a bare session, measured part by part. Prints one line of JSON:
//
//     motioncache-session-bench MODEL [--dtype float32|bfloat16] [--threads N] [--prompt TEXT] [--frames N]
//                               [--PROPERTY VALUE ...]
//
// PROPERTY: any of the element's, as in --steps 30 --attention kv. What is not given takes the model's default. Seconds
// are wall-clock, from the request to the last frame in I420, loading apart. tools/bench/benchmark.py runs this and
// makes a table of it.
#include <c10/core/InferenceMode.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/session/session.h"
#include "kernels/kernels.h"
#include "tools/bench/arguments.h"
#include "tools/bench/run_alone.h"

using namespace mc;

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t resident_bytes() {
    int64_t total = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * 4096;
}
int64_t peak_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss * 1024;
}

// Frames as the element writes them, into memory that is used again.
class Colour {
  public:
    void write(const session::Frames& frames) {
        auto start = Clock::now();
        at::Tensor pixels = frames.pixels.contiguous(); // [3, n, H, W]
        size_t height = pixels.size(2), width = pixels.size(3);
        buffer_.resize(width * height * 3 / 2);
        uint8_t* const planes[3] = {buffer_.data(), buffer_.data() + width * height,
                                    buffer_.data() + width * height * 5 / 4};
        const size_t strides[3] = {width, width / 2, width / 2};
        for (int64_t i = 0; i < pixels.size(1); i++)
            kernels::picture_to_i420({pixels.const_data_ptr<float>() + i * height * width,
                                      size_t(pixels.stride(0)), width, height},
                                     planes, strides);
        seconds += since(start);
    }
    double seconds = 0;

  private:
    std::vector<uint8_t> buffer_;
};

nlohmann::json measure(const std::string& path, const session::LoadOptions& options,
                       session::Request request) {
    c10::InferenceMode guard;
    const int64_t empty = resident_bytes();
    auto start = Clock::now();
    auto model = session::open_family(path, options);
    const double load = since(start);

    start = Clock::now();
    session::Session run(model, std::move(request));
    Colour colour;
    double first = 0;
    while (auto frames = run.next()) {
        colour.write(*frames);
        if (!first) first = since(start);
    }
    const double seconds = since(start);
    const int64_t peak = peak_bytes();
    const session::Stats s = run.stats();

    const networks::CallCount run_calls = run.calls();
    auto store = networks::store_for(model->placement.precision, model->placement.device);
    bench::Alone alone = bench::run_alone(run_calls, store, s.forwards);
    const bench::ProductRate rate = bench::product_rate(store);
    nlohmann::json calls = nlohmann::json::array();
    for (const auto& [call, count] : run_calls.counts())
        calls.push_back({{"kind", call.kind == networks::Call::GEMM ? "gemm" : "attention"},
                         {"m", call.m},
                         {"n", call.n},
                         {"k", call.k},
                         {"heads", call.heads},
                         {"count", count}});
    return {
        {"dtype", model->placement.precision == Precision::FLOAT32 ? "float32" : "bfloat16"},
        {"threads", model->placement.threads},
        {"seconds", seconds},
        {"text", s.seconds_text},
        {"transformer", s.seconds_transformer},
        {"scheduler", s.seconds_schedule},
        {"vae", s.seconds_vae},
        {"colour", colour.seconds},
        {"first_frame", first},
        {"load", load},
        {"width", s.width},
        {"height", s.height},
        {"frames", s.frames},
        {"transformer_calls", s.forwards},
        {"flop", {{"text", s.flop_text}, {"transformer", s.flop_transformer}, {"vae", s.flop_vae}}},
        {"alone", {{"gemm", alone.gemm}, {"attention", alone.attention}, {"library", alone.library}}},
        {"product_rate", {{"library", rate.library}, {"own", rate.own}}},
        {"bytes",
         {{"before_loading", empty},
          {"peak", peak},
          {"weights", s.bytes_weights},
          {"planned", s.bytes_planned}}},
        {"calls", calls},
    };
}

} // namespace

int main(int argc, char** argv) {
    bench::Arguments given;
    given.request.prompt = "a white boat moving left on the sea";
    given.request.seed = 0;
    try {
        bench::read_arguments(argc, argv, given, {});
        if (given.model.empty()) throw Error(MC_ERROR_SETTINGS, "Which model? Give its folder.");
        std::cout << measure(given.model, given.options, std::move(given.request)) << std::endl;
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
