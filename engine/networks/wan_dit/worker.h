// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The other side of orders.h: a process that runs forwards for rank 0.
#include <functional>
#include <memory>
#include <string>

#include "engine/networks/wan_dit/orders.h"

namespace mc::wan_dit {

struct WorkerCalls {
    // Opens the model; throws what rank 0 is told.
    std::function<std::unique_ptr<Transformer>(const SharedModel& model, Cancel cancel)> open;
    // Makes room for its part of these windows, as far as that can be.
    std::function<Room(Transformer& transformer, const SharedModel& model, const Spread& spread, int rank,
                       const std::vector<Window::Shape>& shapes)>
        room;
    std::function<void(const std::string& text)> log = {};
};
// Follows orders until rank 0 ends. Returns when that happens with no model open, and throws otherwise.
void follow_orders(ranks::Group& group, const WorkerCalls& calls);

} // namespace mc::wan_dit
