// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/orders.h"

#include <ATen/ATen.h>
#include <atomic>

#include "engine/cancellable_lock.h"
#include "engine/error.h"

namespace mc::wan_dit {

int64_t next_id() {
    static std::atomic<int64_t> last{0};
    return ++last;
}

Exchange::Exchange(ranks::Group& group, Order order, Cancel cancel)
    : group_(group), talk_(locked(group.talk(), cancel)), number_(group.next_order()) {
    order_.put(order);
    order_.put(number_);
}

Exchange::~Exchange() {
    if (pending_.empty()) return;
    group_.ask_to_stop(number_);
    for (int rank : pending_) {
        try {
            group_.receive(rank);
        } catch (const std::exception&) { // lost: whoever talks to it next is told
        }
    }
}

void Exchange::send(int rank) {
    group_.send(order_, rank);
    pending_.push_back(rank);
}

ranks::Message Exchange::answer(Cancel cancel) {
    const int rank = pending_.front();
    pending_.erase(pending_.begin()); // also where it is lost: nothing more will come
    ranks::Message answer = group_.receive(rank, cancel);
    const auto status = answer.get<McStatus>();
    if (status == MC_OK) return answer;
    const std::string message = answer.get<std::string>(), detail = answer.get<std::string>();
    if (status == MC_CANCELLED) throw Error(status, message, detail);
    throw Error(status, group_.name(rank) + ": " + message, detail);
}

Team::Team(std::shared_ptr<ranks::Group> group, Ranks ranks, const SharedModel& model, Cancel cancel)
    : group_(std::move(group)), ranks_(ranks), model_(next_id()),
      opening_(std::make_unique<Exchange>(*group_, Order::OPEN, cancel)) {
    opening_->order().put(model_);
    opening_->order().put(model.path);
    opening_->order().put(model.precision);
    opening_->order().put(model.in_bytes);
    opening_->order().put(model.fingerprint);
    for (int r = 1; r < group_->size(); r++) opening_->send(r);
}

void Team::opened(Cancel cancel) {
    const std::unique_ptr<Exchange> opening = std::move(opening_);
    opening->finish(cancel);
}

Team::~Team() {
    try {
        opening_.reset();
        Exchange close(*group_, Order::CLOSE);
        close.order().put(model_);
        for (int r = 1; r < group_->size(); r++) close.send(r);
        close.finish();
    } catch (const std::exception&) { // lost
    }
}

std::vector<Room> Team::room(const Spread& spread, const std::vector<Window::Shape>& shapes, Cancel cancel) {
    Exchange x(*group_, Order::ROOM, cancel);
    x.order().put(model_);
    x.order().put(spread);
    x.order().put(shapes);
    x.order().put(take_dropped());
    for (int rank = 1; rank < spread.ranks; rank++) x.send(rank);
    std::vector<Room> rooms;
    for (int rank = 1; rank < spread.ranks; rank++) {
        ranks::Message from = x.answer(cancel);
        Room room;
        from.get(room.needed), from.get(room.free), from.get(room.more), from.get(room.device);
        rooms.push_back(room);
    }
    return rooms;
}

std::shared_ptr<const Team::Text> Team::share(const at::Tensor& embeds) {
    return {new Text{next_id(), embeds.to(at::kCPU)}, [dropped = dropped_](const Text* text) {
                std::lock_guard lock(dropped->mutex);
                dropped->ids.push_back(text->id);
                delete text;
            }};
}

std::vector<int64_t> Team::take_dropped() {
    std::lock_guard lock(dropped_->mutex);
    std::vector<int64_t> ids = std::exchange(dropped_->ids, {});
    std::erase_if(ids, [&](int64_t id) { return sent_.erase(id) == 0; });
    return ids;
}

} // namespace mc::wan_dit
