// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Looks for the settings that keep videos nearest to uncached ones at the same share of computed tokens.
#include <optional>
#include <vector>

#include "tools/calibrate/curve.h"
#include "tools/calibrate/trial.h"

namespace mc::calibrate {

struct SearchOptions {
    size_t prompts = 2;  // that the search looks at, the first ones
    double share = 0.3;  // of computed tokens at which settings are compared
    bool quick = false;  // fewer settings and values
};
struct Found {
    Trial best;            // its threshold is the one for the share above
    double correction = 1; // share measured / share forecast
};
// One setting after the other; each keeps the value that gave the best videos. What the distances are lengths of, the
// path, is one of the settings; the polynomial, for a user who sets a threshold, is the fitted one or, without,
// the distance as it is.
Found search(const TrialSetup& setup, const Lesson& lesson, const std::optional<Curve>& curve,
             const SearchOptions& options);

// The found settings at thresholds for these shares. Where a first chunk that is always computed leaves more than one
// of them out of reach, for these shares of the rest.
std::vector<cache::MotionCacheSettings> settings_for_shares(const Found& found, const Recording& recording,
                                                 std::span<const double> shares);

} // namespace mc::calibrate
