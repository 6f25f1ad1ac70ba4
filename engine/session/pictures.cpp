// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/pictures.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <cstring>

#include "engine/device.h"
#include "engine/device_kernels.h"
#include "engine/own_stream.h"
#include "engine/session/device_errors.h"

namespace mc::session {

Pictures::Pictures(at::Tensor pixels) : pixels_(std::move(pixels)) {}

std::vector<Pictures::Plane> Pictures::planes_of(Format format) const {
    const auto height = static_cast<size_t>(pixels_.size(2)), width = static_cast<size_t>(pixels_.size(3));
    switch (format) {
    case Format::I420:
        return {{width, height}, {width / 2, height / 2}, {width / 2, height / 2}};
    case Format::NV12:
        return {{width, height}, {width, height / 2}};
    case Format::RGB:
        break;
    }
    return {{3 * width, height}};
}

kernels::Picture Pictures::picture(const at::Tensor& pixels, int64_t index) const {
    return {pixels.const_data_ptr<float>() + index * pixels.stride(1), static_cast<size_t>(pixels.stride(0)),
            static_cast<size_t>(pixels.size(3)), static_cast<size_t>(pixels.size(2))};
}

// In a stream of its own: the session's has the next chunk's work in it by now.
void Pictures::convert(Format format) const {
    if (bytes_.count(format)) return;
    const kernels::Launchers& launch = *device_kernels(pixels_.device().type());
    const c10::OptionalDeviceGuard on_device(pixels_.device());
    const OwnStream stream(pixels_.device());
    const InStream in_stream(stream.get());
    size_t bytes = 0;
    for (const Plane& p : planes_of(format)) bytes += p.bytes * p.rows;
    const at::Tensor there =
        at::empty({count(), static_cast<int64_t>(bytes)}, pixels_.options().dtype(at::kByte));
    for (int64_t i = 0; i < count(); i++) {
        kernels::PictureTo to{format, picture(pixels_, i), {}, {}};
        uint8_t* at = there.mutable_data_ptr<uint8_t>() + i * there.stride(0);
        size_t n = 0;
        for (const Plane& p : planes_of(format))
            to.planes[n] = at, to.strides[n++] = p.bytes, at += p.bytes * p.rows;
        launch.picture(to);
    }
    bytes_[format] = there.to(at::kCPU);
}

void Pictures::prepare(Format format) const {
    if (pixels_.is_cpu()) return;
    const c10::InferenceMode inference;
    const std::lock_guard lock(mutex_);
    with_memory_told(pixels_.device(), "Writing frames", pixels_.numel(), "ask for a smaller picture.", [&] {
        if (device_kernels(pixels_.device().type()))
            convert(format);
        else if (!host_.defined())
            host_ = pixels_.cpu();
    });
}

void Pictures::write(int64_t index, Format format, uint8_t* const planes[3], const size_t strides[3]) const {
    const c10::InferenceMode inference;
    prepare(format);
    at::Tensor pixels = pixels_;
    if (!pixels.is_cpu()) {
        std::unique_lock lock(mutex_);
        if (const auto found = bytes_.find(format); found != bytes_.end()) {
            const at::Tensor bytes = found->second;
            lock.unlock();
            const uint8_t* from = bytes.const_data_ptr<uint8_t>() + index * bytes.stride(0);
            size_t n = 0;
            for (const Plane& p : planes_of(format)) {
                for (size_t y = 0; y < p.rows; y++, from += p.bytes)
                    std::memcpy(planes[n] + y * strides[n], from, p.bytes);
                n++;
            }
            return;
        }
        pixels = host_;
    }
    const kernels::Picture from = picture(pixels, index);
    switch (format) {
    case Format::I420:
        return kernels::picture_to_i420(from, planes, strides);
    case Format::NV12:
        return kernels::picture_to_nv12(from, planes, strides);
    case Format::RGB:
        return kernels::picture_to_rgb(from, planes[0], strides[0]);
    }
}

std::optional<at::Device> Pictures::device() const {
    if (pixels_.is_cpu() || !device_kernels(pixels_.device().type())) return {};
    return pixels_.device();
}

void Pictures::write_there(int64_t index, Format format, uint8_t* const planes[3], const size_t strides[3]) const {
    const c10::InferenceMode inference;
    const std::lock_guard lock(mutex_);
    with_memory_told(pixels_.device(), "Writing frames", pixels_.numel(), "ask for a smaller picture.", [&] {
        const c10::OptionalDeviceGuard on_device(pixels_.device());
        const OwnStream stream(pixels_.device());
        const InStream in_stream(stream.get());
        kernels::PictureTo to{format, picture(pixels_, index), {}, {}};
        for (size_t p = 0; p < planes_of(format).size(); p++) to.planes[p] = planes[p], to.strides[p] = strides[p];
        device_kernels(pixels_.device().type())->picture(to);
        stream.get()->synchronize();
    });
}

void Pictures::write_black(Format format, uint8_t* const planes[3], const size_t strides[3]) const {
    size_t n = 0;
    for (const Plane& p : planes_of(format)) {
        const int value = format == Format::RGB ? 0 : n ? 128 : 16;
        for (size_t y = 0; y < p.rows; y++) std::memset(planes[n] + y * strides[n], value, p.bytes);
        n++;
    }
}

} // namespace mc::session
