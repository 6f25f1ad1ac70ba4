// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A chunk in a row of a schedule, in any family.

namespace mc::sampler {

// Where a model does not go chunk by chunk the whole window is the one chunk.
struct ChunkTurn {
    enum class Kind {
        STEP,   // takes a scheduler step
        PREFIX, // given: only its keys and values are wanted
        REFRESH // finished in the row before: likewise
    } kind;
    int chunk;
    int step;              // STEP: evaluations before this one
    double sigma;          // STEP: of its frames, KV
    double next_sigma = 0; // STEP: that of the next one, 0 at the last, KV
};

} // namespace mc::sampler
