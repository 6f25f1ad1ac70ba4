// SPDX-License-Identifier: LGPL-2.1-or-later
// motioncache-worker: one of the processes that make a video together, except rank 0, which has the pipeline. Started
// by torchrun, mpirun or a shell loop, which set the environment that engine/ranks/membership.h names. docs/ranks.md
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

#include "engine/available_processors.h"
#include "engine/error.h"
#include "engine/networks/wan_dit/traffic.h"
#include "engine/ranks/group.h"
#include "engine/session/family.h"

using namespace mc;

namespace {

constexpr const char* USAGE =
    "motioncache-worker [--model FOLDER] [--device NAME] [--threads N] [--wait SECONDS] [--count]\n"
    "\n"
    "Works for the pipeline of rank 0, as rank RANK of WORLD_SIZE processes that meet at MASTER_ADDR and MASTER_PORT.\n"
    "\n"
    "  --model FOLDER   where the model lies on this host (default: where it lies on rank 0's)\n"
    "  --device NAME    auto, cpu or cuda:N (default: auto; of several ranks on a host the one with LOCAL_RANK=N\n"
    "                   takes cuda:N)\n"
    "  --threads N      default: this host's processors, divided among its ranks (LOCAL_WORLD_SIZE)\n"
    "  --count          what ranks send each other for one step of the published models, counted, not measured\n"
    "  --wait SECONDS   how long to wait for rank 0 and the other ranks (default: 120)\n";

int number(const std::string& option, const std::string& text) {
    int value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || stop != text.data() + text.size() || value < 1)
        throw Error(MC_ERROR_SETTINGS, option + " " + text + ": give a number of 1 or more.");
    return value;
}

// The table of docs/ranks.md: a step of guidance, of a whole window and of one chunk of 5 latent frames.
void print_counts() {
    struct Published {
        const char* name;
        int64_t width, heads, layers;
        int columns, rows; // latent pixels
    };
    std::puts("| model | tokens of the step | a branch each: latents to the worker, velocity back (with motion) "
              "| tokens over 2 | tokens over 4 | a branch for each 2 of 4 |\n|---|---|---|---|---|---|");
    for (const Published& m :
         {Published{"1.3B, 960x544", 1536, 12, 30, 120, 68}, {"14B, 1280x720", 5120, 40, 40, 160, 90}})
        for (int64_t frames : {25, 5}) {
            model::TransformerConfig config;
            config.width = m.width, config.heads = m.heads, config.layers = m.layers;
            config.in_channels = config.out_channels = 16;
            wan_dit::Window::Shape shape{};
            shape.height = m.rows, shape.width = m.columns;
            const int64_t tokens = frames * m.rows * m.columns / 4;
            const auto branch = wan_dit::branch_bytes(config, shape, frames, false),
                       moved = wan_dit::branch_bytes(config, shape, frames, true);
            // Of both branches, in bfloat16.
            const auto team = [&](int ranks) {
                return 2 * wan_dit::token_bytes(config, tokens, ranks, 2).by_all;
            };
            // A whole window takes its branches one after the other where one team has both.
            const int64_t orders = branch.to_worker, both = (frames == 25 ? 2 : 1) * orders;
            std::printf("| %s%s | %lld | %.1f, %.1f (%.1f) | %.0f | %.0f | %.0f |\n", m.name,
                        frames == 5 ? ", one chunk" : "", static_cast<long long>(tokens), branch.to_worker / 1e6,
                        branch.from_worker / 1e6, moved.from_worker / 1e6, (team(2) + both) / 1e6,
                        (team(4) + 3 * both) / 1e6, (team(2) + 3 * orders + branch.from_worker) / 1e6);
        }
}

int work(int argc, char** argv) {
    session::LoadOptions options;
    std::string model;
    ranks::Limits limits;
    limits.arrive = std::chrono::seconds(120);
    options.device.clear();
    for (int i = 1; i < argc; i++) {
        const std::string option = argv[i];
        if (option == "--help" || option == "-h") {
            std::fputs(USAGE, stdout);
            return 0;
        }
        if (option == "--count") {
            print_counts();
            return 0;
        }
        if (option != "--model" && option != "--device" && option != "--threads" && option != "--wait")
            throw Error(MC_ERROR_SETTINGS, option + " is no option; --help lists them.");
        if (++i == argc) throw Error(MC_ERROR_SETTINGS, option + " needs a value; --help says which.");
        if (option == "--model") model = argv[i];
        if (option == "--device") options.device = argv[i];
        if (option == "--threads") options.threads = number(option, argv[i]);
        if (option == "--wait") limits.arrive = std::chrono::seconds(number(option, argv[i]));
    }
    const auto member = ranks::membership_of_environment();
    if (!member)
        throw Error(MC_ERROR_SETTINGS, "A worker is one of several processes: set WORLD_SIZE, RANK, MASTER_ADDR and "
                                       "MASTER_PORT, or start it with torchrun or mpirun.");
    if (member->rank == 0)
        throw Error(MC_ERROR_SETTINGS, "Rank 0 has the pipeline: start workers with RANK=1 and up.");
    if (options.device.empty()) {
        options.device = "auto";
        if (member->local_rank > 0 && session::has_driver(options.cuda))
            options.device = "cuda:" + std::to_string(member->local_rank);
    }
    if (options.threads == 0) options.threads = std::max(1, available_processors() / member->local_size);
    const std::string me = "motioncache-worker, rank " + std::to_string(member->rank);
    options.log = [&](int, const std::string& text) { std::fprintf(stderr, "%s: %s\n", me.c_str(), text.c_str()); };
    ranks::Group group(*member, ranks::version(), limits);
    options.log(4, "has met " + group.name(0));
    session::run_worker(group, model, options);
    options.log(4, "rank 0 has ended");
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return work(argc, argv);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "motioncache-worker: %s\n", e.what());
        return 1;
    }
}
