// SPDX-License-Identifier: LGPL-2.1-or-later
// Wan's VAE at its published size on a device, random weights: gpu-vae DEVICE [ROWSxCOLUMNS, of latent pixels]. A line
// of JSON for each precision: seconds and FLOP of a latent frame, the first call against later ones, memory taken
// against planned, and how far bfloat16 is from float32. Ends with 1 where more was taken than planned.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <chrono>
#include <cstdio>

#include "engine/cuda/load_cuda.h"
#include "engine/device.h"
#include "engine/networks/wan_vae/wan_vae.h"
#include "engine/networks/wan_vae/wan_vae_files.h"
#include "tests/gpu/taken.h"
#include "tools/bench/random_weights.h"

using namespace mc;

namespace {

constexpr int CHUNK = 5, CHUNKS = 3; // latent frames of a call, calls: the state is full with the first

model::VaeConfig published() {
    model::VaeConfig c;
    c.base = 96, c.latent_channels = 16, c.multipliers = {1, 2, 4, 4}, c.residual_blocks = 2;
    c.temporal_downsample = {false, true, true};
    c.latents_mean.assign(16, 0), c.latents_std.assign(16, 1);
    return c;
}

int run(const char* name, int64_t h, int64_t w) {
    const at::Device device = device_by_name(name); // before any other work
    const model::VaeConfig config = published();
    const auto tensors = bench::random_weights(model::vae_tensors(config), config.base);
    const at::Tensor latents = at::randn({16, CHUNK * CHUNKS, h, w});
    at::Tensor exact;
    int bad = 0;
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
        const wan_vae::WanVae vae(Weights(*tensors, device), config, precision, wan_vae::Arithmetic::DEVICE);
        wait_for(device);
        const test::Taken taking(device);
        const auto stream = vae.decoder();
        double first = 0, last = 0;
        int64_t flop = 0;
        at::Tensor video;
        for (int i = 0; i < CHUNKS; i++) {
            video = at::Tensor(); // as a session has written it by then
            const int64_t done = stream->flop();
            const auto start = std::chrono::steady_clock::now();
            video = stream->decode(latents.narrow(1, i * CHUNK, CHUNK));
            wait_for(device);
            last = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            flop = stream->flop() - done;
            if (i == 0) first = last;
        }
        const int64_t taken = taking.most(), planned = vae.decode_bytes(CHUNK, h, w);
        video = video.cpu();
        if (!exact.defined()) exact = video;
        const double off = ((video - exact).norm() / exact.norm()).item<double>();
        std::printf(
            "{\"part\": \"vae\", \"dtype\": \"%s\", \"rows\": %lld, \"columns\": %lld, \"first_call\": %.4f, "
            "\"seconds_per_latent\": %.4f, \"flop_per_latent\": %.4g, \"taken\": %lld, \"planned\": %lld, "
            "\"from_float32\": %.4g}\n",
            name_of(precision), static_cast<long long>(h), static_cast<long long>(w), first, last / CHUNK,
            double(flop) / CHUNK, static_cast<long long>(taken), static_cast<long long>(planned), off);
        std::fflush(stdout);
        bad += taken > planned;
    }
    return bad > 0;
}

} // namespace

int main(int argc, char** argv) {
    long long h = 68, w = 120;
    if (argc < 2 || argc > 3 || (argc == 3 && std::sscanf(argv[2], "%lldx%lld", &h, &w) != 2) || h < 1 || w < 1) {
        std::fprintf(stderr, "usage: gpu-vae DEVICE [ROWSxCOLUMNS]\n");
        return 2;
    }
    try {
        const c10::InferenceMode inference;
        return run(argv[1], h, w);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "gpu-vae: %s\n", e.what());
        return 2;
    }
}
