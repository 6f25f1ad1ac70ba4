// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Which chunks are on their way in each row of the schedule, at which step each of them is, and what it sees
// (docs/algorithms.md#magi-stages). A chunk enters at the start of a stage; when `window` are on their way the oldest
// leaves as the next one enters. Rows are made one by one, since a stream may have no end. Plain numbers.
#include <cstdint>
#include <optional>
#include <vector>

namespace mc::magi1 {

// Chunks [begin, end).
struct Chunks {
    int64_t begin, end;
    bool operator==(const Chunks&) const = default;
};

struct StageRow {
    int64_t row, stage;
    int index; // in its stage
    int64_t begin, end; // chunks on their way, the oldest first
    bool stage_begins() const { return index == 0; }
};

struct Stages {
    int steps = 64;
    int window = 4; // chunks on their way at once; divides `steps`
    int64_t given = 0;             // chunks that are given whole, in front
    std::optional<int64_t> chunks; // with the given ones; unset: without end
    // How many chunks a chunk sees, itself included, in each of as many equal parts of its steps; empty: all before it.
    // Its length divides `steps`.
    std::vector<int> noise2clean;
    int clean_range = -1; // how many a finished or given chunk sees; -1: as at its last step

    // Throws MC_ERROR_SETTINGS for what contradicts itself.
    void check() const;

    int stage_steps() const { return steps / window; }
    std::optional<int64_t> rows() const; // unset: without end
    StageRow row(int64_t row) const;
    int step(const StageRow& row, int64_t chunk) const {
        return int((given + row.stage - chunk) * stage_steps() + row.index);
    }
    // Whether the chunk before the oldest is finished, and passed once more as it is before anyone sees it.
    bool passes_finished(const StageRow& row) const { return row.begin > given && row.stage_begins(); }
    Chunks sees(int64_t chunk, int step) const;
    Chunks finished_sees(int64_t chunk) const; // of one that is passed when it is finished
    Chunks given_sees(int64_t chunk) const;    // of one that is given
    // The first chunk that is seen by one on its way in this row or later: those before it can be forgotten.
    int64_t first_seen_from(const StageRow& row) const;
    // Most chunks whose keys are kept at once: with those on their way, or only those that are finished or given.
    int64_t most_kept(bool with_those_on_their_way) const;
};

} // namespace mc::magi1
