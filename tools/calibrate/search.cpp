// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "tools/calibrate/presets.h"
#include "tools/calibrate/report.h"

namespace mc::calibrate {

using Settings = cache::MotionCacheSettings;

namespace {

struct Knob {
    const char* name;
    std::vector<std::function<void(Settings&)>> values;
};

template <class T, class Member>
Knob knob(const char* name, Member member, std::initializer_list<T> values) {
    Knob k{name, {}};
    for (const T& value : values) k.values.push_back([=](Settings& s) { s.*member = value; });
    return k;
}

// Where along the way it computes.
Knob path_knob(const Lesson& lesson, bool quick) {
    Knob k{"path", {}};
    const auto add = [&](double change, double noise) {
        k.values.push_back([path = lesson.path(change, noise)](Settings& s) { s.path = path; });
    };
    add(0.5, 1), add(1, 1);
    if (!quick) add(0.5, 2);
    return k;
}

std::vector<Knob> knobs_of(const Lesson& lesson, bool quick) {
    const Knob reuse = knob<CacheReuse>("reuse", &Settings::reuse,
                                        {CacheReuse::REPEAT, CacheReuse::TAYLOR, CacheReuse::SOLVER});
    const Knob path = path_knob(lesson, quick);
    if (quick) return {reuse, path};
    const Knob first = knob<double>("first share", &Settings::first_share, {0, 0.2});
    const int chunk = lesson.recording.chunk_frames;
    return {reuse,
            first,
            knob<int>("first frames", &Settings::first_frames, {chunk, 2 * chunk}),
            path,
            knob<double>("weight floor", &Settings::weight_floor, {0.6, 0.8, 1}),
            knob<std::optional<double>>("vote", &Settings::vote, {0.3, std::nullopt}),
            knob<int>("coarse updates", &Settings::coarse_updates, {0, 2})};
}

// The search begins at the better of two starts: knobs are changed one by one, and these lie apart in several. The
// first computes all of the chunk that the others follow; the second less of it, more in early steps, and chunks more
// often as a whole.
std::vector<Settings> starts_of(const Lesson& lesson, const std::optional<Curve>& curve) {
    Settings s;
    s.reuse = CacheReuse::SOLVER;
    if (curve) s.polynomial = curve->polynomial;
    s.path = lesson.path(0.5, 1);
    s.warmup = 0, s.coarse_updates = 2;
    s.weights = CacheWeights::MAX_RESCALE, s.weight_floor = 0.6;
    s.distance = CacheDistance::GLOBAL;
    s.vote = 0.3, s.min_ratio = 0.1;
    s.first_share = 0;
    s.first_frames = lesson.recording.chunk_frames;
    s.chunks = lesson.window_chunks;
    Settings even = s;
    even.path = lesson.path(0.5, 2);
    even.first_share = 0.4;
    even.coarse_updates = 0;
    even.weight_floor = 0.8;
    even.vote = 0.5, even.min_ratio = 0.2;
    return {s, even};
}

// With the threshold for this share as forecast.
Settings at_share(Settings settings, const Recording& recording, double share) {
    settings.threshold = threshold_for(settings, recording, share);
    return settings;
}

// A trial on the first prompt, and on all of them; both the same where there is only one.
struct Attempt {
    Trial first, all;
    bool complete = true; // false: the first prompt was enough to drop it
};

class Searcher {
  public:
    Searcher(const TrialSetup& setup, const Lesson& lesson, const SearchOptions& options)
        : setup_(setup), lesson_(lesson), options_(options) {}

    // At about this share. The rest of the prompts are spared where the first falls far behind the best one's.
    Attempt run(Settings settings, double share, const Attempt* best) {
        Attempt attempt;
        attempt.first = run_first(settings, share);
        attempt.all = attempt.first;
        const size_t n = lesson_.full.size();
        attempt.complete = !best || first_score(attempt.first) > first_score(best->first) - FAR_BEHIND;
        if (n == 1 || !attempt.complete) return attempt;
        const Trial rest = run_trial(setup_, lesson_, attempt.first.settings, 1, n);
        auto mean = [&](double Trial::*value) {
            return (attempt.first.*value + double(n - 1) * rest.*value) / double(n);
        };
        for (double Trial::*value : {&Trial::psnr, &Trial::ssim, &Trial::share, &Trial::partial})
            attempt.all.*value = mean(value);
        return attempt;
    }
    // dB a factor e of the tokens, near the share at hand: what a candidate owes to computing a bit more or less.
    void measure_slope(const Attempt& start) {
        const Trial more = run_first(start.first.settings, options_.share * 1.4);
        const double way = std::log(more.share / start.first.share);
        if (way > 0.05) slope_ = std::clamp((more.psnr - start.first.psnr) / way, 0.0, 20.0);
    }
    // PSNR as it would be at the share that is compared, less a penalty where chunks are computed whole or not at all:
    // what spares tokens gains where parts of a picture rest.
    double score(const Trial& trial) const {
        return trial.psnr - slope_ * std::log(trial.share / options_.share) -
               PENALTY * std::max(0.0, 1 - trial.partial / PARTIAL);
    }
    // The same of the first prompt alone. How many turns are partial depends much on the prompt: all are asked.
    double first_score(Trial trial) const {
        trial.partial = forecast(trial.settings, lesson_.recording).partial;
        return score(trial);
    }
    // Settings as they would be run: some candidates come to the same.
    Settings prepared(const Settings& settings) const {
        return at_share(settings, lesson_.recording, std::min(1.0, options_.share / correction_));
    }
    // A score is for candidates near the share: what computes far more is not to win by that.
    bool within_reach(const Settings& prepared) const {
        return forecast(prepared, lesson_.recording).share * correction_ < options_.share * 1.15;
    }
    double correction() const { return correction_; }

  private:
    static constexpr double PARTIAL = 0.2, PENALTY = 0.5; // share of the turns; dB where none is
    static constexpr double FAR_BEHIND = 2.5; // dB; prompts differ by less in what they favour

    // A forecast that is far off is corrected, once.
    Trial run_first(Settings settings, double share) {
        for (int attempt = 0;; attempt++) {
            settings = at_share(settings, lesson_.recording, std::min(1.0, share / correction_));
            const Trial trial = run_trial(setup_, lesson_, settings, 0, 1);
            if (attempt || std::fabs(std::log(trial.share / share)) < 0.1) return trial;
            const double ratio =
                std::clamp(trial.share / forecast(settings, lesson_.recording).share, 0.5, 2.0);
            if (std::fabs(std::log(ratio / correction_)) < 0.05) return trial; // no threshold comes nearer
            correction_ = ratio;
        }
    }

    const TrialSetup& setup_;
    const Lesson& lesson_;
    const SearchOptions& options_;
    double correction_ = 1, slope_ = 8;
};

} // namespace

Found search(const TrialSetup& setup, const Lesson& lesson, const std::optional<Curve>& curve,
             const SearchOptions& options) {
    Searcher searcher(setup, lesson, options);
    std::vector<Settings> seen; // each with threshold 0
    Attempt best;
    for (const Settings& start : starts_of(lesson, curve)) {
        const Attempt attempt = searcher.run(start, options.share, nullptr);
        if (seen.empty()) searcher.measure_slope(attempt);
        if (seen.empty() || searcher.score(attempt.all) > searcher.score(best.all)) best = attempt;
        seen.push_back(attempt.all.settings);
        seen.back().threshold = 0;
        progress("A start: %.2f dB at %.1f %% of the tokens, %.0f %% in part: %s", attempt.all.psnr,
                 100 * attempt.all.share, 100 * attempt.all.partial, text_of(attempt.all.settings).c_str());
        if (options.quick) break;
    }
    for (const Knob& knob : knobs_of(lesson, options.quick)) {
        const Settings from = best.all.settings;
        for (const auto& set : knob.values) {
            Settings candidate = from;
            set(candidate);
            candidate = searcher.prepared(candidate);
            Settings known = candidate;
            known.threshold = 0;
            if (std::find(seen.begin(), seen.end(), known) != seen.end()) continue;
            seen.push_back(known);
            if (!searcher.within_reach(candidate)) {
                progress("  %s: not tried, it computes more at any threshold: %s", knob.name,
                         text_of(candidate).c_str());
                continue;
            }
            const Attempt attempt = searcher.run(candidate, options.share, &best);
            const Trial& trial = attempt.all;
            const bool better = // less is chance
                attempt.complete && searcher.score(trial) > searcher.score(best.all) + 0.03;
            progress("  %s: %.2f dB at %.1f %%, %.0f %% in part%s: %s", knob.name, trial.psnr,
                     100 * trial.share, 100 * trial.partial,
                     better              ? ", the best so far"
                     : !attempt.complete ? " of the first prompt, where it falls behind"
                                         : "",
                     text_of(trial.settings).c_str());
            if (better) best = attempt;
        }
    }
    progress("Found %.2f dB at %.1f %% of the tokens: %s", best.all.psnr, 100 * best.all.share,
             text_of(best.all.settings).c_str());
    return {best.all, searcher.correction()};
}

std::vector<Settings> settings_for_shares(const Found& found, const Recording& recording,
                                          std::span<const double> shares) {
    Settings rarely = found.best.settings;
    rarely.threshold = 1e6;
    const double least = forecast(rarely, recording).share;
    std::vector<double> wanted;
    for (double share : shares) wanted.push_back(std::clamp(share / found.correction, least, 1.0));
    // In a short video the first chunk is much: where it leaves several levels out of reach, they
    // are shares of the rest instead, so that they stay apart.
    if (std::count(wanted.begin(), wanted.end(), least) > 1)
        for (size_t i = 0; i < shares.size(); i++) wanted[i] = least + (1 - least) * shares[i];
    std::vector<Settings> list;
    for (double share : wanted) list.push_back(at_share(found.best.settings, recording, share));
    return list;
}

} // namespace mc::calibrate
