// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/spread_window.h"

#include <ATen/ATen.h>
#include <algorithm>

namespace mc::wan_dit {

void ForwardOrder::put(ranks::Message& to) const {
    to.put(timesteps);
    to.put(chunks);
    to.put(latents);
    to.put(dropped);
    to.put(static_cast<int64_t>(texts.size()));
    for (const Workers::Text& text : texts) to.put(text.id), to.put(text.embeds);
    to.put(static_cast<int64_t>(work.size()));
    for (const Work& w : work) {
        to.put(w.item.branch), to.put(w.item.chunk);
        to.put(w.item.remember), to.put(w.item.motion), to.put(w.item.output), to.put(w.item.level);
        to.put(w.planned), to.put(w.plan.action), to.put(w.plan.tokens);
        to.put(w.text);
    }
}

ForwardOrder ForwardOrder::get(ranks::Message& from) {
    ForwardOrder o;
    from.get(o.timesteps);
    from.get(o.chunks);
    from.get(o.latents);
    from.get(o.dropped);
    for (int64_t n = from.get<int64_t>(); n > 0; n--) {
        Workers::Text& text = o.texts.emplace_back();
        from.get(text.id), from.get(text.embeds);
    }
    for (int64_t n = from.get<int64_t>(); n > 0; n--) {
        Work& w = o.work.emplace_back();
        from.get(w.item.branch), from.get(w.item.chunk);
        from.get(w.item.remember), from.get(w.item.motion), from.get(w.item.output), from.get(w.item.level);
        from.get(w.planned), from.get(w.plan.action), from.get(w.plan.tokens);
        from.get(w.text);
    }
    return o;
}

namespace {
struct Counted {
    networks::Call call;
    int64_t times;
};
} // namespace

void ForwardAnswer::put(ranks::Message& to) const {
    to.put(static_cast<int64_t>(velocity.size()));
    for (const at::Tensor& t : velocity) to.put(t);
    to.put(static_cast<int64_t>(changes.size()));
    for (const Window::Change& c : changes) to.put(c.has_previous), to.put(c.tokens);
    std::vector<Counted> list;
    for (const auto& [call, times] : calls.counts()) list.push_back({call, times});
    to.put(list);
}

ForwardAnswer ForwardAnswer::get(ranks::Message& from) {
    ForwardAnswer a;
    a.velocity.resize(from.get<int64_t>());
    for (at::Tensor& t : a.velocity) from.get(t);
    a.changes.resize(from.get<int64_t>());
    for (Window::Change& c : a.changes) from.get(c.has_previous), from.get(c.tokens);
    for (const Counted& c : from.get<std::vector<Counted>>()) a.calls.add(c.call, c.times);
    return a;
}

SpreadWindow::SpreadWindow(Workers& workers, const Window::Shape& shape, const Spread& spread)
    : workers_(workers), window_(next_id()), spread_(spread) {
    try {
        Exchange x(workers_.group(), Order::WINDOW);
        address(x);
        x.order().put(spread);
        x.order().put(shape);
        send(x);
        x.finish();
    } catch (const std::exception&) { // where one could not, the others have theirs
        drop();
        throw;
    }
}

SpreadWindow::~SpreadWindow() {
    drop();
}

void SpreadWindow::drop() noexcept {
    try {
        Exchange x(workers_.group(), Order::DROP_WINDOW);
        address(x);
        send(x);
        x.finish();
    } catch (const std::exception&) { // lost
    }
}

void SpreadWindow::send(Exchange& x) {
    for (int rank = 1; rank < spread_.ranks; rank++) x.send(rank);
}

void SpreadWindow::address(Exchange& x) {
    x.order().put(workers_.model());
    x.order().put(window_);
}

void SpreadWindow::prepare(const std::vector<int64_t>& timesteps) {
    Exchange x(workers_.group(), Order::PREPARE);
    address(x);
    x.order().put(timesteps);
    send(x);
    x.finish();
}

void SpreadWindow::forget(bool outputs) {
    Exchange x(workers_.group(), Order::FORGET);
    address(x);
    x.order().put(outputs);
    send(x);
    x.finish();
}

void SpreadWindow::forward(Window::Impl& window, const at::Tensor& latents, const std::vector<int64_t>& timesteps,
                           std::span<const TextContext* const> text, std::span<const ChunkWork> work, Cancel cancel,
                           const Trace& trace) {
    const bool divided = spread_.team() > 1;
    std::vector<ChunkWork> here;
    std::vector<size_t> index_here, index_second, sent; // in the work
    for (size_t i = 0; i < work.size(); i++) {
        const bool second = spread_.apart && work[i].branch == SECOND;
        (second ? index_second : index_here).push_back(i);
        if (!second) here.push_back(work[i]);
        const cache::Plan* plan = work[i].plan;
        const bool has_rows = !plan || plan->action == cache::Action::WHOLE ||
                              (plan->action == cache::Action::PARTIAL && !plan->tokens.empty());
        if (second || (divided && has_rows)) sent.push_back(i);
    }
    if (sent.empty()) return window.run(latents, timesteps, text, here, cancel, trace);

    const auto chunk_of = [&](const at::Tensor& t, int chunk) { // of [C, frames, h, w]
        return t.narrow(1, chunk * window.chunk_frames, window.chunk_frames);
    };
    ForwardOrder order;
    order.timesteps = timesteps;
    std::vector<at::Tensor> parts;
    for (size_t i : sent) {
        const int chunk = work[i].chunk;
        if (std::find(order.chunks.begin(), order.chunks.end(), chunk) != order.chunks.end()) continue;
        order.chunks.push_back(chunk);
        parts.push_back(chunk_of(latents, chunk));
    }
    order.latents = at::cat(parts, 1);
    Exchange x(workers_.group(), Order::FORWARD, cancel);
    for (size_t i : sent) {
        const ChunkWork& w = work[i];
        const Workers::Text& shared = *Window::Impl::text_of(w, text).shared;
        if (workers_.new_to_workers(shared.id)) order.texts.push_back(shared);
        order.work.push_back({w, w.plan != nullptr, w.plan ? *w.plan : cache::Plan(), shared.id});
    }
    order.dropped = workers_.take_dropped();
    address(x);
    order.put(x.order());
    send(x);
    window.changes.clear();
    try {
        if (!here.empty()) window.run(latents, timesteps, text, here, cancel, divided ? Trace() : trace);
    } catch (const std::exception&) {
        window.leave_team();
        throw;
    }
    std::vector<Window::Change> mine = std::move(window.changes);
    window.changes.assign(work.size(), {});
    for (size_t i = 0; i < here.size(); i++) window.changes[index_here[i]] = std::move(mine[i]);
    for (int rank = 1; rank < spread_.ranks; rank++) {
        ranks::Message reply = x.answer(cancel);
        if (!spread_.apart || rank != spread_.second()) continue;
        ForwardAnswer theirs = ForwardAnswer::get(reply);
        size_t output = 0, moved = 0;
        for (size_t i : index_second) {
            if (work[i].motion) window.changes[i] = std::move(theirs.changes.at(moved++));
            if (work[i].output) chunk_of(window.velocity[SECOND], work[i].chunk).copy_(theirs.velocity.at(output++));
        }
        window.count.add(theirs.calls);
    }
}

} // namespace mc::wan_dit
