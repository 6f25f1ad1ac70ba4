// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Layers whose weights stay in pinned memory of the host, because a device has no room for all of them. While one layer
// computes, the next is copied by a stream of its own: there are two buffers, which layers take in turn.
#include <ATen/core/Tensor.h>
#include <array>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <span>
#include <vector>

namespace mc::networks {

// Where the tensors of a layer lie in its bytes: alike in all layers of a network.
class Packing {
  public:
    explicit Packing(std::span<at::Tensor* const> tensors);
    static int64_t aligned(int64_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }
    int64_t bytes() const { return bytes_; }
    // buffer: [bytes()] of bytes. Each tensor in it, in the order of the constructor.
    std::vector<at::Tensor> views(const at::Tensor& buffer) const;

  private:
    static constexpr int64_t ALIGN = 256; // what libraries of devices like to load
    struct Segment {
        int64_t offset, bytes;
        at::ScalarType type;
        std::vector<int64_t> sizes;
    };
    std::vector<Segment> segments_;
    int64_t bytes_ = 0;
};

// The bytes of one layer in pinned memory, in pieces: its allocator rounds up to powers of two.
struct PinnedLayer {
    std::vector<at::Tensor> pieces;
    // Copies the tensors, which may be on a device; then they are empty.
    static PinnedLayer take(const Packing& packing, std::span<at::Tensor* const> tensors);
};

class LayerStream {
  public:
    // layers: one or more, in the order in which every forward takes them. They outlive this.
    LayerStream(at::Device device, int64_t bytes, std::vector<const PinnedLayer*> layers);
    ~LayerStream();
    LayerStream(const LayerStream&) = delete;
    const at::Tensor& buffer(int i) const { return buffers_[static_cast<size_t>(i)].bytes; }
    // The buffer with this layer, for work that is given to the current stream from now on, until give().
    int take(size_t layer);
    // The work was given. The layer behind the one in the other buffer is copied next, which after the last layer is
    // the first, of the next forward. Throws nothing: what fails here fails again at the next take().
    void give(int buffer);

  private:
    static constexpr size_t NONE = static_cast<size_t>(-1);
    struct Buffer {
        at::Tensor bytes;
        c10::Event arrived, read; // of what was copied, and by the work with it
        size_t layer = NONE;
    };
    c10::Stream current() const;
    void fetch(Buffer& buffer, size_t layer);

    const at::Device device_;
    const c10::Stream copies_;
    const std::vector<const PinnedLayer*> layers_;
    std::array<Buffer, 2> buffers_;
};

} // namespace mc::networks
