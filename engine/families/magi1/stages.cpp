// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/stages.h"

#include <algorithm>
#include <limits>
#include <string>

#include "engine/error.h"

namespace mc::magi1 {
namespace {

constexpr int64_t EVERYTHING = std::numeric_limits<int64_t>::max() / 2;
constexpr int64_t LONG = 100; // chunks: too many to follow each

// The `range` chunks up to this one.
Chunks last(int64_t chunk, int64_t range) {
    return {std::max<int64_t>(0, chunk + 1 - range), chunk + 1};
}

} // namespace

void Stages::check() const {
    const auto refuse = [](const std::string& message) { throw Error(MC_ERROR_SETTINGS, message); };
    if (steps < 1 || window < 1 || given < 0 || (chunks && *chunks <= given))
        refuse("A video needs steps, a window and a chunk to generate.");
    if (steps % window)
        refuse("steps is " + std::to_string(steps) + ", which is not a multiple of the " + std::to_string(window) +
               " chunks that are on their way at once: take a multiple of " + std::to_string(window) + ".");
    // A large step and two small ones, again and again: chunks at different ones would have to be told one size.
    if (steps == 12 && stage_steps() % 3)
        refuse("12 steps come in threes, a large one and two small ones, which " + std::to_string(window) +
               " chunks on their way at once would mix: take 8 or 16 steps, or ar-step=3, 6 or 12.");
    if (!noise2clean.empty() && steps % int(noise2clean.size()))
        refuse("steps is " + std::to_string(steps) + ", which is not a multiple of the " +
               std::to_string(noise2clean.size()) + " entries of the model's noise2clean_kvrange: take a multiple.");
    for (int range : noise2clean)
        if (range < 1)
            refuse("The model's noise2clean_kvrange holds " + std::to_string(range) +
                   "; a chunk sees itself at least.");
    if (clean_range == 0 || clean_range < -1)
        refuse("The model's clean_chunk_kvrange is " + std::to_string(clean_range) + " but must be -1, or 1 or more.");
}

std::optional<int64_t> Stages::rows() const {
    if (!chunks) return {};
    return stage_steps() * (*chunks + window - 1 - given);
}

StageRow Stages::row(int64_t row) const {
    const int64_t stage = row / stage_steps(), newest = given + stage;
    return {row, stage, int(row % stage_steps()), std::max(given, newest - window + 1),
            std::min(newest + 1, chunks.value_or(EVERYTHING))};
}

Chunks Stages::sees(int64_t chunk, int step) const {
    if (noise2clean.empty()) return {0, chunk + 1};
    const int part = steps / int(noise2clean.size());
    return last(chunk, noise2clean[size_t(step / part)]);
}

Chunks Stages::finished_sees(int64_t chunk) const {
    if (noise2clean.empty()) return {0, chunk + 1};
    return last(chunk, clean_range > 0 ? clean_range : noise2clean.back());
}

Chunks Stages::given_sees(int64_t chunk) const {
    return last(chunk, clean_range > 0 ? clean_range : noise2clean.empty() ? 8 : noise2clean.back());
}

int64_t Stages::first_seen_from(const StageRow& row) const {
    if (noise2clean.empty()) return 0;
    const int64_t widest = *std::max_element(noise2clean.begin(), noise2clean.end());
    int64_t first = row.begin;
    if (!chunks || row.end < *chunks)
        first = std::min(first, std::max<int64_t>(0, row.end + 1 - widest)); // by the next to enter
    if (passes_finished(row)) first = std::min(first, finished_sees(row.begin - 1).begin);
    for (int64_t chunk = row.begin; chunk < row.end; chunk++) {
        const int part = steps / int(noise2clean.size());
        for (int later = step(row, chunk) / part; later < int(noise2clean.size()); later++)
            first = std::min(first, last(chunk, noise2clean[size_t(later)]).begin);
        // It is finished some day.
        first = std::min(first, finished_sees(chunk).begin);
    }
    return first;
}

int64_t Stages::most_kept(bool with_those_on_their_way) const {
    if (noise2clean.empty()) return chunks.value_or(EVERYTHING) - (with_those_on_their_way ? 0 : 1);
    const int64_t widest = std::max<int64_t>(*std::max_element(noise2clean.begin(), noise2clean.end()), clean_range);
    const int64_t all = chunks.value_or(EVERYTHING);
    const int64_t steady = given + window + widest + 2; // stages after which all are alike
    if (widest > LONG) return std::min(all, window + widest);
    int64_t most = 0, first = first_seen_from(row(0));
    for (int64_t c = given; c-- > first;) first = std::min(first, given_sees(c).begin);
    for (int64_t r = 0, end = std::min(rows().value_or(EVERYTHING), stage_steps() * steady); r < end; r++) {
        const StageRow at = row(r);
        most = std::max(most, (with_those_on_their_way ? at.end : at.begin) - std::min(first, first_seen_from(at)));
        first = at.begin; // what given chunks alone have seen goes with the first row
    }
    return most;
}

} // namespace mc::magi1
