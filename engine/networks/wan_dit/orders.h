// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What rank 0 asks of a worker that holds the same transformer, and how it gets the answer. Decisions (text, noise,
// caches, solver, VAE) are rank 0's alone; a worker runs forwards. See docs/ranks.md.
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "engine/networks/wan_dit/spread.h"
#include "engine/ranks/group.h"

namespace mc::wan_dit {

// A message has the order, its number (Group::next_order), and then:
enum class Order : int32_t {
    OPEN,        // model, the members of SharedModel; the answer: RankDevice
    CLOSE,       // model
    ROOM,        // model, Spread, Window::Shapes of a video (of the whole), texts that nobody has any more
    WINDOW,      // model, window, Spread, Window::Shape of the whole
    DROP_WINDOW, // model, window
    PREPARE,     // model, window, timesteps
    FORGET,      // model, window, outputs
    FORWARD,     // model, window, ...: SpreadWindow::forward
    LINK,        // model, key: Group::open_link
};

int64_t next_id(); // of models, windows and texts, each once in this process

// A model that workers open too.
struct SharedModel {
    std::string path; // of the folder; a worker may be told another
    Precision precision = Precision::FLOAT32;
    bool in_bytes = false; // the matrices of the layers
    uint64_t fingerprint = 0; // of the transformer's weights, which are to be the same
};

// What a rank has room for, and what its part of a video's windows takes of it.
struct Room {
    int64_t needed = 0, free = 0; // bytes
    int64_t more = 0;             // where that is not enough: what all layers would leave on their way to the host
    at::Device device = at::kCPU;
};

// One order to some ranks and their answers. In between rank 0 may work itself; where it gives up before, they are
// asked to stop and their answers are awaited, so that the next order meets ranks that listen.
class Exchange {
  public:
    // Waits for the orders of other sessions, one of which may be loading a model, unless it is cancelled.
    Exchange(ranks::Group& group, Order order, Cancel cancel = {});
    ~Exchange();
    ranks::Message& order() { return order_; }
    void send(int rank);
    // Of the rank asked first, then of the next. Throws what it threw there, with its name.
    ranks::Message answer(Cancel cancel = {});
    void finish(Cancel cancel = {}) {
        while (!pending_.empty()) answer(cancel);
    }

  private:
    ranks::Group& group_;
    std::unique_lock<std::timed_mutex> talk_;
    const int64_t number_;
    ranks::Message order_;
    std::vector<int> pending_;
};

// Where a rank computes.
struct RankDevice {
    std::string text; // "cuda:0"
    bool cpu = true;
    std::string link_name; // DeviceLinks::name; empty: it has no link
    static RankDevice of(at::Device device);
    void put(ranks::Message& to) const;
    static RankDevice get(ranks::Message& from);
};

// The workers that have opened a model of rank 0's.
class Workers {
  public:
    using Log = std::function<void(int level, const std::string& text)>;
    // Asks them; opened() has the answers, so that all load at once.
    Workers(std::shared_ptr<ranks::Group> group, Ranks ranks, const SharedModel& model, Cancel cancel, Log log = {});
    ~Workers();
    void opened(at::Device here, Cancel cancel);
    // Before a window is made: throws MC_ERROR_SETTINGS where the devices of the ranks do not suit it. Whether rows are
    // exchanged from device to device; before the first one that would be, all ranks open their link.
    bool agree(const Transformer& transformer, const Window::Shape& shape, const Spread& spread);
    ranks::Group& group() { return *group_; }
    Ranks ranks() const { return ranks_; }
    int64_t model() const { return model_; }
    // Of ranks 1 and up: each moves layers to its host where its device is short (Transformer::stream).
    std::vector<Room> room(const Spread& spread, const std::vector<Window::Shape>& shapes, Cancel cancel);
    // A text for workers: they are sent it when they first need it, and told when nobody has it any more.
    struct Text {
        int64_t id;
        at::Tensor embeds; // [n, text width] float32
    };
    std::shared_ptr<const Text> share(const at::Tensor& embeds);
    // Of an order that needs this text: whether it has to be sent along. While the order is made.
    bool new_to_workers(int64_t text) { return sent_.insert(text).second; }
    std::vector<int64_t> take_dropped(); // texts that were sent and that nobody has any more

  private:
    struct Dropped {
        std::mutex mutex;
        std::vector<int64_t> ids;
    };
    const std::shared_ptr<ranks::Group> group_;
    const Ranks ranks_;
    const int64_t model_;
    std::string why_not_linked() const; // empty: it can be
    std::unique_ptr<Exchange> opening_;
    std::set<int64_t> sent_; // texts
    const std::shared_ptr<Dropped> dropped_ = std::make_shared<Dropped>();
    const Log log_;
    std::vector<RankDevice> devices_; // of all ranks
    std::mutex link_mutex_;
    bool link_known_ = false, linked_ = false;
};

} // namespace mc::wan_dit
