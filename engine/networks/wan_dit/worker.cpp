// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/worker.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <algorithm>
#include <map>

#include "engine/device.h"
#include "engine/networks/wan_dit/spread_window.h"
#include "engine/own_stream.h"

namespace mc::wan_dit {

namespace {

// A window and what it has counted up to the last answer.
struct HeldWindow {
    Window window;
    at::Tensor latents; // [C, frames, h, w] float32
    int64_t chunk_frames;
    Spread spread;
    int rank;
    std::map<networks::Call, int64_t> told;
    HeldWindow(const Transformer& transformer, const Spread& spread, const Window::Shape& s, ranks::Group& group)
        : window(transformer, s, spread, group),
          latents(at::zeros({transformer.config().in_channels, s.frames, s.height, s.width},
                            window.velocity(0).options())),
          chunk_frames(s.attention == Attention::KV ? s.chunk : s.frames), spread(spread), rank(group.rank()) {}
    networks::CallCount new_calls() {
        networks::CallCount fresh;
        for (const auto& [call, times] : window.calls().counts())
            if (const int64_t more = times - std::exchange(told[call], times)) fresh.add(call, more);
        return fresh;
    }
    at::Tensor frames_of(const at::Tensor& t, int chunk) const {
        return t.narrow(1, chunk * chunk_frames, chunk_frames);
    }
};
struct HeldModel {
    SharedModel shared;
    std::optional<OwnStream> own; // that videos are made in, from a plan to the last window; given back last
    std::unique_ptr<Transformer> transformer;
    std::map<int64_t, std::shared_ptr<const TextContext>> texts;
    std::map<int64_t, HeldWindow> windows; // gone before the transformer
    HeldModel(SharedModel s, std::unique_ptr<Transformer> t) : shared(std::move(s)), transformer(std::move(t)) {}
    const std::optional<c10::Stream>& stream() {
        if (!own) own.emplace(transformer->device());
        return own->get();
    }
};

class Worker {
  public:
    Worker(ranks::Group& group, const WorkerCalls& calls) : group_(group), calls_(calls) {}
    void run();

  private:
    ranks::Message follow(Order order, ranks::Message& from, Cancel cancel);
    void open(ranks::Message& from, ranks::Message& to, Cancel cancel);
    void close(int64_t id);
    void forward(HeldModel& model, HeldWindow& window, ranks::Message& from, ranks::Message& to, Cancel cancel);
    ranks::Group& group_;
    const WorkerCalls& calls_;
    std::map<int64_t, HeldModel> models_;
    int64_t forwards_ = 0; // since a model was closed
    ranks::Traffic forward_bytes_;
};

void Worker::open(ranks::Message& from, ranks::Message& to, Cancel cancel) {
    const int64_t id = from.get<int64_t>();
    SharedModel shared;
    from.get(shared.path), from.get(shared.precision), from.get(shared.in_bytes), from.get(shared.fingerprint);
    std::unique_ptr<Transformer> transformer = calls_.open(shared, cancel);
    const HeldModel& model = models_.try_emplace(id, std::move(shared), std::move(transformer)).first->second;
    RankDevice::of(model.transformer->device()).put(to);
}

void Worker::close(int64_t id) {
    const auto found = models_.find(id);
    if (found == models_.end()) return; // it could not be opened
    const at::Device device = found->second.transformer->device();
    {
        const InStream in_stream(found->second.stream());
        wait_for(device);
        models_.erase(found);
    }
    give_back_memory(device);
}

void Worker::forward(HeldModel& model, HeldWindow& held, ranks::Message& from, ranks::Message& to, Cancel cancel) {
    const ForwardOrder order = ForwardOrder::get(from);
    for (int64_t id : order.dropped) model.texts.erase(id);
    for (const Workers::Text& text : order.texts) // also of an order that is stopped: it is not sent again
        model.texts[text.id] = model.transformer->text_context(text.embeds);
    for (size_t i = 0; i < order.chunks.size(); i++)
        held.frames_of(held.latents, order.chunks[i]).copy_(held.frames_of(order.latents, static_cast<int>(i)));
    // Of its team's branches, and of that the leader alone has what comes out.
    const int own = held.rank >= held.spread.second() ? SpreadWindow::SECOND : 0;
    std::vector<ChunkWork> work;
    for (const ForwardOrder::Work& w : order.work) {
        if (held.spread.apart && w.item.branch != own) continue;
        work.push_back(w.item);
        if (held.spread.apart) work.back().branch = 0; // of this window
        if (!held.spread.leads(held.rank)) work.back().remember = work.back().motion = work.back().output = false;
        work.back().plan = w.planned ? &w.plan : nullptr;
        work.back().text = model.texts.at(w.text).get();
    }
    held.window.forward(held.latents, order.timesteps, {}, work, cancel);
    held.window.wait();
    ForwardAnswer answer;
    for (size_t i = 0; i < work.size(); i++) {
        if (work[i].output)
            answer.velocity.push_back(held.frames_of(held.window.velocity(work[i].branch), work[i].chunk));
        if (work[i].motion) answer.changes.push_back(held.window.change(i));
    }
    answer.calls = held.new_calls();
    answer.put(to);
}

ranks::Message Worker::follow(Order order, ranks::Message& from, Cancel cancel) {
    ranks::Message to;
    to.put(MC_OK);
    if (order == Order::OPEN) {
        open(from, to, cancel);
        return to;
    }
    const int64_t id = from.get<int64_t>();
    if (order == Order::CLOSE) {
        close(id);
        if (calls_.log) {
            const int64_t n = std::max<int64_t>(1, forwards_);
            calls_.log("model closed after " + std::to_string(forwards_) + " forwards, for each of which " +
                       std::to_string(forward_bytes_.received / n) + " bytes were received and " +
                       std::to_string(forward_bytes_.sent / n) + " sent");
        }
        forwards_ = 0, forward_bytes_ = {};
        return to;
    }
    HeldModel& model = models_.at(id);
    const InStream in_stream(model.stream());
    if (order == Order::LINK) {
        model.transformer->link(group_.open_link(model.transformer->device(), from.get<std::string>()));
        return to;
    }
    if (order == Order::ROOM) {
        const Spread spread = from.get<Spread>();
        std::vector<Window::Shape> shapes;
        from.get(shapes);
        std::vector<int64_t> dropped;
        from.get(dropped);
        for (int64_t text : dropped) model.texts.erase(text);
        const Room room = calls_.room(*model.transformer, model.shared, spread, group_.rank(), shapes);
        to.put(room.needed), to.put(room.free), to.put(room.more), to.put(room.device);
        return to;
    }
    const int64_t number = from.get<int64_t>();
    if (order == Order::WINDOW) {
        const Spread spread = from.get<Spread>();
        model.windows.try_emplace(number, *model.transformer, spread, from.get<Window::Shape>(), group_);
        return to;
    }
    if (order == Order::DROP_WINDOW) {
        model.windows.erase(number);
        if (model.windows.empty()) model.own.reset(); // so that nobody is at work when the next plan is made
        return to;
    }
    HeldWindow& held = model.windows.at(number);
    switch (order) {
    case Order::PREPARE:
        held.window.prepare(from.get<std::vector<int64_t>>());
        break;
    case Order::FORGET:
        held.window.forget(from.get<bool>());
        break;
    case Order::FORWARD:
        try {
            forward(model, held, from, to, cancel);
        } catch (const std::exception&) {
            held.window.leave_team();
            throw;
        }
        break;
    default:
        throw Error(MC_ERROR_INTERNAL, "An unknown order; please report this.");
    }
    return to;
}

void Worker::run() {
    for (;;) {
        const ranks::Traffic before = group_.traffic();
        ranks::Message from;
        try {
            from = group_.receive(0);
        } catch (const Error&) {
            if (group_.rank_0_has_ended() && models_.empty()) return;
            throw;
        }
        const auto order = from.get<Order>();
        const Cancel cancel = group_.working_on(from.get<int64_t>());
        ranks::Message to;
        const auto fail = [&](McStatus status, const std::string& message, const std::string& detail) {
            to = {};
            to.put(status), to.put(message), to.put(detail);
            if (calls_.log) calls_.log(status == MC_CANCELLED ? "rank 0 stopped an order" : message);
        };
        try {
            to = follow(order, from, cancel);
        } catch (const Error& e) {
            fail(e.status, e.what(), e.detail);
        } catch (const std::bad_alloc&) {
            fail(MC_ERROR_MEMORY, "Out of memory; ask for a smaller picture, fewer frames or a smaller model.", "");
        } catch (const c10::OutOfMemoryError& e) {
            fail(MC_ERROR_MEMORY,
                 "Out of memory; ask for a smaller picture, fewer frames or a smaller model.",
                 e.what_without_backtrace());
        } catch (const c10::AcceleratorError& e) {
            fail(MC_ERROR_DEVICE, "Its device failed in the middle of its work; start all ranks again.",
                 e.what_without_backtrace());
        } catch (const c10::Error& e) {
            fail(MC_ERROR_INTERNAL, "LibTorch refused an operation; please report this with the detail.",
                 e.what_without_backtrace());
        } catch (const std::exception& e) {
            fail(MC_ERROR_INTERNAL, "An unexpected fault of the engine; please report this with the detail.", e.what());
        }
        group_.working_on(0);
        group_.send(to, 0);
        if (order != Order::FORWARD) continue;
        forwards_++;
        const ranks::Traffic after = group_.traffic();
        forward_bytes_.received += after.received - before.received;
        forward_bytes_.sent += after.sent - before.sent;
    }
}

} // namespace

void follow_orders(ranks::Group& group, const WorkerCalls& calls) {
    c10::InferenceMode guard;
    Worker(group, calls).run();
}

} // namespace mc::wan_dit
