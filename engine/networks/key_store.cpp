// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/key_store.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <array>
#include <map>

#include "engine/error.h"
#include "engine/networks/linear.h"

namespace mc::networks {

static size_t packed_bytes(const KeyStore::Shape& s, kernels::Store store) {
    return kernels::key_value_bytes(s.tokens, s.groups, s.head, store);
}

static int64_t memories_of(const KeyStore::Shape& shape, KeyStore::Lasting lasting) {
    return lasting == KeyStore::Lasting::FORWARD ? std::min<int64_t>(2, shape.layers) : shape.layers;
}

KeyStore::KeyStore(const Shape& shape, kernels::Store store, at::Device device, Layout layout)
    : shape_(shape), store_(store), device_(device), layout_(layout) {
    if (shape.layers < 1 || shape.groups < 1 || shape.head < 1 || shape.tokens < 1 ||
        (layout == Layout::PACKED && !device.is_cpu()))
        throw Error(MC_ERROR_INTERNAL, "Pages of keys were asked for in an impossible shape; please report this.");
}

int KeyStore::take(Lasting lasting) {
    for (size_t i = 0; i < pages_.size(); i++)
        if (!pages_[i].held && pages_[i].lasting == lasting) {
            pages_[i].held = true;
            return static_cast<int>(i);
        }
    Page page;
    page.lasting = lasting;
    page.held = true;
    for (int64_t i = 0; i < memories_of(shape_, lasting); i++) {
        if (layout_ == Layout::PACKED) {
            page.keys.push_back(arena_.take(static_cast<int64_t>(packed_bytes(shape_, store_))));
        } else {
            // Zero, as attention over what a chunk that is computed in part has not written must not meet a NaN.
            const at::TensorOptions options = at::TensorOptions(device_).dtype(type_of(store_));
            page.keys.push_back(at::zeros({shape_.tokens, shape_.groups, shape_.head}, options));
            page.values.push_back(at::zeros_like(page.keys.back()));
        }
    }
    pages_.push_back(std::move(page));
    return static_cast<int>(pages_.size() - 1);
}

void KeyStore::give_back(int page) {
    page_at(page); // throws where it is not held
    pages_[static_cast<size_t>(page)].held = false;
}

int64_t KeyStore::held() const {
    return std::count_if(pages_.begin(), pages_.end(), [](const Page& p) { return p.held; });
}

const KeyStore::Page& KeyStore::page_at(int page) const {
    if (page < 0 || static_cast<size_t>(page) >= pages_.size() || !pages_[static_cast<size_t>(page)].held)
        throw Error(MC_ERROR_INTERNAL, "A page of keys is used that is not held; please report this.");
    return pages_[static_cast<size_t>(page)];
}

int64_t KeyStore::bytes() const {
    int64_t sum = 0;
    for (const Page& p : pages_) sum += bytes_of_page(shape_, store_, p.lasting);
    return sum;
}

int64_t KeyStore::bytes_of_page(const Shape& shape, kernels::Store store, Lasting lasting) {
    return memories_of(shape, lasting) * static_cast<int64_t>(packed_bytes(shape, store));
}

kernels::KeyValues KeyStore::memory(int64_t layer, int page) const {
    const Page& p = page_at(page);
    return {const_cast<void*>(p.keys.at(slot(layer, p)).const_data_ptr()), static_cast<size_t>(shape_.tokens),
            static_cast<size_t>(shape_.groups), static_cast<size_t>(shape_.head), store_};
}

kernels::KeyRange KeyStore::range(int64_t layer, int page) const {
    return {memory(layer, page), static_cast<size_t>(shape_.tokens)};
}

at::Tensor KeyStore::keys(int64_t layer, int page) const {
    const Page& p = page_at(page);
    return p.keys.at(slot(layer, p));
}

at::Tensor KeyStore::values(int64_t layer, int page) const {
    const Page& p = page_at(page);
    return p.values.at(slot(layer, p));
}

at::Tensor KeyStore::read(int64_t layer, int page) const {
    if (layout_ == Layout::PLAIN)
        return at::cat({keys(layer, page), values(layer, page)}, 2).to(at::kCPU, at::kFloat);
    const kernels::KeyValues kv = memory(layer, page);
    const int64_t width = shape_.groups * shape_.head;
    at::Tensor k = at::empty({shape_.tokens, width}), v = at::empty_like(k);
    for (int64_t t = 0; t < shape_.tokens; t++)
        kernels::read_key(kv, t, k.mutable_data_ptr<float>() + t * width,
                          v.mutable_data_ptr<float>() + t * width);
    return at::cat({k.view({shape_.tokens, shape_.groups, shape_.head}),
                    v.view({shape_.tokens, shape_.groups, shape_.head})},
                   2);
}

void KeyStore::write(int64_t layer, int page, const at::Tensor& keys_values) {
    const int64_t width = shape_.groups * shape_.head;
    const at::Tensor k = keys_values.narrow(2, 0, shape_.head),
                     v = keys_values.narrow(2, shape_.head, shape_.head);
    if (layout_ == Layout::PLAIN) {
        keys(layer, page).copy_(k.to(grid_of(store_)));
        values(layer, page).copy_(v.to(grid_of(store_)));
        return;
    }
    // Of the store's type, and on its grid.
    const at::Tensor rows =
        k.reshape({shape_.tokens, width}).to(grid_of(store_)).to(type_of(store_)).contiguous();
    const at::Tensor values = v.reshape({shape_.tokens, width}).to(at::kFloat).contiguous();
    kernels::write_keys(memory(layer, page), nullptr, 0, rows.const_data_ptr(), width,
                        values.const_data_ptr<float>(), width, shape_.tokens);
}

void KeyStore::keep(int64_t layer, int64_t group, std::span<const Slot> from, int page) {
    if (static_cast<int64_t>(from.size()) > shape_.tokens || group < 0 || group >= shape_.groups)
        throw Error(MC_ERROR_INTERNAL, "More keys are to be kept than a page has room for; please report this.");
    for (const Slot& s : from)
        if (s.page == page || s.token < 0 || s.token >= shape_.tokens)
            throw Error(MC_ERROR_INTERNAL, "Keys are to be kept that a page does not have; please report this.");
    if (layout_ == Layout::PLAIN) {
        const at::Tensor k = keys(layer, page).select(1, group), v = values(layer, page).select(1, group);
        std::map<int, std::array<std::vector<int64_t>, 2>> moves; // of a page: from, to
        for (size_t i = 0; i < from.size(); i++) {
            auto& [tokens, places] = moves[from[i].page];
            tokens.push_back(from[i].token);
            places.push_back(static_cast<int64_t>(i));
        }
        for (const auto& [source, move] : moves) {
            const at::Tensor tokens = at::tensor(move[0]).to(device_),
                             places = at::tensor(move[1]).to(device_);
            k.index_copy_(0, places, keys(layer, source).select(1, group).index_select(0, tokens));
            v.index_copy_(0, places, values(layer, source).select(1, group).index_select(0, tokens));
        }
        return;
    }
    const kernels::KeyValues to = memory(layer, page);
    for (size_t i = 0; i < from.size(); i++)
        kernels::copy_key(memory(layer, from[i].page), from[i].token, to, i, group);
}

} // namespace mc::networks
