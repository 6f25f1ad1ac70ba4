// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Whether a polynomial can rescale distances: more distance must never mean less change.
#include "engine/cache/common_settings.h"

namespace mc::cache {

// Finite, not negative at `least`, nowhere falling from there to `most` > least, and higher at its end. Exact
// up to the rounding of the evaluation.
bool rises(const Polynomial& polynomial, double least, double most);

} // namespace mc::cache
