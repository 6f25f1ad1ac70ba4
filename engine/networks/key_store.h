// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Keys and values of a video, in pages of one chunk: as many as a window needs, taken for a chunk that enters and given
// back when no chunk sees it any more, so that a video without end lives in bounded memory.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/huge_memory.h"
#include "kernels/attention.h"

namespace mc::networks {

class KeyStore {
  public:
    struct Shape {
        int64_t layers, groups, head; // groups: heads of keys and values
        int64_t tokens;               // of a page
        bool operator==(const Shape&) const = default;
    };
    // How pages lie in memory: as kernels::attention reads them, or as tensors, for the plain forward and any device.
    enum class Layout { PACKED, PLAIN };
    // How long what a page holds is wanted. FORWARD: within one forward only; it has memory for two layers, which take
    // turns, so that the next layer's may be written while this one's are still read.
    enum class Lasting { FORWARD, VIDEO };

    KeyStore(const Shape& shape, kernels::Store store, at::Device device, Layout layout);

    // A page that is not held; what is in it is left over from its last use, so the first chunk in it must be computed
    // as a whole. Memory is allocated when more pages are held than ever before.
    int take(Lasting lasting = Lasting::VIDEO);
    void give_back(int page);
    int64_t held() const; // pages

    const Shape& shape() const { return shape_; }
    kernels::Store store() const { return store_; }
    Layout layout() const { return layout_; }
    void require_held(int page) const { page_at(page); } // throws where it is not held
    int64_t bytes() const;                               // allocated
    static int64_t bytes_of_page(const Shape& shape, kernels::Store store, Lasting lasting = Lasting::VIDEO);

    // PACKED: what attention reads and write_keys writes.
    kernels::KeyValues memory(int64_t layer, int page) const;
    kernels::KeyRange range(int64_t layer, int page) const;
    // PLAIN: [tokens, groups, head], type of the store.
    at::Tensor keys(int64_t layer, int page) const;
    at::Tensor values(int64_t layer, int page) const;

    // Both layouts: [tokens, groups, 2 head] float32 on the CPU, keys (normed, rotated) before values.
    at::Tensor read(int64_t layer, int page) const;
    void write(int64_t layer, int page, const at::Tensor& keys_values);

    // Token `i` of a group (head of keys) of `page` becomes a copy of the one at from[i]; from.size() <= tokens. Pages
    // that are read must be others: each group may keep tokens of its own choice.
    struct Slot {
        int page;
        int32_t token;
    };
    void keep(int64_t layer, int64_t group, std::span<const Slot> from, int page);

  private:
    struct Page {
        Lasting lasting = Lasting::VIDEO;
        bool held = false;
        std::vector<at::Tensor> keys, values; // a layer each (FORWARD: two); PACKED: bytes, in keys alone
    };
    const Page& page_at(int page) const;
    size_t slot(int64_t layer, const Page& page) const {
        return static_cast<size_t>(page.lasting == Lasting::FORWARD ? layer % 2 : layer);
    }
    const Shape shape_;
    const kernels::Store store_;
    const at::Device device_;
    const Layout layout_;
    HugeArena arena_;
    std::vector<Page> pages_;
};

} // namespace mc::networks
