// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Runs MAGI-1's sampler for the cases that begin at different places of the pipeline.
#include "engine/families/magi1/captions.h"
#include "tests/golden/runner.h"

namespace mc::golden {

// The sampler of a case with this caption, padded: latents and, where there is a cache, what it decided.
Produced sample_magi1(const Run& run, bool plain, const magi1::Caption& caption);

} // namespace mc::golden
