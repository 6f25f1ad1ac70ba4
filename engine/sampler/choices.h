// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a request may choose of a sampler.

namespace mc::sampler {

// Values of a time grid before its shift. OFFICIAL: evenly from the largest of the training schedule (0.999 as a
// float32) to 0. DIFFUSERS_0_37: evenly from 1 to 0.001, what Diffusers has used since version 0.37; the same request
// gives another video with it.
enum class Grid { OFFICIAL, DIFFUSERS_0_37 };

} // namespace mc::sampler
