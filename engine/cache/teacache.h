// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The settings of TeaCache. Formulas: docs/algorithms.md#teacache.
#include <memory>

#include "engine/cache/common_settings.h"

namespace mc::cache {

class Policy;

// Of the time embedding, what a distance is taken of: E, one vector per timestep, or E0, its projection to the
// six modulation vectors, with the fps term. MotionCache and FlowCache were published with E0.
enum class Embedding { E, E0 };

struct TeaCacheSettings : CommonSettings {
    static constexpr CacheKind KIND = CacheKind::TEACACHE;
    static constexpr bool DECIDES_ROWS = true; // about all chunks of a row at once
    TeaCacheSettings() { threshold = 0.2; }    // of the official code

    Embedding embedding = Embedding::E0;
    // Rows of the window that are always computed, at the beginning and at the end; >= 0. The first
    // evaluation of a chunk is computed in any case.
    int forced_first = 5, forced_last = 1;
    // As the official code has it: its count of forwards, both branches counted, is reset to 0 after this many, so that
    // the forced first ones come again and the forced last ones never; >= 0. 0: never.
    // From the official numbers, which count forwards, with guidance two per row:
    //     forced_first = ret_steps / 2, forced_last = rows - cutoff_steps / 2, counter_period = num_steps
    int counter_period = 0;
    // Whether all chunks are computed in a row in which one starts, and the sum begins anew. Else the chunk that
    // starts is computed alone where the sum allows it.
    bool whole_when_chunk_starts = false;
    // A fault of the published code, for its golden cases: where a chunk enters as another leaves, each chunk is
    // compared with the one that was at its place, so one that starts may be reused.
    bool by_place = false;

    bool operator==(const TeaCacheSettings&) const = default;
};

void read(const CacheFields& request, TeaCacheSettings& settings); // sets what the request says
// Throws MC_ERROR_SETTINGS for the first value out of its range.
void check(const TeaCacheSettings& settings);
std::unique_ptr<Policy> make(const TeaCacheSettings& settings);

} // namespace mc::cache
