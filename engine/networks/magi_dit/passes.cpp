// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/magi_dit/passes.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <set>

#include "engine/networks/magi_dit/pass.h"

namespace mc::magi_dit {

at::Tensor patches_of(const model::MagiDitConfig& config, const at::Tensor& latents) {
    at::Tensor x = latents * config.rescale;
    if (config.doubled) x = at::cat({x, x});
    const int64_t C = x.size(0), f = x.size(1), h = x.size(2), w = x.size(3);
    return x.view({C, f, h / 2, 2, w / 2, 2})
        .permute({1, 2, 4, 0, 3, 5})
        .reshape({f * (h / 2) * (w / 2), C * 4});
}

// What a worker's rows hold of the MLP, and beside the width: patches, or the head's outs.
static int64_t hidden(const model::MagiDitConfig& c) {
    return c.gated ? 2 * c.ffn : c.ffn;
}
static int64_t edge(const model::MagiDitConfig& c) {
    return c.width + 4 * c.in_channels;
}

Passes::Impl::Impl(const Network::Impl& model, const Shape& shape, bool plain)
    : model(model), shape(shape), frame_tokens(static_cast<int64_t>(shape.height / 2) * (shape.width / 2)),
      chunk_tokens(frame_tokens * shape.frames), plain(plain || !model.device.is_cpu()),
      blocks(model.config.width, hidden(model.config), edge(model.config), model.store) {}

void Passes::Impl::make_room() {
    if (x.defined() && x.size(0) >= pass.rows()) return;
    x = huge_zeros({pass.rows(), model.config.width}, model.type());
    both = huge_zeros({pass.rows(), 2 * model.config.width}, model.type());
}

const Rotary& Passes::Impl::rotary_of(int position) {
    if (rotary.count(position) == 0) {
        const int64_t first = static_cast<int64_t>(position) * shape.frames;
        rotary[position] =
            rotary_tables(model.bands, first, first + shape.frames, shape.height / 2, shape.width / 2);
    }
    return rotary.at(position);
}

void Passes::Impl::check(std::span<const Work> work, const KeyStore& keys) const {
    const auto wrong = [](const char* what) {
        throw Error(MC_ERROR_INTERNAL, std::string(what) + "; please report this.");
    };
    if (work.empty() || work.size() > static_cast<size_t>(shape.at_once))
        wrong("More chunks come at once than the transformer was made for");
    if (keys.shape() != page_shape(model.config, shape) || keys.store() != model.store ||
        (keys.layout() == KeyStore::Layout::PLAIN) != plain)
        wrong("Pages of keys do not fit the transformer");
    const std::vector<int64_t> size{model.config.latent_channels(), shape.frames, shape.height, shape.width};
    for (const Work& w : work) {
        if (w.x.sizes() != at::IntArrayRef(size) || w.x.scalar_type() != at::kFloat ||
            (w.velocity.defined() && (w.velocity.sizes() != w.x.sizes() ||
                                      w.velocity.scalar_type() != at::kFloat || !w.velocity.is_contiguous())))
            wrong("Latents do not fit the transformer");
        if (w.position < 0 || (w.step_size > 0) != model.config.distilled)
            wrong("A chunk lacks its place, or has a step size that the transformer does not know");
        if (w.sees.empty()) wrong("A chunk sees no keys");
        keys.require_held(w.page);
        for (int page : w.sees) keys.require_held(page);
        if (std::count_if(work.begin(), work.end(), [&](const Work& o) { return o.page == w.page; }) > 1)
            wrong("Two chunks have one page of keys");
        if (w.plan && w.plan->action == cache::Action::PARTIAL &&
            (w.plan->tokens.empty() || w.plan->tokens.front() < 0 || w.plan->tokens.back() >= chunk_tokens ||
             !std::is_sorted(w.plan->tokens.begin(), w.plan->tokens.end(), std::less_equal<>())))
            wrong("A plan does not fit its chunk");
    }
}

// A stream without end asks for ever new ones.
void Passes::Impl::drop_rotary(std::span<const Work> work) {
    std::set<int> wanted;
    for (const Work& w : work) wanted.insert(w.position);
    const auto missing = std::count_if(wanted.begin(), wanted.end(), [&](int p) { return rotary.count(p) == 0; });
    if (rotary.size() + static_cast<size_t>(missing) > static_cast<size_t>(shape.at_once) + 1)
        std::erase_if(rotary, [&](const auto& entry) { return wanted.count(entry.first) == 0; });
}

void Passes::Impl::lay_out(std::span<const Work> work) {
    drop_rotary(work);
    Pass& p = pass;
    p.first_row.clear(), p.token.clear(), p.work.clear();
    for (size_t i = 0; i < work.size(); i++) {
        p.first_row.push_back(p.rows());
        const cache::Plan* plan = work[i].plan;
        const cache::Action action = plan ? plan->action : cache::Action::WHOLE;
        if (action == cache::Action::WHOLE)
            for (int64_t t = 0; t < chunk_tokens; t++) p.token.push_back(static_cast<int32_t>(t));
        else if (action == cache::Action::PARTIAL)
            p.token.insert(p.token.end(), plan->tokens.begin(), plan->tokens.end());
        p.work.resize(p.token.size(), static_cast<int32_t>(i));
    }
    p.first_row.push_back(p.rows());
}

void Passes::Impl::count_layers(std::span<const Work> work, const KeyStore& keys) {
    const int64_t R = pass.rows(), D = model.config.width, F = model.config.ffn, heads = model.config.heads,
                  G = model.config.groups * model.config.head(), n = static_cast<int64_t>(layers());
    if (!R) return;
    count.add({Call::GEMM, R, D, D, 0}, 2 * n);
    count.add({Call::GEMM, R, G, D, 0}, 2 * n);
    count.add({Call::GEMM, R, D, 2 * D, 0}, n);
    count.add({Call::GEMM, R, F, D, 0}, model.config.gated ? 2 * n : n);
    count.add({Call::GEMM, R, D, F, 0}, n);
    for (size_t i = 0; i < work.size(); i++) {
        const int64_t rows = pass.first_row[i + 1] - pass.first_row[i];
        if (!rows) continue;
        const int64_t seen = static_cast<int64_t>(work[i].sees.size()) * keys.shape().tokens;
        count.add({Call::ATTENTION, rows, seen, D, heads, false, model.config.groups}, n);
        int64_t text = 0;
        for (const Text* t : work[i].text) text += t->rows;
        if (text) count.add({Call::ATTENTION, rows, text, D, heads, false, model.config.groups}, n);
    }
}

Passes::Passes(const Network& network, const Shape& shape, bool plain) {
    c10::InferenceMode guard;
    if (shape.frames < 1 || shape.height < 2 || shape.width < 2 || shape.height % 2 || shape.width % 2 ||
        shape.at_once < 1)
        throw Error(MC_ERROR_INTERNAL, "A picture was asked for that the transformer cannot take; please report this.");
    impl_ = std::make_unique<Impl>(*network.impl_, shape, plain);
}

Passes::~Passes() = default;
Passes::Impl& Passes::inside() {
    return *impl_;
}

KeyStore::Shape Passes::page_shape(const model::MagiDitConfig& config, const Shape& shape) {
    return {config.layers, config.groups, config.head(),
            static_cast<int64_t>(shape.height / 2) * (shape.width / 2) * shape.frames};
}

KeyStore Passes::key_store() const {
    return KeyStore(page_shape(impl_->model.config, impl_->shape), impl_->model.store, impl_->model.device,
                    impl_->plain ? KeyStore::Layout::PLAIN : KeyStore::Layout::PACKED);
}

void Passes::forward(std::span<const Work> work, KeyStore& keys, Cancel cancel, const Trace& trace) {
    c10::InferenceMode guard;
    Impl& p = *impl_;
    p.check(work, keys);
    p.lay_out(work);
    p.plain ? p.forward_plain(work, keys, cancel, trace) : p.forward_fast(work, keys, cancel, trace);
    p.count_layers(work, keys);
}

at::Tensor Passes::features(const at::Tensor& x) const {
    c10::InferenceMode guard;
    const Network::Impl& m = impl_->model;
    impl_->count.add({Call::GEMM, impl_->chunk_tokens, m.patch.out(), m.patch.in(), 0});
    return m.rounded(m.apply(m.patch, patches_of(m.config, x.to(m.device)), nullptr));
}

int64_t Passes::frame_tokens() const {
    return impl_->frame_tokens;
}
int64_t Passes::chunk_tokens() const {
    return impl_->chunk_tokens;
}
int64_t Passes::flop() const {
    return impl_->count.flop();
}
const CallCount& Passes::calls() const {
    return impl_->count;
}

// What forward_plain holds at its worst, on a device: rows in float32, of each what a layer has names for; a layer's
// keys and values as one chunk sees them, as they lie and once for each head; a matrix as it is multiplied; and texts.
static int64_t device_bytes(const model::MagiDitConfig& c, Precision precision, int64_t tokens, int64_t rows,
                            int64_t seen) {
    const int64_t element = precision == Precision::FLOAT32 ? 4 : 2, groups = c.groups * c.head();
    const int64_t floats = rows * (4 + 10 * c.width + 2 * groups + (c.gated ? 6 : 5) * c.ffn + 6 * c.bands()) +
                           3 * tokens * c.width,
                  keys = 2 * seen * tokens * (groups + c.width) * element,
                  matrix = precision == Precision::FLOAT32 ? 0 : std::max(c.ffn, 2 * c.width) * c.width * 4,
                  texts = 3 * c.text_rows * (2 * groups * c.layers * element + 2 * c.width * 4);
    return floats * 4 + keys + matrix + texts;
}

int64_t Passes::bytes(const model::MagiDitConfig& c, Precision precision, at::Device device, const Shape& s,
                      int64_t seen) {
    const kernels::Store store = networks::store_for(precision, at::kCPU);
    const int64_t element = networks::element_bytes(store);
    const int64_t tokens = page_shape(c, s).tokens, rows = tokens * s.at_once;
    // Rotary tables of the positions in use; bookkeeping.
    const int64_t both = static_cast<int64_t>(s.at_once + 1) * tokens * 6 * c.bands() * 4 + rows * 8;
    if (!device.is_cpu()) return both + device_bytes(c, precision, tokens, rows, seen);
    // Hidden states and both attentions; a worker's blocks.
    return both + rows * c.width * 3 * element +
           thread_count() * networks::Blocks::bytes(c.width, hidden(c), edge(c), store);
}

} // namespace mc::magi_dit
