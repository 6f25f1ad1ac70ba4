// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The cache that a golden case describes, from the words of its case.json into those of engine/cache. No
// Torch.
#include "engine/cache/settings.h"
#include "tests/golden/case_file.h"

namespace mc::golden {

// Of `settings` of case.json: "token_cache" is MotionCache, "teacache" TeaCache, neither (or null) none.
//
//     token_cache                       MotionCacheSettings
//     threshold, coefficients           threshold, polynomial
//     warmup_steps                      warmup
//     phase1_update_count               coarse_updates
//     distance_mode global, token       distance
//     weight_norm_mode mean, max,       weights
//         max_rescale
//     weight_floor (null: unused)       weight_floor
//     temporal_consistency_threshold    vote (null: unset)
//     min_update_ratio                  min_ratio
//
//     teacache                          TeaCacheSettings; counts forwards: `branches` of them a
//                                       row, 1 or 2 by guidance_scale
//     threshold, coefficients           threshold, polynomial
//     input e, e0 ...                   embedding
//     ret_steps                         forced_first = ret_steps / branches
//     cutoff_steps                      forced_last = rows - cutoff_steps / branches
//     counter_period                    counter_period
//
// Throws mc::Error for what has no place in Settings.
cache::AnySettings cache_settings_of(const Json& settings);

} // namespace mc::golden
