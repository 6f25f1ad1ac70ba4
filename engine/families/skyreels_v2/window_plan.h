// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a sampler will do with a window, known before its first row: which chunk stands where in each row, and which
// of them the transformer sees.
#include <vector>

#include "engine/families/skyreels_v2/timestep_matrix.h"
#include "engine/families/skyreels_v2/unipc.h"
#include "engine/request/fields.h"
#include "engine/sampler/chunk_turn.h"

namespace mc::skyreels_v2 {

struct WindowSettings {
    int frames, prefix_frames, chunk, ar_step;
    bool end_frame;
    double guidance_scale;
    int addnoise_condition;
    Attention attention = Attention::FULL;
    // With Attention::KV, what later chunks see of a finished one: FROZEN, the keys and values of its last, still noisy
    // step, as the reference; REFRESHED, those of one more pass at timestep 0, as if it were recomputed in every row.
    FinishedChunks finished = FinishedChunks::FROZEN;
    // With Attention::KV and a prefix of several chunks: as the reference, only the first is passed once and kept; the
    // others are passed anew in every row, with that row's noise. Else all are passed once.
    bool reference_prefix = false;
    int video_chunks = 0; // generated in all windows of the video; 0: unknown
};

struct WindowPlan {
    std::vector<MatrixRow> rows;                        // those in which a frame takes a step
    std::vector<std::vector<sampler::ChunkTurn>> turns; // of each row, chunks ascending
    TimeGrid grid;                                      // of every frame
    std::vector<UniPcStep> steps;                       // the solver's
    int frames = 0;                                     // to sample, prefix included
    int prefix_frames = 0;                              // given: finished from the start
    bool end_frame = false;                             // one more given frame stands behind them
    int chunk_frames = 0;                               // latent frames of a chunk as in `turns`
    double guidance_scale = 1;                          // 1 or less: one forward per row
    int addnoise_condition = 0; // timestep to which the prefix is noised in every row; 0: left clean
    bool reference_prefix = false;
    FinishedChunks finished = FinishedChunks::FROZEN;
    int video_chunks = 0; // as given
    int columns() const { return frames + (end_frame ? 1 : 0); }
    bool is_one_chunk() const { return chunk_frames == columns(); } // one chunk: the whole window
    int branches() const { return guidance_scale > 1 ? 2 : 1; }
    int forwards() const { return int(rows.size()) * branches(); }
    int chunks_at_once() const; // most turns of a row
    // What the model is told of row `row`: timesteps with the noised prefix.
    std::vector<int64_t> timesteps(size_t row) const;
};
WindowPlan plan_window(const WindowSettings& settings, const TimeGrid& grid);
// With Attention::KV: the plan as it is before `row`; chunks that would start in `row` or later wait until those under
// way are done.
WindowPlan held_back(const WindowPlan& plan, size_t row);
// Bytes of memory that the plan takes at most: it grows with the square of a window whose chunks go one by one.
int64_t plan_bytes(const WindowSettings& settings, int steps);

} // namespace mc::skyreels_v2
