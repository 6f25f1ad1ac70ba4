// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/orders.h"

#include <ATen/ATen.h>
#include <atomic>
#include <cstdlib>

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
        } catch (const std::exception&) { // lost: the next call that talks to it is told
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

Workers::Workers(std::shared_ptr<ranks::Group> group, Ranks ranks, const SharedModel& model, Cancel cancel, Log log)
    : group_(std::move(group)), ranks_(ranks), model_(next_id()),
      opening_(std::make_unique<Exchange>(*group_, Order::OPEN, cancel)), log_(std::move(log)) {
    opening_->order().put(model_);
    opening_->order().put(model.path);
    opening_->order().put(model.precision);
    opening_->order().put(model.in_bytes);
    opening_->order().put(model.fingerprint);
    for (int r = 1; r < group_->size(); r++) opening_->send(r);
}

void Workers::opened(at::Device here, Cancel cancel) {
    const std::unique_ptr<Exchange> opening = std::move(opening_);
    devices_ = {RankDevice::of(here)};
    for (int r = 1; r < group_->size(); r++) {
        ranks::Message answer = opening->answer(cancel);
        devices_.push_back(RankDevice::get(answer));
    }
}

RankDevice RankDevice::of(at::Device device) {
    const ranks::DeviceLinks* links = device.is_cpu() ? nullptr : ranks::device_links(device.type());
    return {device.str(), device.is_cpu(), links ? links->name(device) : ""};
}
void RankDevice::put(ranks::Message& to) const {
    to.put(text), to.put(cpu), to.put(link_name);
}
RankDevice RankDevice::get(ranks::Message& from) {
    RankDevice d;
    from.get(d.text), from.get(d.cpu), from.get(d.link_name);
    return d;
}

std::string Workers::why_not_linked() const {
    const char* set = std::getenv("MOTIONCACHE_NCCL");
    if (set && std::string(set) == "off") return "MOTIONCACHE_NCCL is off";
    for (size_t r = 0; r < devices_.size(); r++) {
        if (devices_[r].link_name.empty())
            return devices_[r].text + " of rank " + std::to_string(r) + " has no library for more";
        for (size_t before = 0; before < r; before++)
            if (devices_[r].link_name == devices_[before].link_name)
                return "ranks " + std::to_string(before) + " and " + std::to_string(r) + " share " + devices_[r].text;
    }
    return "";
}

bool Workers::agree(const Transformer& transformer, const Window::Shape& shape, const Spread& spread) {
    for (int r = 1; r < spread.ranks; r++) {
        const RankDevice &here = devices_[0], &there = devices_[static_cast<size_t>(r)];
        if (here.cpu == there.cpu || (spread.team() == 1 && !shape.keys_in_bytes)) continue;
        throw Error(MC_ERROR_SETTINGS,
                    group_->name(r) + " computes on " + there.text + " and rank 0 on " + here.text +
                        (spread.team() > 1 ? ", and they would divide the tokens of a forward" : ", and kv-precision=int8 is for GPUs") +
                        ": give " + (there.cpu ? "it --device cuda:0" : "rank 0 device=cuda:0") + ", or both the CPU" +
                        (spread.team() > 1 ? "." : " and no kv-precision."));
    }
    if (spread.team() == 1 || devices_[0].cpu) return false;
    std::lock_guard lock(link_mutex_);
    if (link_known_) return linked_;
    const std::string why_not = why_not_linked();
    const std::string rows = "the ranks exchange the rows that they divide ";
    if (why_not.empty()) {
        const ranks::DeviceLinks& links = *ranks::device_links(transformer.device().type());
        const std::string key = links.key();
        Exchange x(*group_, Order::LINK);
        x.order().put(model_);
        x.order().put(key);
        for (int r = 1; r < group_->size(); r++) x.send(r);
        transformer.link(group_->open_link(transformer.device(), key));
        x.finish();
        linked_ = true;
    }
    link_known_ = true;
    if (log_)
        log_(4, rows + (linked_ ? std::string("from device to device (") + ranks::device_links(transformer.device().type())->what + ")"
                                : "by way of their hosts (Gloo): " + why_not));
    return linked_;
}

Workers::~Workers() {
    try {
        opening_.reset();
        Exchange close(*group_, Order::CLOSE);
        close.order().put(model_);
        for (int r = 1; r < group_->size(); r++) close.send(r);
        close.finish();
    } catch (const std::exception&) { // lost
    }
}

std::vector<Room> Workers::room(const Spread& spread, const std::vector<Window::Shape>& shapes, Cancel cancel) {
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

std::shared_ptr<const Workers::Text> Workers::share(const at::Tensor& embeds) {
    return {new Text{next_id(), embeds.to(at::kCPU)}, [dropped = dropped_](const Text* text) {
                std::lock_guard lock(dropped->mutex);
                dropped->ids.push_back(text->id);
                delete text;
            }};
}

std::vector<int64_t> Workers::take_dropped() {
    std::lock_guard lock(dropped_->mutex);
    std::vector<int64_t> ids = std::exchange(dropped_->ids, {});
    std::erase_if(ids, [&](int64_t id) { return sent_.erase(id) == 0; });
    return ids;
}

} // namespace mc::wan_dit
