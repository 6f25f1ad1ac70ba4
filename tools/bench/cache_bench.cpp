// SPDX-License-Identifier: LGPL-2.1-or-later
// Caches against the same videos without one: every prompt with every setting, in turn. Prints one line of JSON:
//
//     motioncache-cache-bench MODEL --prompts FILE --run NAME:KEY=VALUE,... [--run ...] [--steps N] [--frames N]
//                             [--width N] [--height N] [--base-num-frames N] [--seed N] [--dtype float32|bfloat16]
//                             [--threads N] [--dump FOLDER] [--references 1|2] [--PROPERTY VALUE ...]
//
// PROPERTY: any other of the element that these tools know, of all runs.
// A run's keys are the element's properties without "cache-": attention, cache, preset, threshold, warmup,
// coarse-updates, weights, weight-floor, distance, vote, min-ratio, first-share, noise-power, reuse, finished-chunks.
// The first two runs must be those that the others are compared with: attention causal without a cache, and kv without
// one (of MAGI-1: without a cache, and with one that reuses nothing); a single run is only timed. With --references 1
// only the second of these comes first, and nothing is compared with the full window. Seeds count up from --seed (0),
// one per prompt. --dump writes the frames of the first prompt as raw RGB, a file per run. Both references run once
// before anything is timed: they come first, and what a process does for the first time would otherwise be their cost
// and the others' gain.
#include <c10/core/InferenceMode.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/bench/arguments.h"
#include "tools/bench/video.h"
#include "tools/quality/quality.h"

using namespace mc;

namespace {

struct Run : bench::NamedSettings {
    nlohmann::json videos = nlohmann::json::array(); // one per prompt
};

std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw Error(MC_ERROR_NOT_FOUND, "There is no file " + path + ".");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        if (!line.empty() && line[0] != '#') lines.push_back(line);
    return lines;
}

nlohmann::json score_of(const quality::Comparison& c, const std::vector<int64_t>& window_ends) {
    auto json = [](const quality::FrameScores& s) -> nlohmann::json {
        return {{"psnr", std::min(s.rgb.psnr, quality::PSNR_CAP)},
                {"ssim", s.rgb.ssim},
                {"psnr_luma", std::min(s.luma.psnr, quality::PSNR_CAP)},
                {"ssim_luma", s.luma.ssim}};
    };
    nlohmann::json score = json(c.mean);
    if (window_ends.size() < 2) return score;
    score["windows"] = nlohmann::json::array();
    size_t begin = 0;
    for (int64_t end : window_ends) {
        const size_t stop = std::min<size_t>(end, c.frames.size());
        score["windows"].push_back(json(quality::mean(std::span(c.frames).subspan(begin, stop - begin))));
        begin = stop;
    }
    return score;
}

} // namespace

int main(int argc, char** argv) {
    bench::Arguments given;
    std::string prompts, dump;
    std::vector<Run> runs;
    size_t references_first = 2;
    try {
        bench::read_arguments(argc, argv, given,
                              {{"--prompts", [&](const std::string& value) { prompts = value; }},
                               {"--run", [&](const std::string& value) { runs.push_back({bench::parse_run(value)}); }},
                               {"--dump", [&](const std::string& value) { dump = value; }},
                               {"--references", [&](const std::string& value) {
                                    if (value != "1" && value != "2")
                                        throw Error(MC_ERROR_SETTINGS, "--references takes 1 or 2.");
                                    references_first = value == "1" ? 1 : 2;
                                }}});
        const session::Request& base = given.request;
        if (given.model.empty() || prompts.empty() || runs.empty())
            throw Error(MC_ERROR_SETTINGS, "A model, --prompts and a --run are needed.");
        c10::InferenceMode guard;
        const std::shared_ptr<const session::Family> model = session::open_family(given.model, given.options);
        const std::vector<std::string> texts = lines_of(prompts);
        for (size_t r = 0; r < runs.size() && r < references_first; r++) {
            session::Request request = base;
            request.prompt = texts.at(0);
            request.steps =
                std::min(base.steps.value_or(12), 12); // enough for all chunks to be at work at once
            runs[r].set_in(request);
            bench::make_video(model, request);
        }
        bench::Video last;
        for (size_t p = 0; p < texts.size(); p++) {
            std::vector<bench::Video> references;
            for (size_t r = 0; r < runs.size(); r++) {
                session::Request request = base;
                request.prompt = texts[p];
                request.seed = base.seed.value_or(0) + int64_t(p);
                runs[r].set_in(request);
                bench::Video video = bench::make_video(model, request);
                const session::Stats& s = video.stats;
                nlohmann::json out = {{"denoising", video.denoising()},
                                      {"seconds", video.seconds},
                                      {"text", s.seconds_text},
                                      {"transformer", s.seconds_transformer},
                                      {"cache", s.seconds_cache},
                                      {"scheduler", s.seconds_schedule},
                                      {"vae", s.seconds_vae},
                                      {"forwards", s.forwards},
                                      {"flop", s.flop_transformer},
                                      {"bytes_keys_values", s.bytes_keys_values},
                                      {"bytes_cache", s.bytes_cache},
                                      {"turns", s.count.turns},
                                      {"turns_whole", s.count.whole},
                                      {"turns_partial", s.count.partial},
                                      {"turns_reused", s.count.reused},
                                      {"turns_after_warmup", video.turns_after_warmup},
                                      {"tokens_computed", s.count.tokens_computed},
                                      {"tokens", s.count.tokens_computed + s.count.tokens_reused}};
                if (r < references_first) references.push_back(video);
                if (r >= 1 && references_first == 2)
                    out["against_full"] =
                        score_of(quality::compare(references[0].view(), video.view()), video.window_ends);
                if (r >= references_first)
                    out["against_kv"] =
                        score_of(quality::compare(references.back().view(), video.view()), video.window_ends);
                runs[r].videos.push_back(out);
                if (p == 0 && !dump.empty()) {
                    std::ofstream file(dump + "/" + std::to_string(r) + ".rgb", std::ios::binary);
                    file.write(reinterpret_cast<const char*>(video.rgb.data()),
                               std::streamsize(video.rgb.size()));
                }
                std::cerr << "prompt " << p + 1 << " of " << texts.size() << ", " << runs[r].name << ": "
                          << video.denoising() << " s\n";
                last = std::move(video);
            }
        }
        nlohmann::json json = {{"prompts", texts},
                               {"width", last.width},
                               {"height", last.height},
                               {"threads", model->placement.threads},
                               {"dtype", model->placement.precision == Precision::FLOAT32 ? "float32" : "bfloat16"},
                               {"frames", last.rgb.size() / (3 * last.width * last.height)},
                               {"runs", nlohmann::json::array()}};
        for (const Run& run : runs)
            json["runs"].push_back({{"name", run.name}, {"settings", run.keys}, {"videos", run.videos}});
        std::cout << json << std::endl;
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
