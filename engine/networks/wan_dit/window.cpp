// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/window.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <limits>

#include "engine/device.h"
#include "engine/networks/blocks.h"
#include "engine/networks/codes.h"
#include "engine/networks/row_ops.h"
#include "engine/networks/wan_dit/spread_window.h"
#include "engine/processor.h"

namespace mc::wan_dit {

Window::Impl::Impl(const Transformer::Impl& model, const Shape& shape, std::unique_ptr<TokenShare> share)
    : model(model), shape(shape), time(model, shape.fps),
      blocks(model.config.width, model.config.ffn, std::max(model.patch.in(), model.head.out()),
             model.store), share(std::move(share)) {
    const auto& c = model.config;
    const int64_t rows = shape.height / c.patch[1], columns = shape.width / c.patch[2];
    frame_tokens = rows * columns;
    tokens = frame_tokens * shape.frames;
    chunk_frames = shape.attention == Attention::KV ? shape.chunk : shape.frames;
    chunk_tokens = chunk_frames * frame_tokens;
    chunks = static_cast<int>(shape.frames / chunk_frames);
    rotary = rotary_tables(shape.frames, rows, columns, c.head());
    for (at::Tensor* t : {&rotary.angle, &rotary.cosine, &rotary.sine}) *t = upload(*t, model.device);
    const at::TensorOptions floats = at::TensorOptions(model.device).dtype(at::kFloat);
    for (int b = 0; b < shape.branches; b++)
        velocity.push_back(at::zeros({c.out_channels, shape.frames, shape.height, shape.width}, floats));
    memory.resize(static_cast<size_t>(shape.branches) * chunks);
    if (shape.remembers)
        for (Memory& m : memory) {
            m.residual = model.device.is_cpu()
                             ? huge_zeros({chunk_tokens, c.width}, model.type())
                             : at::zeros({chunk_tokens, c.width}, floats.dtype(model.type()));
            if (shape.reuse == CacheReuse::TAYLOR) {
                m.slope = at::zeros_like(m.residual);
                m.level = at::full({chunk_tokens}, std::numeric_limits<float>::quiet_NaN(), floats);
            }
            m.last = at::empty({frame_tokens, c.width}, m.residual.options());
        }
    model.device.is_cpu() ? allocate_for_fast() : allocate_for_device();
}

size_t Window::Impl::layers_kept() const {
    return shape.attention == Attention::KV ? model.layers.size() : model.device.is_cpu() ? 2 : 1;
}

// Most rows that one forward takes through the layers.
static int64_t rows_at_once(const Window::Shape& s, int64_t frame_tokens) {
    if (s.attention != Attention::KV) return s.frames * frame_tokens;
    return frame_tokens * std::min(s.frames, s.chunks_at_once * s.chunk) * s.branches;
}

void Window::Impl::allocate_for_fast() {
    const auto& c = model.config;
    const int64_t most = rows_at_once(shape, frame_tokens);
    auto space = [&](int64_t rows) { return huge_zeros({rows, c.width}, model.type()); };
    x = space(most);
    if (!share) q = space(most);
    in = space(tokens);
    if (shape.remembers) out = space(most);
    HugeArena arena;
    for (size_t i = 0; i < layers_kept() * shape.branches; i++)
        keys_values.push_back(arena.take(model.key_value_bytes(tokens, heads())));
}

void Window::Impl::allocate_for_plain() {
    for (auto* list : {&keys, &values})
        for (size_t i = list->size(); i < layers_kept() * shape.branches; i++)
            list->push_back(
                at::zeros({tokens, model.config.width}, at::TensorOptions(model.device).dtype(model.type())));
}

void Window::Impl::allocate_for_device() {
    const int64_t slots = shape.branches * 2 * tokens;
    auto space = [&](int64_t columns, at::ScalarType type) {
        return at::zeros({slots, columns}, at::TensorOptions(model.device).dtype(type));
    };
    const int64_t width = heads() * model.config.head();
    if (shape.keys_in_bytes) open_keys = space(width, model.type());
    for (size_t i = 0; i < layers_kept(); i++) {
        layer_keys.push_back(space(width, shape.keys_in_bytes ? at::kChar : model.type()));
        if (shape.keys_in_bytes) {
            layer_scales.push_back(space(heads(), at::kFloat));
            continue;
        }
        for (int b = 0; b < shape.branches; b++) {
            keys.push_back(layer_keys.back().narrow(0, b * 2 * tokens, tokens));
            values.push_back(layer_keys.back().narrow(0, (b * 2 + 1) * tokens, tokens));
        }
    }
}

void Window::Impl::lay_out(const std::vector<int64_t>& timesteps, std::span<const ChunkWork> work) {
    Pass& p = pass;
    p.spans.clear(), p.token.clear(), p.token_row.clear(), p.first_row.clear(), p.first_slot.clear(),
        p.distinct.clear();
    p.frame_group.assign(shape.frames, -1);
    for (const ChunkWork& w : work)
        for (int64_t f = w.chunk * chunk_frames; f < (w.chunk + 1) * chunk_frames; f++) {
            auto found = std::find(p.distinct.begin(), p.distinct.end(), timesteps[f]);
            p.frame_group[f] = static_cast<int32_t>(found - p.distinct.begin());
            if (found == p.distinct.end()) p.distinct.push_back(timesteps[f]);
        }
    for (size_t i = 0; i < work.size(); i++) {
        const ChunkWork& w = work[i];
        const int64_t first = static_cast<int64_t>(p.token.size()), base = w.chunk * chunk_tokens;
        p.first_row.push_back(first);
        p.first_slot.push_back(static_cast<int64_t>(p.token_row.size()));
        const cache::Action action = w.plan ? w.plan->action : cache::Action::WHOLE;
        p.token_row.resize(p.token_row.size() + chunk_tokens, -1);
        int32_t* token_row = p.token_row.data() + p.first_slot.back();
        auto take = [&](int64_t local) {
            token_row[local] = static_cast<int32_t>(p.token.size());
            p.token.push_back(static_cast<int32_t>(base + local));
        };
        if (action == cache::Action::WHOLE)
            for (int64_t t = 0; t < chunk_tokens; t++) take(t);
        else if (action == cache::Action::PARTIAL)
            for (int32_t t : w.plan->tokens) take(t);
        const int64_t end = static_cast<int64_t>(p.token.size());
        if (end == first) continue;
        if (shape.attention == Attention::CAUSAL) {
            const int64_t step = shape.chunk * frame_tokens;
            for (int64_t t = 0; t < tokens; t += step)
                p.spans.push_back({i, w.branch, first + t, first + t + step, t + step});
        } else {
            p.spans.push_back(
                {i, w.branch, first, end, shape.attention == Attention::KV ? base + chunk_tokens : tokens});
        }
    }
    p.rows = static_cast<int64_t>(p.token.size());
    p.group.resize(p.token.size());
    for (size_t r = 0; r < p.token.size(); r++) p.group[r] = p.frame_group[p.token[r] / frame_tokens];
}

void Window::check_positions(const model::TransformerConfig& c, int64_t frames, int64_t rows,
                             int64_t columns) {
    if (frames > c.rope_length)
        throw Error(MC_ERROR_SETTINGS, "A window of " + std::to_string(frames) +
                                           " latent frames is longer than the " +
                                           std::to_string(c.rope_length) +
                                           " that the model has positions for; lower base-num-frames.");
    if (rows > c.rope_length || columns > c.rope_length)
        throw Error(MC_ERROR_SETTINGS,
                    "A picture of " + std::to_string(rows) + " x " + std::to_string(columns) +
                        " tokens is larger than the " + std::to_string(c.rope_length) +
                        " per side that the model has positions for; lower width or height.");
}

// Rank 0's part, or that of the only process.
static Spread spread_of(const Workers* workers, const Window::Shape& shape, int64_t heads) {
    return workers ? spread_over(workers->ranks(), shape.branches, heads) : Spread();
}

Window::Window(const Transformer& transformer, const Shape& shape) {
    c10::InferenceMode guard;
    Workers* workers = transformer.impl_->workers.get();
    Spread spread = spread_of(workers, shape, transformer.impl_->config.heads);
    spread.store = transformer.impl_->store;
    if (workers) spread.linked = workers->agree(transformer, shape, spread);
    make(transformer, shape, spread, workers ? &workers->group() : nullptr);
    if (spread.ranks == 1) return;
    if (spread.apart) impl_->velocity.push_back(at::zeros_like(impl_->velocity.front()));
    impl_->spread = std::make_unique<SpreadWindow>(*workers, shape, spread);
}

Window::Window(const Transformer& transformer, const Shape& shape, const Spread& spread, ranks::Group& group) {
    c10::InferenceMode guard;
    if (spread.team() > 1 && spread.store != transformer.impl_->store)
        throw Error(MC_ERROR_SETTINGS,
                    "This processor keeps bfloat16 otherwise than rank 0's, and they would divide the "
                    "tokens of a forward: take processors of one kind, or precision=float32.");
    make(transformer, shape, spread, &group);
}

void Window::make(const Transformer& transformer, const Shape& shape, const Spread& spread, ranks::Group* group) {
    const auto& c = transformer.impl_->config;
    if (shape.frames < 1 || shape.height % c.patch[1] || shape.width % c.patch[2] || shape.chunk < 1 ||
        (shape.attention != Attention::FULL && shape.frames % shape.chunk) || shape.branches < 1 ||
        (shape.keys_in_bytes && (shape.attention != Attention::KV || transformer.impl_->device.is_cpu())))
        throw Error(MC_ERROR_INTERNAL, "A window was asked for that the transformer cannot take; please report this.");
    check_positions(c, shape.frames, shape.height / c.patch[1], shape.width / c.patch[2]);
    std::unique_ptr<TokenShare> share;
    Shape here = shape;
    if (group) {
        const int rank = group->rank();
        here = spread.part(shape, rank);
        const int64_t most = rows_at_once(here, shape.height / c.patch[1] * (shape.width / c.patch[2]));
        if (spread.team() > 1)
            share = std::make_unique<TokenShare>(
                *group, spread.leader_of(rank), spread.team(), c.width, c.heads, most,
                at::TensorOptions(transformer.impl_->device).dtype(transformer.impl_->type()),
                spread.linked ? transformer.impl_->link : nullptr);
    }
    impl_ = std::make_unique<Impl>(*transformer.impl_, here, std::move(share));
}

Window::~Window() = default;
bool Window::apart() const {
    return impl_->spread && impl_->spread->apart();
}
int Window::chunks() const {
    return impl_->chunks;
}
int64_t Window::frame_tokens() const {
    return impl_->frame_tokens;
}
std::pair<int64_t, int64_t> Window::frame_grid() const {
    const auto& c = impl_->model.config;
    return {impl_->shape.height / c.patch[1], impl_->shape.width / c.patch[2]};
}
int64_t Window::flop() const {
    return impl_->count.flop();
}
const networks::CallCount& Window::calls() const {
    return impl_->count;
}
const at::Tensor& Window::velocity(int branch) const {
    return impl_->velocity[branch];
}
const Window::Change& Window::change(size_t index) const {
    return impl_->changes.at(index);
}
void Window::use_plain(bool plain) {
    c10::InferenceMode guard;
    impl_->plain = plain;
    if (impl_->plain) impl_->allocate_for_plain();
}
void Window::prepare(const std::vector<int64_t>& timesteps) {
    c10::InferenceMode guard;
    impl_->time.prepare(timesteps, &impl_->count);
    if (impl_->spread) impl_->spread->prepare(timesteps);
}

void Window::forget(bool outputs) {
    c10::InferenceMode guard;
    for (Impl::Memory& m : impl_->memory) {
        if (outputs) m.has_last = false;
        if (m.level.defined()) m.level.fill_(std::numeric_limits<float>::quiet_NaN());
    }
    if (impl_->spread) impl_->spread->forget(outputs);
}

Window::Distance Window::distance(bool e0, int64_t now, int64_t before) {
    c10::InferenceMode guard;
    TimeTable& time = impl_->time;
    time.prepare({now, before}, &impl_->count);
    const at::Tensor& table = e0 ? time.e0() : time.e();
    at::Tensor a = table[time.row(now)].to(at::kDouble), b = table[time.row(before)].to(at::kDouble);
    const at::Tensor both = at::stack({(a - b).abs().mean(), b.abs().mean()}).to(at::kCPU);
    return {both.const_data_ptr<double>()[0], both.const_data_ptr<double>()[1]};
}

void Window::forward(const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                     std::span<const TextContext* const> text, std::span<const ChunkWork> work, Cancel cancel,
                     const Trace& trace) {
    c10::InferenceMode guard;
    Impl& w = *impl_;
    for (const ChunkWork& item : work) {
        const bool whole = !item.plan || item.plan->action == cache::Action::WHOLE;
        if (item.branch < 0 || item.branch >= static_cast<int>(w.velocity.size()) || item.chunk < 0 ||
            item.chunk >= w.chunks ||
            ((item.remember || item.motion || (!whole && item.output)) && !w.shape.remembers) ||
            (!whole && item.plan->action == cache::Action::PARTIAL && w.shape.attention != Attention::KV))
            throw Error(MC_ERROR_INTERNAL, "The window was given work that it was not made for; please report this.");
    }
    if (w.spread) return w.spread->forward(w, latents, timesteps, text, work, cancel, trace);
    w.run(latents, timesteps, text, work, cancel, trace);
}

void Window::Impl::run(const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                       std::span<const TextContext* const> text, std::span<const ChunkWork> work, Cancel cancel,
                       const Trace& trace) {
    time.prepare(timesteps, &count);
    lay_out(timesteps, work);
    changes.assign(work.size(), {});
    if (trace) {
        std::vector<int64_t> rows;
        for (int64_t t : timesteps) rows.push_back(time.row(t));
        at::Tensor frames = upload(at::tensor(rows), model.device);
        trace("e", time.e().index_select(0, frames));
        trace("e0", time.e0().index_select(0, frames));
        trace("rope_angle", rotary.angle);
        trace("rope_cos", rotary.cosine);
        trace("rope_sin", rotary.sine);
    }
    waited = model.device.is_cpu();
    const auto forward = plain                    ? &Impl::forward_plain
                         : model.device.is_cpu() ? &Impl::forward_fast
                                                 : &Impl::forward_device;
    (this->*forward)(latents, text, work, cancel, trace);
}

at::Tensor Window::forward(const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                           const TextContext& text, Cancel cancel, const Trace& trace) {
    std::vector<ChunkWork> work(chunks());
    for (int c = 0; c < chunks(); c++) work[c].chunk = c;
    const TextContext* const texts[] = {&text};
    forward(latents, timesteps, texts, work, cancel, trace);
    return velocity(0);
}

void Window::Impl::leave_team() {
    if (share) share->leave();
}
void Window::leave_team() {
    impl_->leave_team();
}

void Window::wait() {
    if (!impl_->waited) wait_for(impl_->model.device);
    impl_->waited = true;
}

std::pair<at::Tensor, at::Tensor> Window::keys_values(int branch, int64_t layer) const {
    c10::InferenceMode guard;
    const Impl& w = *impl_;
    if (branch >= w.shape.branches || w.share)
        throw Error(MC_ERROR_INTERNAL,
                    "Not all keys and values are in this process: unset WORLD_SIZE to trace them.");
    const size_t slot = w.slot_of(layer, branch);
    if (!w.plain && w.shape.keys_in_bytes) {
        const size_t at = w.layer_slot(layer);
        networks::restore(w.layer_keys[at], w.layer_scales[at], w.open_keys);
        auto part = [&](int64_t of) {
            return w.open_keys.narrow(0, (branch * 2 + of) * w.tokens, w.tokens).to(at::kFloat).cpu();
        };
        return {part(0), part(1)};
    }
    if (w.plain || !w.model.device.is_cpu())
        return {w.keys.at(slot).to(at::kFloat).cpu(), w.values.at(slot).to(at::kFloat).cpu()};
    const int64_t D = w.model.config.width;
    at::Tensor k = at::empty({w.tokens, D}), v = at::empty_like(k);
    for (int64_t t = 0; t < w.tokens; t++)
        kernels::read_key(w.model.key_values(w.keys_values[slot], w.tokens, w.heads()), t,
                          k.mutable_data_ptr<float>() + t * D, v.mutable_data_ptr<float>() + t * D);
    return {k, v};
}

// forward_device beside what all forwards hold: x and y with queries, keys, values and those that are stored, or with
// the FFN's rows and what comes out; embeddings; modulation; and where a device has no row kernels ATen's float32
// tensors of some rows. Of a team: that of its own rows, with two more on their way to the heads, or all rows as they
// are collected and put out.
static int64_t device_workspace(const model::TransformerConfig& c, const Window::Shape& s, int64_t all, int team,
                                int64_t embedded, int64_t element) {
    const int64_t rows = team > 1 ? all / team + 1 : all;
    int64_t activations = std::max((team > 1 ? 8 : 6) * c.width, 3 * c.width + c.ffn) * rows;
    if (team > 1) activations = std::max(activations, (3 * all + rows) * c.width);
    activations += embedded * c.width;
    const int64_t patches = embedded * 4 * c.in_channels;
    const int64_t text = s.branches * c.layers * 2 * c.text_rows * c.width;
    // A matrix that is kept in bytes, as it is multiplied.
    const int64_t opened = std::max(3 * c.width, c.ffn) * c.width;
    return (activations + 2 * patches + text + opened) * element + c.layers * s.frames * 6 * c.width * 4 +
           10 * 4 * std::min(rows, networks::RowOps::ROWS_AT_ONCE) * c.width;
}

Window::Bytes Window::bytes(const model::TransformerConfig& c, Precision precision, at::Device device,
                            const Shape& shape) {
    return bytes(c, precision, device, shape, {}, 0);
}

Window::Bytes Window::bytes(const model::TransformerConfig& c, Precision precision, at::Device device,
                            const Shape& whole, const Spread& spread, int rank) {
    const Shape s = spread.part(whole, rank);
    const int64_t frame_tokens = (s.height / c.patch[1]) * (s.width / c.patch[2]),
                  tokens = s.frames * frame_tokens;
    const kernels::Store store = networks::store_for(precision, device);
    const int64_t element = networks::element_bytes(store);
    const bool kv = s.attention == Attention::KV;
    const int64_t most = rows_at_once(s, frame_tokens);
    Bytes bytes{};
    // x, q and where remembered the output; patch embeddings and patches; bookkeeping; rotary tables; velocities, of
    // which guidance makes copies; the blocks of each thread.
    bytes.workspace = most * 16 + tokens * c.head() / 2 * 3 * 4 +
                      tokens * 4 * c.out_channels * (whole.branches + 1) * 4;
    const int64_t heads = c.heads / spread.team();
    if (spread.ranks > 1) { // latents in an order, and what the second team answers, as tensors and as messages
        bytes.workspace += tokens * 4 * (c.in_channels + (spread.apart ? c.out_channels : 0)) * 2 * 4;
        if (spread.team() > 1) {
            bytes.workspace += TokenShare::bytes(c.width, spread.team(), most, element);
            // A rank of the CPU keeps no queries of its own, one of a device knows all slots of keys.
            bytes.workspace += device.is_cpu() ? -most * c.width * element : most * 20;
        }
    }
    if (device.is_cpu())
        bytes.workspace +=
            most * c.width * (s.remembers ? 3 : 2) * element + tokens * c.width * element +
            thread_count() *
                networks::Blocks::bytes(c.width, c.ffn, 4 * std::max(c.in_channels, c.out_channels), store);
    else
        bytes.workspace += device_workspace(
            c, s, most, spread.team(), kv ? std::min(s.frames, s.chunks_at_once * s.chunk) * frame_tokens : tokens,
            element);
    const int64_t width = heads * c.head();
    if (s.keys_in_bytes) bytes.workspace += s.branches * 2 * tokens * width * element; // of the layer at work
    const int64_t layer = device.is_cpu()
                              ? static_cast<int64_t>(kernels::key_value_bytes(tokens, heads, c.head(), store))
                          : s.keys_in_bytes ? tokens * 2 * (width + 4 * heads)
                                            : tokens * width * 2 * element;
    bytes.keys_values = layer * s.branches * (kv ? c.layers : device.is_cpu() ? 2 : 1);
    if (s.remembers) {
        const bool taylor = s.reuse == CacheReuse::TAYLOR;
        const int64_t chunks = kv ? s.frames / s.chunk : 1;
        bytes.remembered = s.branches * (tokens * (c.width * element * (taylor ? 2 : 1) + (taylor ? 4 : 0)) +
                                         chunks * frame_tokens * c.width * element);
    }
    return bytes;
}

} // namespace mc::wan_dit
