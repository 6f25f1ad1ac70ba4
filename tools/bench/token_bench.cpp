// SPDX-License-Identifier: LGPL-2.1-or-later
// How much more do tokens change that move than tokens that stand still? Uncached videos, watched turn by turn. Prints
// one line of JSON:
//
//     motioncache-token-bench MODEL --prompts FILE [--steps N] [--frames N] [--width N] [--height N] [--seed N]
//                             [--dtype float32|bfloat16] [--threads N]
//
// The change of a token from one step of its chunk to the next is the mean of the absolute difference of the guided
// velocity. Tokens are told apart in two ways: by the weights that MotionCache gave them for this step ("seen"), which
// is what it can know, and by how much the pixels of the finished video change there ("finished"), which is what it
// wants to know. Of each latent frame the quarter of its tokens that moves most is compared with the quarter that moves
// least; a latent frame of which this cannot be told (weights all alike, the video's first one) is left out. "ratios"
// are those of the means over a chunk's frames, all chunks together, for each step from the second one.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/error.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/families/skyreels_v2/settings.h"
#include "engine/model/model_folder.h"
#include "tools/bench/arguments.h"
#include "tools/bench/video.h"

using namespace mc;

namespace {

// MotionCache that defers nothing, run because it measures motion.
cache::MotionCacheSettings compute_all() {
    cache::MotionCacheSettings s;
    s.threshold = 1e-30;
    s.warmup = s.coarse_updates = 0;
    s.weights = CacheWeights::MAX_RESCALE;
    s.weight_floor = 0.5; // keeps still tokens due
    s.vote.reset();
    s.min_ratio = 0;
    return s;
}

struct ChunkSteps {
    int first_frame = 0; // latent, in the video
    std::map<int, std::vector<float>> change,
        weights; // by step, frame by frame; weights are for the step after
};

class Watcher {
  public:
    explicit Watcher(double guidance) : guidance_(guidance) {}
    void see(const sampler::Turn& turn) {
        if (turn.turn.kind != sampler::ChunkTurn::Kind::STEP) return;
        ChunkSteps& chunk = chunks[turn.turn.chunk];
        at::Tensor& with_prompt = with_prompt_[turn.turn.chunk];
        if (turn.branch == 0) {
            chunk.weights[turn.turn.step].assign(turn.weights.begin(), turn.weights.end());
            with_prompt = turn.velocity.clone();
            if (guidance_ > 1) return;
        }
        at::Tensor velocity =
            turn.branch == 0 ? with_prompt : turn.velocity + guidance_ * (with_prompt - turn.velocity);
        at::Tensor& before = before_[turn.turn.chunk];
        if (before.defined()) {
            // [C, T, h, w] to a token of 2 x 2 latent pixels each.
            at::Tensor moved = at::avg_pool2d((velocity - before).abs().mean(0), {2, 2}).contiguous();
            chunk.change[turn.turn.step].assign(moved.const_data_ptr<float>(),
                                                moved.const_data_ptr<float>() + moved.numel());
            frame_tokens = size_t(moved.size(1) * moved.size(2));
            columns = size_t(moved.size(2));
        }
        before = velocity.clone();
    }
    std::map<int, ChunkSteps> chunks;
    size_t frame_tokens = 0, columns = 0;

  private:
    const double guidance_;
    std::map<int, at::Tensor> with_prompt_, before_; // velocities, by chunk
};

struct Sums {
    double moving = 0, still = 0;
};

// Adds the quarter of `change` where `motion` is greatest and the quarter where it is least.
void add_quarters(std::span<const float> change, std::span<const float> motion, Sums& sums) {
    const auto [least, most] = std::minmax_element(motion.begin(), motion.end());
    if (*most <= *least) return;
    std::vector<size_t> order(motion.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return motion[a] < motion[b]; });
    for (size_t i = 0; i < order.size() / 4; i++) {
        sums.still += change[order[i]];
        sums.moving += change[order[order.size() - 1 - i]];
    }
}

// How much the pixels of each token change from frame to frame of the finished video: a latent frame's 4 frames, each
// against the one before.
std::vector<float> pixel_motion(const bench::Video& video, size_t latent_frame, size_t tokens,
                                size_t columns) {
    std::vector<float> motion(tokens);
    const size_t side = video.width / columns, stride = 3 * video.width * video.height;
    for (size_t f = 4 * latent_frame - 3; f <= 4 * latent_frame && f < video.rgb.size() / stride; f++)
        for (size_t y = 0; y < video.height; y++)
            for (size_t x = 0; x < 3 * video.width; x++) {
                const size_t at = f * stride + 3 * video.width * y + x;
                motion[y / side * columns + x / 3 / side] +=
                    float(std::abs(video.rgb[at] - video.rgb[at - stride]));
            }
    return motion;
}

nlohmann::json ratios_of(const Watcher& watcher, const bench::Video& video) {
    std::map<int, Sums> seen, finished; // by step
    size_t latent_frame = 0;
    for (const auto& [index, chunk] : watcher.chunks) {
        const size_t frames = chunk.change.begin()->second.size() / watcher.frame_tokens;
        for (size_t f = 0; f < frames; f++, latent_frame++) {
            if (latent_frame == 0) continue; // a single picture, before which there is none
            const std::vector<float> motion =
                pixel_motion(video, latent_frame, watcher.frame_tokens, watcher.columns);
            for (const auto& [step, change] : chunk.change) {
                auto frame = [&](std::span<const float> all) {
                    return all.subspan(f * watcher.frame_tokens, watcher.frame_tokens);
                };
                add_quarters(frame(change), motion, finished[step]);
                const auto weights = chunk.weights.find(step - 1);
                if (weights != chunk.weights.end() && weights->second.size() == change.size())
                    add_quarters(frame(change), frame(weights->second), seen[step]);
            }
        }
    }
    auto list = [](const std::map<int, Sums>& sums) {
        nlohmann::json ratios = nlohmann::json::array();
        for (const auto& [step, s] : sums)
            if (s.still > 0) ratios.push_back(s.moving / s.still);
        return ratios;
    };
    return {{"seen", list(seen)}, {"finished", list(finished)}};
}

} // namespace

int main(int argc, char** argv) {
    bench::Arguments given;
    given.options.calibration = false;
    given.request.attention = Attention::KV;
    std::string prompts;
    try {
        bench::read_arguments(argc, argv, given, {{"--prompts", [&](const std::string& value) { prompts = value; }}});
        const session::Request& base = given.request;
        if (given.model.empty() || prompts.empty())
            throw Error(MC_ERROR_SETTINGS, "A model folder and --prompts are needed.");
        std::ifstream file(prompts);
        if (!file) throw Error(MC_ERROR_NOT_FOUND, "There is no file " + prompts + ".");
        c10::InferenceMode guard;
        if (model::find_model(given.model).family != "skyreels-v2")
            throw Error(MC_ERROR_SETTINGS,
                        given.model + " is not of SkyReels-V2, with whose models alone this is measured: "
                                      "pipelines/benchmark.sh --family magi1 --caches compares its caches.");
        const auto model = skyreels_v2::Model::open(given.model, given.options);
        nlohmann::json videos = nlohmann::json::array();
        for (std::string line; std::getline(file, line);) {
            if (line.empty() || line[0] == '#') continue;
            session::Request request = base;
            request.prompt = line;
            request.seed = base.seed.value_or(0) + int64_t(videos.size());
            request.cache_settings = compute_all();
            const skyreels_v2::VideoSettings settings = skyreels_v2::complete(request, *model);
            if (settings.length.windows.size() != 1)
                throw Error(MC_ERROR_SETTINGS, "A video of one window is needed; give fewer --frames.");
            Watcher watcher(settings.guidance_scale);
            request.turns = [&](int, const sampler::Turn& turn) { watcher.see(turn); };
            const bench::Video video = bench::make_video(model, std::move(request));
            nlohmann::json out = ratios_of(watcher, video);
            out["prompt"] = line;
            videos.push_back(out);
        }
        std::cout << nlohmann::json{{"videos", videos}} << std::endl;
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
