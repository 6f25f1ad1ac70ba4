// SPDX-License-Identifier: LGPL-2.1-or-later
// Videos of every kind on a device against the same on the CPU, noise from the seed as users have it: gpu-session
// DEVICE MODEL [VARIANT...], all of tests/session/variants.h without. Prints PSNR, seconds of the first and of a second
// video, and memory taken against planned; ends with 1 where a video in float32 is below 45 dB, one in bfloat16 below
// 30, or more memory was taken than planned. Two of them with the transformer's layers on the host as well, which must
// be the same bytes, and with eight bits.
#include <ATen/ATen.h>
#include <algorithm>
#include <c10/util/Exception.h>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "engine/cuda/load_cuda.h"
#include "engine/error.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/session/session.h"
#include "tests/gpu/taken.h"
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
    const test::Taken taking(device);
    const auto start = std::chrono::steady_clock::now();
    session::Session s(model, r);
    std::vector<at::Tensor> pieces;
    while (auto f = s.next()) pieces.push_back(f->pixels.clone());
    Made made;
    made.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    made.video = at::cat(pieces, 1);
    made.planned = s.stats().bytes_planned - s.stats().bytes_weights;
    made.taken = taking.most();
    return made;
}

Model load(const char* path, at::Device device, Precision precision, bool weights_in_bytes = false) {
    session::LoadOptions o;
    o.opened = device;
    o.precision = precision;
    o.weights_in_bytes = weights_in_bytes;
    return skyreels_v2::Model::open(path, o);
}

std::string words_of(const std::exception& e) {
    const auto* error = dynamic_cast<const c10::Error*>(&e);
    return std::string(error ? error->what_without_backtrace() : e.what()).substr(0, 200);
}

// A line of the table: `first` and `then` are two runs of it. least: dB to the CPU; infinite: the same bytes.
bool tell(const char* video, const char* how, const Made& first, const Made& then, const at::Tensor& want,
          double least) {
    const double error = (first.video - want).square().mean().item<double>();
    const double psnr = 10 * std::log10(4 / (error + 1e-20));
    const bool ok = (std::isinf(least) ? at::equal(first.video, want) : psnr >= least) && first.taken <= first.planned;
    std::printf("%-20s %-10s %9.1f %10.2f %9.2f %8.1f / %7.1f%s\n", video, how, psnr, first.seconds, then.seconds,
                first.taken / 1e6, first.planned / 1e6, ok ? "" : "  FAIL");
    return ok;
}

// With the transformer's layers on the host, which must be the same bytes; with weights, keys and values of eight bits.
int others(const char* path, at::Device device, const Model& resident, const test::Variant& variant,
           const at::Tensor& want) {
    int bad = 0;
    try {
        const Model streamed = load(path, device, Precision::BFLOAT16);
        streamed->transformer->stream(streamed->transformer_config.layers);
        const Made same = make(resident, variant.request), first = make(streamed, variant.request),
                   then = make(streamed, variant.request);
        bad += !tell(variant.name, "streamed", first, then, same.video, INFINITY);
        const Model coded = load(path, device, Precision::BFLOAT16, true);
        Request in_bytes = variant.request;
        in_bytes.kv_precision = StoredPrecision::INT8;
        bad += !tell(variant.name, "int8", make(coded, in_bytes), make(coded, in_bytes), want, 25);
    } catch (const std::exception& e) {
        std::printf("%-20s %-10s FAIL: %s\n", variant.name, "others", words_of(e).c_str());
        bad++;
    }
    return bad;
}

int run(const char* name, const char* path, const std::vector<std::string>& wanted) {
    const at::Device device = device_by_name(name); // before any other work
    const Model fine = load(path, device, Precision::FLOAT32),
                coarse = load(path, device, Precision::BFLOAT16),
                cpu = load(path, at::kCPU, Precision::FLOAT32);
    std::printf("%-20s %-10s %9s %10s %9s %18s\n", "", "", "dB to CPU", "first, s", "then, s",
                "MB taken/planned");
    int bad = 0, ran = 0;
    for (const test::Variant& variant : test::variants()) {
        const std::string what = variant.name;
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), what) == wanted.end()) continue;
        ran++;
        const at::Tensor want = make(cpu, variant.request).video;
        for (const Model& model : {fine, coarse}) {
            const char* precision = name_of(model->placement.precision);
            try {
                const Made first = make(model, variant.request), then = make(model, variant.request);
                bad += !tell(variant.name, precision, first, then, want, model == fine ? 45 : 30);
            } catch (const std::exception& e) {
                std::printf("%-20s %-10s FAIL: %s\n", variant.name, precision, words_of(e).c_str());
                bad++;
            }
            std::fflush(stdout);
        }
        if (!device.is_cpu() && (what == "kv" || what == "motioncache"))
            bad += others(path, device, coarse, variant, want);
    }
    const size_t expected = wanted.empty() ? test::variants().size() : wanted.size();
    if (size_t(ran) != expected) std::printf("FAIL: %d of %zu videos are known\n", ran, expected), bad++;
    return bad > 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: gpu-session DEVICE MODEL [VARIANT...]\n");
        return 2;
    }
    try {
        return run(argv[1], argv[2], {argv + 3, argv + argc});
    } catch (const std::exception& e) {
        std::fprintf(stderr, "gpu-session: %s\n", e.what());
        return 2;
    }
}
