// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Cancelling is noticed between layers of a network and between tensors of a file: every loop over either calls check()
// once per iteration.
#include <atomic>

#include "engine/error.h"

struct McCancel {
    std::atomic<bool> set{false}; // without a lock, for signal handlers
    static_assert(std::atomic<bool>::is_always_lock_free);
};

namespace mc {

// A nullable view of the caller's token.
class Cancel {
  public:
    Cancel(const McCancel* token = nullptr) : token_(token) {}
    void check() const {
        if (token_ && token_->set.load(std::memory_order_relaxed)) throw Error(MC_CANCELLED, "Cancelled.");
    }

  private:
    const McCancel* token_;
};

} // namespace mc
