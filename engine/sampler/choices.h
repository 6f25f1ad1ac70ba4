#pragma once
// What a request may choose of a sampler.

namespace mc::sampler {

// With attention KV, what the chunks after it see of a finished chunk.
enum class Finished {
    FROZEN,    // keys and values of its last, still noisy step: the reference
    REFRESHED, // those of one more pass at timestep 0: what recomputing it in every row would give
};

} // namespace mc::sampler

namespace mc::schedule {

// Values of a time grid before its shift. OFFICIAL: evenly from the largest of the training schedule (0.999 as a
// float32) to 0. DIFFUSERS_0_37: evenly from 1 to 0.001, what Diffusers has used since version 0.37; the same request
// gives another video with it.
enum class Grid { OFFICIAL, DIFFUSERS_0_37 };

} // namespace mc::schedule
