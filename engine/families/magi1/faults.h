// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Faults of the published code that golden cases were recorded with (docs/algorithms.md#magi-faults). None of them is
// on in production; those that concern a decision alone are settings of its policy.
#include <limits>

namespace mc::magi1 {

struct Faults {
    // Tokens computed alone see what the oldest chunk on its way sees, not what their own chunk does.
    bool partial_sees_oldest = false;
    // The nearly clean copy of the oldest chunk is mixed into the first chunk that is computed, whichever it is, whose
    // tokens then all count as computed; and from this step of the oldest chunk on, the first that is decided about by
    // token, it is computed even where no token of that chunk is.
    bool copy_into_first = false;
    int copy_anyway_from = std::numeric_limits<int>::max();
    // TeaCache, where the chunk that enters is computed alone: the others go back to where they were one row before
    // the last of the stage.
    bool others_go_back = false;
    // There too, with a nearly clean oldest chunk: the velocity of the chunk before the newest is taken for the newest.
    bool newest_takes_other = false;
    // Motion of the first generated chunk after whole given ones is measured against noise.
    bool given_is_noise = false;
};

} // namespace mc::magi1
