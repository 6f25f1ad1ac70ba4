// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Processes that make one video together, over c10d with Gloo: they meet, refuse those of another version, pass
// messages, and learn within seconds when one of them is gone. All of c10d is in group.cpp.
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/cancel.h"
#include "engine/ranks/device_link.h"
#include "engine/ranks/membership.h"
#include "engine/ranks/message.h"

namespace mc::ranks {

struct Limits {
    std::chrono::milliseconds arrive{30000}; // all others are there
    std::chrono::milliseconds silent{10000}; // no sign of life of a process whose connection still stands
    std::chrono::milliseconds still{60000};  // a device is about one exchange, or the layer before it
};

struct Traffic {
    int64_t sent = 0, received = 0; // bytes of this rank
};

class Group {
  public:
    // Meets all ranks. Throws MC_ERROR_DEVICE when one does not come in time or is of another version, in every rank
    // that is there; MC_ERROR_SETTINGS when two say that they are the same rank.
    Group(const Membership& membership, const std::string& version, Limits limits = {}, Cancel cancel = {});
    ~Group();
    int rank() const;
    int size() const;
    std::string name(int rank) const; // "rank 1 (host, process 77)"

    // Both throw MC_ERROR_DEVICE when a rank is lost, here or anywhere, and from then on always.
    void send(const Message& message, int to);
    // While it waits, a cancel asks the other to stop what it does (working_on); its answer then comes the sooner.
    Message receive(int from, Cancel cancel = {});
    // Gives and gets pieces; the ranks that they name do it at the same time, with pieces of the same sizes. What lies
    // on a device goes by the link where there is one, else by way of the host, which waits for the device.
    void exchange(const std::vector<Piece>& to, const std::vector<Piece>& from, DeviceLink* link = nullptr);
    // All ranks at the same time. The link is watched as long as somebody holds it: what goes wrong with it, and a
    // device that comes to no end, is as if this rank were lost; and when one is lost, the link is aborted.
    std::shared_ptr<DeviceLink> open_link(at::Device device, const std::string& key);
    // This rank cannot go on in the middle of what several do together: it talks no more, which the others notice.
    void break_off();
    // A worker says which order it works on; its token is set when rank 0 asks to stop this very order.
    Cancel working_on(int64_t order);
    void ask_to_stop(int64_t order);
    bool rank_0_has_ended() const; // of a worker whose receive failed: rank 0 has ended

    int64_t next_order();
    std::timed_mutex& talk(); // held from an order to its answer: several sessions of rank 0 may share the group
    Traffic traffic() const;
    void stop_watching(); // at the end of the process

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// This process's, met at the first call and kept as long as it runs; null where it is alone.
std::shared_ptr<Group> group_of_process(Cancel cancel = {});
std::string version(); // what this program's ranks must agree in

} // namespace mc::ranks
