// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/layer_stream.h"

#include <ATen/ops/empty.h>
#include <algorithm>
#include <bit>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "engine/cancellable_lock.h"
#include "engine/device.h"
#include "engine/pinned_memory.h"

namespace mc::networks {

Packing::Packing(std::span<at::Tensor* const> tensors) {
    for (const at::Tensor* t : tensors) {
        const auto bytes = static_cast<int64_t>(t->nbytes());
        segments_.push_back({bytes_, bytes, t->scalar_type(), t->sizes().vec()});
        bytes_ += aligned(bytes);
    }
}

std::vector<at::Tensor> Packing::views(const at::Tensor& buffer) const {
    std::vector<at::Tensor> views;
    for (const Segment& p : segments_)
        views.push_back(buffer.narrow(0, p.offset, p.bytes).view(p.type).view(p.sizes));
    return views;
}

PinnedLayer PinnedLayer::take(const Packing& packing, std::span<at::Tensor* const> tensors) {
    const at::Tensor all = at::empty({packing.bytes()}, at::kByte);
    const std::vector<at::Tensor> views = packing.views(all);
    for (size_t i = 0; i < tensors.size(); i++) views[i].copy_(*tensors[i]);
    constexpr int64_t LEAST = static_cast<int64_t>(1) << 20; // a piece that is padded, not cut further
    PinnedLayer layer;
    for (int64_t begin = 0; begin < packing.bytes();) {
        const int64_t left = packing.bytes() - begin,
                      size = std::min(
                          left,
                          std::max(LEAST, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(left)))));
        layer.pieces.push_back(pinned_memory({size}, at::kByte));
        layer.pieces.back().copy_(all.narrow(0, begin, size));
        begin += size;
    }
    std::vector<at::Tensor> empty;
    for (at::Tensor* t : tensors) empty.push_back(at::empty({0}, t->options()));
    // Last: what fails before leaves the layer where it was.
    for (size_t i = 0; i < tensors.size(); i++) *tensors[i] = std::move(empty[i]);
    return layer;
}

LayerStream::LayerStream(at::Device device, int64_t bytes, std::vector<const PinnedLayer*> layers)
    : device_(device), copies_(*new_stream(device)), layers_(std::move(layers)),
      buffers_{Buffer{{}, c10::Event(device.type()), c10::Event(device.type())},
               Buffer{{}, c10::Event(device.type()), c10::Event(device.type())}} {
    for (Buffer& b : buffers_) {
        b.bytes = at::empty({bytes}, at::TensorOptions(device).dtype(at::kByte));
        b.read.record(current()); // whoever had this memory before
    }
}

LayerStream::~LayerStream() {
    try { // what was copied ahead must not arrive in memory that is somebody else's by then
        wait_for(device_);
    } catch (const std::exception&) { // of a device that is lost
    }
}

c10::Stream LayerStream::current() const {
    return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
}

void LayerStream::fetch(Buffer& b, size_t layer) {
    b.layer = NONE; // until all went well
    b.read.block(copies_);
    {
        const c10::StreamGuard in(copies_);
        int64_t begin = 0;
        for (const at::Tensor& piece : layers_[layer]->pieces) {
            b.bytes.narrow(0, begin, piece.size(0)).copy_(piece, /*non_blocking=*/true);
            begin += piece.size(0);
        }
    }
    b.arrived.record(copies_);
    b.layer = layer;
}

int LayerStream::take(size_t layer) {
    int i = 0;
    while (i < 2 && buffers_[static_cast<size_t>(i)].layer != layer) i++;
    if (i == 2) { // the first of all, or of a forward behind one that was cut off
        i = 0;
        fetch(buffers_[0], layer);
        fetch(buffers_[1], (layer + 1) % layers_.size());
    }
    buffers_[static_cast<size_t>(i)].arrived.block(current());
    return i;
}

void LayerStream::give(int buffer) {
    Buffer &b = buffers_[static_cast<size_t>(buffer)], &other = buffers_[static_cast<size_t>(1 - buffer)];
    try {
        b.read.record(current());
        const size_t ahead = other.layer == NONE ? b.layer : other.layer;
        fetch(b, (ahead + 1) % layers_.size());
    } catch (const std::exception&) {
        b.layer = NONE;
    }
}

void StreamedLayers::begin(at::Device device, int64_t layers) {
    device_ = device;
    pinned_.resize(static_cast<size_t>(layers));
    place_.resize(static_cast<size_t>(layers));
}

std::vector<size_t> StreamedLayers::order(int64_t layers) {
    std::vector<size_t> order;
    const auto all = std::bit_ceil(static_cast<uint32_t>(layers));
    for (uint32_t n = 0; n < all; n++) {
        uint32_t reversed = 0;
        for (uint32_t bit = 1, mirror = all / 2; mirror; bit *= 2, mirror /= 2)
            if (n & bit) reversed |= mirror;
        if (reversed < static_cast<uint32_t>(layers)) order.push_back(reversed);
    }
    return order;
}

std::shared_lock<std::shared_mutex> StreamedLayers::looking() const {
    const std::lock_guard gate(gate_);
    return std::shared_lock(mutex_);
}

void StreamedLayers::move(int64_t layers, const std::function<void(size_t layer)>& out_of) {
    if (device_.is_cpu()) throw Error(MC_ERROR_INTERNAL, "The CPU has no layers to stream; please report this.");
    std::unique_lock gate(gate_);
    const std::unique_lock lock(mutex_);
    gate.unlock();
    if (layers <= count_) return;
    wait_for(device_); // for who uses them
    for (size_t i : order(static_cast<int64_t>(pinned_.size())))
        if (count_ < layers && !out(i)) out_of(i);
    wait_for(device_);
    give_back_memory(device_);
    make_buffers();
}

void StreamedLayers::move_out(size_t layer, std::span<at::Tensor* const> tensors) {
    if (!packing_) packing_.emplace(tensors);
    pinned_[layer] = PinnedLayer::take(*packing_, tensors);
    count_++;
    for (auto& list : views_) list.clear();
    buffers_.reset(); // they know fewer layers
}

void StreamedLayers::make_buffers() {
    std::vector<const PinnedLayer*> layers;
    for (size_t i = 0; i < pinned_.size(); i++) {
        place_[i] = layers.size();
        if (out(i)) layers.push_back(&pinned_[i]);
    }
    if (layers.empty()) return;
    auto made = std::make_unique<LayerStream>(device_, packing_->bytes(), std::move(layers));
    for (int b = 0; b < 2; b++) views_[static_cast<size_t>(b)] = packing_->views(made->buffer(b));
    buffers_ = std::move(made);
}

LayersOfForward::LayersOfForward(StreamedLayers& streamed, Cancel cancel) : s_(streamed), looking_(s_.looking()) {
    if (!s_.count_) return;
    turn_ = locked(s_.turn_, cancel);
    if (!s_.buffers_) s_.make_buffers();
}

} // namespace mc::networks
