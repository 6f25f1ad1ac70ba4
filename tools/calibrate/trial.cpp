// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/trial.h"

#include <algorithm>
#include <cmath>

#include "tools/calibrate/report.h"
#include "tools/quality/quality.h"

namespace mc::calibrate {
namespace {

// Sums over the videos of one trial.
class Tally {
  public:
    void add(const bench::Video& reference, const bench::Video& video) {
        const quality::FrameScores score = quality::compare(reference.view(), video.view()).mean;
        const double psnr = std::min(score.rgb.psnr, quality::PSNR_CAP);
        psnr_ += psnr, squares_ += psnr * psnr;
        ssim_ += score.rgb.ssim;
        const sampler::ChunkCount& c = video.stats.count;
        computed_ += double(c.tokens_computed), tokens_ += double(c.tokens_computed + c.tokens_reused);
        partial_ += double(c.partial), turns_ += double(video.turns_after_warmup);
        videos_++;
    }
    Trial trial(const cache::MotionCacheSettings& settings) const {
        Trial trial{settings, psnr_ / videos_, ssim_ / videos_, tokens_ > 0 ? computed_ / tokens_ : 1,
                    turns_ > 0 ? partial_ / turns_ : 0};
        if (videos_ > 1)
            trial.error = std::sqrt(std::max(0.0, squares_ / videos_ - trial.psnr * trial.psnr) / (videos_ - 1));
        return trial;
    }

  private:
    double psnr_ = 0, squares_ = 0, ssim_ = 0, computed_ = 0, tokens_ = 0, partial_ = 0, turns_ = 0, videos_ = 0;
};

bench::Video video_of(const TrialSetup& setup, size_t i, const cache::AnySettings& settings) {
    session::Request r = request_of(setup.request, setup.prompts, i);
    r.cache_settings = settings;
    return bench::make_video(setup.model, std::move(r));
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t n = values.size();
    return n ? (values[(n - 1) / 2] + values[n / 2]) / 2 : 0;
}

} // namespace

Trial run_trial(const TrialSetup& setup, const Lesson& lesson, const cache::MotionCacheSettings& settings,
                size_t first, size_t last) {
    Tally tally;
    for (size_t i = first; i < last; i++) tally.add(lesson.full[i], video_of(setup, i, settings));
    return tally.trial(settings);
}

std::vector<Trial> run_levels(const TrialSetup& setup, std::span<const cache::MotionCacheSettings> levels) {
    std::vector<Tally> tallies(levels.size());
    std::vector<std::vector<double>> ratios(levels.size());
    for (size_t i = 0; i < setup.prompts.size(); i++) {
        const bench::Video full = video_of(setup, i, {});
        for (size_t l = 0; l < levels.size(); l++) {
            const bench::Video video = video_of(setup, i, levels[l]);
            tallies[l].add(full, video);
            ratios[l].push_back(full.denoising() / std::max(video.denoising(), 1e-9));
        }
        progress(
            "Measuring, prompt %zu of %zu: %.1f s uncached, with %zu thresholds %.1f to %.1f times as fast",
            i + 1, setup.prompts.size(), full.denoising(), levels.size(), ratios.front().back(),
            ratios.back().back());
    }
    std::vector<Trial> trials;
    for (size_t l = 0; l < levels.size(); l++) {
        trials.push_back(tallies[l].trial(levels[l]));
        trials.back().speedup = median(ratios[l]);
    }
    return trials;
}

std::vector<std::vector<double>> psnr_of_levels(const TrialSetup& setup,
                                                std::span<const cache::MotionCacheSettings> levels) {
    std::vector<std::vector<double>> psnr(levels.size());
    for (size_t i = 0; i < setup.prompts.size(); i++) {
        const bench::Video full = video_of(setup, i, {});
        for (size_t l = 0; l < levels.size(); l++) {
            Tally tally;
            tally.add(full, video_of(setup, i, levels[l]));
            psnr[l].push_back(tally.trial(levels[l]).psnr);
        }
    }
    return psnr;
}

} // namespace mc::calibrate
