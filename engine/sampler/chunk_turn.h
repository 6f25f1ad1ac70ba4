// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A chunk in a row of a schedule, in any family.

namespace mc::sampler {

// Where a model does not go chunk by chunk the whole window is the one chunk.
struct ChunkTurn {
    enum class Kind {
        STEP,   // takes a scheduler step
        PREFIX, // given: only its keys and values are wanted
        REFRESH, // finished in the row before: only its keys and values are wanted, now of the finished frames
        COPY     // evaluated once more, by itself
    } kind;
    int chunk;
    int step;              // STEP: evaluations before this one
    double sigma;          // STEP, where a model goes chunk by chunk: noise level of this evaluation
    double next_sigma = 0; // likewise, of the chunk's next one; 0 at the last
};

} // namespace mc::sampler
