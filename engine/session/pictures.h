// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Frames of a chunk, handed out as 8-bit pixels in the format that is asked for. Where they lie on a device with
// kernels of this program, these convert all of them when the first is asked for, and only bytes come to the host.
#include <ATen/core/Tensor.h>
#include <map>
#include <mutex>
#include <optional>

#include "kernels/launchers.h"

namespace mc::session {

class Pictures {
  public:
    using Format = kernels::PictureTo::Format;

    // [3, n, H, W] float32 in [-1, 1], done; H and W even.
    explicit Pictures(at::Tensor pixels);
    int64_t count() const { return pixels_.size(1); }
    // Makes ready to write them all as this: what a device may fail at is done then. Throws MC_ERROR_MEMORY or
    // MC_ERROR_DEVICE.
    void prepare(Format format) const;
    // One of them, prepared or not, into planes with rows `strides` bytes apart: three for I420, two for NV12, one for
    // RGB. From any thread.
    void write(int64_t index, Format format, uint8_t* const planes[3], const size_t strides[3]) const;
    // The device that they lie on, if it has kernels that can write them to its own memory.
    std::optional<at::Device> device() const;
    // As write(), where there is a device(): `planes` are addresses of it. Done when it returns. Throws what prepare()
    // throws.
    void write_there(int64_t index, Format format, uint8_t* const planes[3], const size_t strides[3]) const;
    // A black frame, in place of one that cannot be had any more.
    void write_black(Format format, uint8_t* const planes[3], const size_t strides[3]) const;

  private:
    struct Plane {
        size_t bytes, rows; // bytes of a row; number of rows
    };
    std::vector<Plane> planes_of(Format format) const;
    kernels::Picture picture(const at::Tensor& pixels, int64_t index) const;
    void convert(Format format) const;

    const at::Tensor pixels_;
    mutable std::mutex mutex_;
    mutable std::map<Format, at::Tensor>
        bytes_;               // of all pictures, plane after plane, without gaps: [n, bytes] on the host
    mutable at::Tensor host_; // the pixels, of a device without kernels
};

} // namespace mc::session
