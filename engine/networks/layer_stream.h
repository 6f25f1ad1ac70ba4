// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Layers whose weights stay in pinned memory of the host, because a device has no room for all of them. While one layer
// computes, the next is copied by a stream of its own: there are two buffers, which layers take in turn, and all
// forwards of a network, whoever's they are.
#include <ATen/core/Tensor.h>
#include <array>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "engine/cancel.h"

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
    // layers: one or more, in the order in which every forward takes them. They outlive this. Forwards may be given to
    // several streams, but not at the same time.
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

// What a device holds for a layer: `forward` is copied for every forward where it is streamed, `text` for a text.
struct LayerBytes {
    int64_t forward, text;
    int64_t total() const { return forward + text; }
};

// Of a network on a device: which layers the host keeps, and the buffers through which they go.
class StreamedLayers {
  public:
    void begin(at::Device device, int64_t layers); // once, before anything else
    // Layers in the order in which they move to the host: however many have, they are spread evenly, so that the time
    // of those between them is there for the copies.
    static std::vector<size_t> order(int64_t layers);

    bool out(size_t layer) const { return !pinned_[layer].pieces.empty(); }
    int64_t count() const { return count_; }
    int64_t bytes() const { return packing_ ? count_ * packing_->bytes() : 0; }    // of the host
    int64_t buffer_bytes() const { return buffers_ ? 2 * packing_->bytes() : 0; } // of the device
    std::shared_lock<std::shared_mutex> looking() const;
    // More layers go to the host, until so many have. Nobody looks at layers meanwhile; who waits for that is not
    // kept waiting by those who come later. out_of(layer): makes move_out() of a layer's tensors. Where it throws,
    // those that have moved stay out.
    void move(int64_t layers, const std::function<void(size_t layer)>& out_of);
    // In move(), or while nobody has the network yet. tensors: as many and as large in every layer; where this throws
    // they are as before, else empty.
    void move_out(size_t layer, std::span<at::Tensor* const> tensors);
    // For those that are out now; the device is idle. A forward that finds none makes them itself.
    void make_buffers();

  private:
    friend class LayersOfForward;
    template <class Layer>
    friend class LayerInUse;
    at::Device device_ = at::kCPU;
    mutable std::mutex gate_;          // passed on the way to the next
    mutable std::shared_mutex mutex_;  // held exclusively while layers move, shared by who looks at layers
    std::timed_mutex turn_;            // of the buffers: held by the forward that gives work with them to the device
    std::optional<Packing> packing_;   // once there are any
    std::vector<PinnedLayer> pinned_;  // of each layer; without pieces: it is on the device
    std::vector<size_t> place_;        // of each layer: how many streamed ones stand before it
    std::unique_ptr<LayerStream> buffers_;
    std::array<std::vector<at::Tensor>, 2> views_; // of the buffers: a layer's tensors
    int64_t count_ = 0;
};

// The layers of a network for one forward, while its work is given to the device: none moves, and the buffers are its
// own. Waits for the forward of another session to be given, unless it is cancelled.
class LayersOfForward {
  public:
    LayersOfForward(StreamedLayers& streamed, Cancel cancel);

  private:
    template <class Layer>
    friend class LayerInUse;
    StreamedLayers& s_;
    const std::shared_lock<std::shared_mutex> looking_;
    std::unique_lock<std::timed_mutex> turn_;
};

// One of them, for as long as work with it is given. tensors_of_forward(layer): what move_out() had of it.
template <class Layer>
class LayerInUse {
  public:
    LayerInUse(LayersOfForward& forward, const std::vector<Layer>& layers, size_t i)
        : s_(forward.s_), layer_(&layers[i]) {
        if (!s_.out(i)) return;
        buffer_ = s_.buffers_->take(s_.place_[i]);
        here_ = layers[i];
        const std::vector<at::Tensor*> tensors = tensors_of_forward(*here_);
        for (size_t t = 0; t < tensors.size(); t++) *tensors[t] = s_.views_[static_cast<size_t>(buffer_)][t];
        layer_ = &*here_;
    }
    ~LayerInUse() {
        if (buffer_ >= 0) s_.buffers_->give(buffer_);
    }
    LayerInUse(const LayerInUse&) = delete;
    const Layer& get() const { return *layer_; }

  private:
    StreamedLayers& s_;
    const Layer* layer_;
    std::optional<Layer> here_; // one that is out, with the tensors of a buffer
    int buffer_ = -1;
};

} // namespace mc::networks
