// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Who works on a device, in which stream, and what libraries take there beside tensors (engine/workspaces.h).
#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <optional>

#include "engine/workspaces.h"

namespace mc {

// Held by each piece of work for devices. While one is held, give_back_memory() takes nothing from libraries.
class AtWork {
  public:
    AtWork();
    ~AtWork();
    AtWork(const AtWork&) = delete;
};

// A stream of the device for somebody who is at work, and nobody else's as long as this lives, so that other work is
// not waited for and does not wait for ours; none on the CPU. The next one gets a stream that was given back: what
// ATen's cache keeps, it keeps by stream. What libraries keep goes into that cache first, unless somebody is at work.
class OwnStream {
  public:
    explicit OwnStream(c10::Device device);
    ~OwnStream();
    OwnStream(const OwnStream&) = delete;
    const std::optional<c10::Stream>& get() const { return stream_; }

  private:
    std::optional<AtWork> at_work_;
    std::optional<c10::Stream> stream_;
};

// Of a kind of device, by who brings it; they live as long as the program.
void register_workspaces(c10::DeviceType type, const Workspaces* workspaces);
// That a video's products take beside tensors, in its one stream.
int64_t workspace_bytes(c10::Device device);
// What they keep for good, back to ATen's cache, unless somebody is at work.
void clear_workspaces(c10::Device device);

} // namespace mc
