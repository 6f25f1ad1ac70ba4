// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Waiting for a mutex that another session may hold for minutes, while it reads weights: it can be cancelled.
#include <chrono>
#include <mutex>

#include "engine/cancel.h"

namespace mc {

inline std::unique_lock<std::timed_mutex> locked(std::timed_mutex& mutex, Cancel cancel) {
    std::unique_lock lock(mutex, std::defer_lock);
    while (!lock.try_lock_for(std::chrono::milliseconds(50))) cancel.check();
    return lock;
}

} // namespace mc
