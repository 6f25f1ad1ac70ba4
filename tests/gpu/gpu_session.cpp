// SPDX-License-Identifier: LGPL-2.1-or-later
// Videos of every kind on a device against the same on the CPU, noise from the seed as users have it: gpu-session
// DEVICE MODEL. Prints PSNR, seconds of the first and of a second video, and memory taken against planned; ends with 1
// where a video in float32 is below 45 dB, one in bfloat16 below 30, or more memory was taken than planned. Then some
// with the transformer's layers on the host, which must be the same bytes.
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/Exception.h>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "engine/cuda/load_cuda.h"
#include "engine/error.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/session/session.h"
#include "tests/session/variants.h"

using namespace mc;
using session::Request;
using Model = std::shared_ptr<const skyreels_v2::Model>;

namespace {

struct Made {
    at::Tensor video;
    double seconds;
    int64_t planned, taken; // beside the weights, on the device
};

Made make(const Model& model, const Request& r) {
    const at::Device device = model->placement.device;
    constexpr auto all = size_t(c10::CachingAllocator::StatType::AGGREGATE);
    c10::DeviceAllocator* allocator = device.is_cpu() ? nullptr : c10::getDeviceAllocator(device.type());
    int64_t before = 0;
    if (allocator) {
        allocator->resetPeakStats(device.index());
        before = allocator->getDeviceStats(device.index()).allocated_bytes[all].current;
    }
    const auto start = std::chrono::steady_clock::now();
    session::Session s(model, r);
    std::vector<at::Tensor> pieces;
    while (auto f = s.next()) pieces.push_back(f->pixels.clone());
    Made made;
    made.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    made.video = at::cat(pieces, 1);
    made.planned = s.stats().bytes_planned - s.stats().bytes_weights;
    made.taken = allocator ? allocator->getDeviceStats(device.index()).allocated_bytes[all].peak - before : 0;
    return made;
}

Model load(const char* path, at::Device device, Precision precision) {
    session::LoadOptions o;
    o.opened = device;
    o.precision = precision;
    return skyreels_v2::Model::open(path, o);
}

int streamed(const char* path, at::Device device, const Model& resident) {
    const Model model = load(path, device, Precision::BFLOAT16);
    model->transformer->stream(model->transformer_config.layers);
    int bad = 0, ran = 0;
    for (const auto& [what, request] : test::variants()) {
        if (what != std::string("kv") && what != std::string("motioncache")) continue;
        ran++;
        try {
            const Made want = make(resident, request), got = make(model, request);
            const bool ok = at::equal(got.video, want.video) && got.taken <= got.planned;
            std::printf("%-20s %-10s %9s %10.2f %9s %8.1f / %7.1f%s\n", what, "streamed", "same", got.seconds, "",
                        got.taken / 1e6, got.planned / 1e6, ok ? "" : "  FAIL");
            bad += !ok;
        } catch (const std::exception& e) {
            const auto* error = dynamic_cast<const c10::Error*>(&e);
            std::printf("%-20s %-10s FAIL: %.200s\n", what, "streamed",
                        error ? error->what_without_backtrace() : e.what());
            bad++;
        }
    }
    return bad + (ran != 2);
}

int run(const char* name, const char* path) {
    const at::Device device = device_by_name(name); // before any other work
    const Model fine = load(path, device, Precision::FLOAT32),
                coarse = load(path, device, Precision::BFLOAT16),
                cpu = load(path, at::kCPU, Precision::FLOAT32);
    std::printf("%-20s %-10s %9s %10s %9s %18s\n", "", "", "dB to CPU", "first, s", "then, s",
                "MB taken/planned");
    int bad = 0;
    for (const auto& [what, request] : test::variants()) {
        const at::Tensor want = make(cpu, request).video;
        for (const Model& model : {fine, coarse}) {
            const bool exact = model == fine;
            try {
                const Made first = make(model, request), then = make(model, request);
                const double error = (first.video - want).square().mean().item<double>();
                const double psnr = 10 * std::log10(4 / (error + 1e-20));
                const bool ok = psnr >= (exact ? 45 : 30) && first.taken <= first.planned;
                std::printf("%-20s %-10s %9.1f %10.2f %9.2f %8.1f / %7.1f%s\n", what,
                            name_of(model->placement.precision), psnr, first.seconds, then.seconds,
                            first.taken / 1e6, first.planned / 1e6, ok ? "" : "  FAIL");
                bad += !ok;
            } catch (const std::exception& e) {
                const auto* error = dynamic_cast<const c10::Error*>(&e);
                std::printf("%-20s %-10s FAIL: %.200s\n", what, name_of(model->placement.precision),
                            error ? error->what_without_backtrace() : e.what());
                bad++;
            }
            std::fflush(stdout);
        }
    }
    return bad + (device.is_cpu() ? 0 : streamed(path, device, coarse)) > 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: gpu-session DEVICE MODEL\n");
        return 2;
    }
    try {
        return run(argv[1], argv[2]);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "gpu-session: %s\n", e.what());
        return 2;
    }
}
