// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/ranks/group.h"

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <ATen/ATen.h>
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <unistd.h>

#include "engine/error.h"
#include "engine/pinned_memory.h"

namespace mc::ranks {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;
constexpr milliseconds LOOK = 100ms, SIGN_OF_LIFE = 1s; // how often the watcher looks, and how often it gives one
constexpr milliseconds STORE = 5s; // for an answer of the store, which is a small program's
// Of Gloo: a forward may take long, and whether somebody is gone is told otherwise.
constexpr milliseconds NEVER = std::chrono::hours(24 * 20);
// The same whether Gloo notices while it sends, or refuses at once what it knows to be broken.
constexpr const char* ENDED = "has ended in the middle of the work";

// Gloo writes to sockets without asking that a broken one raise no signal, which would end the program of rank 0 with
// the worker. Threads that are made meanwhile, as Gloo's are, inherit it.
class NoBrokenPipe {
  public:
    NoBrokenPipe() {
        sigset_t pending;
        ::sigpending(&pending);
        if (::sigismember(&pending, SIGPIPE)) return; // somebody else's
        ::sigemptyset(&pipe_);
        ::sigaddset(&pipe_, SIGPIPE);
        blocked_ = ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_) == 0;
    }
    ~NoBrokenPipe() {
        if (!blocked_) return;
        constexpr timespec NOW{};
        while (::sigtimedwait(&pipe_, nullptr, &NOW) == -1 && errno == EINTR) {
        }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

  private:
    sigset_t pipe_{}, before_{};
    bool blocked_ = false;
};

std::string text_of(const std::vector<uint8_t>& bytes) {
    return {bytes.begin(), bytes.end()};
}
std::vector<uint8_t> bytes_of(const std::string& text) {
    return {text.begin(), text.end()};
}
std::string seconds(milliseconds time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}
std::string what_of(const std::exception& e) {
    const auto* c10_error = dynamic_cast<const c10::Error*>(&e);
    return c10_error ? c10_error->what_without_backtrace() : e.what();
}

} // namespace

struct Group::Impl {
    Membership me;
    Limits limits;
    c10::intrusive_ptr<c10d::Store> store;
    c10::intrusive_ptr<c10d::Backend> gloo;
    std::vector<std::string> names; // of all ranks, then of the store
    std::timed_mutex talk;
    std::atomic<int64_t> order{0};

    // Shared with the thread that watches.
    mutable std::mutex mutex;
    std::condition_variable changed;
    bool ending = false;
    int lost = -1; // rank, or me.size: the store
    std::string lost_why, lost_detail;
    std::vector<std::weak_ptr<DeviceLink>> links;
    c10::intrusive_ptr<c10d::Work> work; // that somebody waits for
    int work_of = 0;                     // with which rank
    clock::time_point work_late = clock::time_point::max();
    Cancel waiting;                      // of the thread that waits
    bool asked_to_stop = false;          // for that
    int64_t working = 0;                 // order; 0: none
    McCancel stop;                       // of that order
    Traffic traffic;
    std::thread watcher;

    void join(); // the store
    void meet(const std::string& version, Cancel cancel);
    void greet(const std::string& version, Cancel cancel);
    void leave() noexcept;
    void connect();
    void watch();
    void lose(int rank, const std::string& why, const std::string& detail);
    std::vector<std::shared_ptr<DeviceLink>> held_links();
    void watch_links();
    [[noreturn]] void throw_lost() const; // mutex held
    void finish(c10::intrusive_ptr<c10d::Work> work, int other, Cancel cancel,
                clock::time_point late = clock::time_point::max());
    std::string key(const std::string& name) const { return me.prefix + name; }
};

void Group::Impl::join() {
    c10d::TCPStoreOptions o;
    o.port = uint16_t(me.port);
    o.isServer = me.rank == 0 && !me.store_is_there;
    o.waitWorkers = false;
    o.timeout = limits.arrive;
    const std::string where = me.master + " port " + std::to_string(me.port) + " (MASTER_ADDR, MASTER_PORT)";
    try {
        store = c10::make_intrusive<c10d::TCPStore>(me.master, o);
        store->setTimeout(STORE);
    } catch (const std::exception& e) {
        if (o.isServer)
            throw Error(MC_ERROR_DEVICE,
                        "Rank 0 cannot listen at " + where + ": take a port that is free and an address of this host.",
                        what_of(e));
        throw Error(MC_ERROR_DEVICE,
                    "Rank " + std::to_string(me.rank) + " does not find rank 0 at " + where + " within " +
                        seconds(limits.arrive) +
                        ": start rank 0, and look whether this "
                        "host reaches it.",
                    what_of(e));
    }
}

void Group::Impl::meet(const std::string& version, Cancel cancel) {
    join();
    try {
        greet(version, cancel);
    } catch (const Error&) {
        leave();
        throw;
    } catch (const std::exception& e) { // of the store, which rank 0 or torchrun has
        leave();
        throw Error(MC_ERROR_DEVICE,
                    "The ranks did not meet: the process that holds their list at " + me.master + " port " +
                        std::to_string(me.port) +
                        " has ended; see what rank 0 wrote last, then start all ranks again.",
                    what_of(e));
    }
}

// Where the ranks did not meet: this one may come again, and the others read why before rank 0 takes the store away.
void Group::Impl::leave() noexcept {
    try {
        store->add(key("claimed/" + std::to_string(me.rank)), -1);
        int64_t left = store->add(key("left"), 1);
        if (me.rank != 0 || me.store_is_there) return;
        const auto late = clock::now() + STORE;
        int64_t here = 0;
        for (int r = 0; r < me.size; r++) here += store->check({key("here/" + std::to_string(r))});
        for (; left < here && clock::now() < late; left = store->add(key("left"), 0)) std::this_thread::sleep_for(LOOK);
    } catch (const std::exception&) { // it has gone already
    }
}

void Group::Impl::greet(const std::string& version, Cancel cancel) {
    char host[256] = "?";
    ::gethostname(host, sizeof host - 1);
    const std::string name = std::string(host) + ", process " + std::to_string(::getpid());
    const std::string rank = std::to_string(me.rank);
    if (store->add(key("claimed/" + rank), 1) > 1)
        throw Error(MC_ERROR_SETTINGS, "Two processes say that they are rank " + rank +
                                           ": give each its own RANK, from 0 to " +
                                           std::to_string(me.size - 1) + ".");
    store->set(key("here/" + rank), bytes_of(version + "\n" + name));
    const auto late = clock::now() + limits.arrive;
    names.resize(me.size);
    std::string missing;
    for (int r = 0; r < me.size; r++) {
        const std::string its = key("here/" + std::to_string(r));
        while (!store->check({its}) && clock::now() < late) {
            cancel.check();
            std::this_thread::sleep_for(LOOK / 2);
        }
        if (!store->check({its})) {
            missing += (missing.empty() ? "" : ", ") + std::to_string(r);
            continue;
        }
        const std::string hello = text_of(store->get(its)), their = hello.substr(0, hello.find('\n'));
        names[r] = "rank " + std::to_string(r) + " (" + hello.substr(std::min(hello.size(), their.size() + 1)) + ")";
        if (their != version)
            throw Error(MC_ERROR_DEVICE, "This is " + version + " and " + names[r] + " is " + their +
                                             ": install the same version everywhere.");
    }
    if (!missing.empty())
        throw Error(MC_ERROR_DEVICE,
                    "Of " + std::to_string(me.size) + " processes (WORLD_SIZE) rank " + missing +
                        " did not come within " + seconds(limits.arrive) +
                        ": start motioncache-worker with this RANK and the same MASTER_ADDR and "
                        "MASTER_PORT, or unset WORLD_SIZE to work alone.");
}

void Group::Impl::connect() {
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    const bool one_host = me.master == "127.0.0.1" || me.master == "localhost" || me.master == "::1";
    try {
        auto options = c10d::ProcessGroupGloo::Options::create(limits.arrive);
        options->devices.push_back(
            interface && *interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
            : one_host              ? c10d::ProcessGroupGloo::createDeviceForHostname(me.master)
                                    : c10d::ProcessGroupGloo::createDefaultDevice());
        gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
            c10::make_intrusive<c10d::PrefixStore>(key("gloo"), store), me.rank, me.size, options);
        gloo->setTimeout(NEVER);
    } catch (const std::exception& e) {
        throw Error(MC_ERROR_DEVICE,
                    "The ranks have met but cannot connect: one has ended meanwhile, or a firewall is between them; "
                    "GLOO_SOCKET_IFNAME names the network interface to use.",
                    what_of(e));
    }
}

void Group::Impl::lose(int rank, const std::string& why, const std::string& detail) {
    {
        std::lock_guard lock(mutex);
        if (lost < 0) {
            lost = rank;
            lost_why = why;
            lost_detail = detail;
        }
        if (work) work->abort();
    }
    for (const auto& link : held_links()) link->abort();
}

std::vector<std::shared_ptr<DeviceLink>> Group::Impl::held_links() {
    std::vector<std::shared_ptr<DeviceLink>> held;
    std::lock_guard lock(mutex);
    std::erase_if(links, [&](const std::weak_ptr<DeviceLink>& link) {
        if (auto here = link.lock()) held.push_back(std::move(here));
        return link.expired();
    });
    return held;
}

void Group::Impl::watch_links() {
    for (const auto& link : held_links()) {
        const DeviceLink::State state = link->state();
        if (!state.fault.empty())
            lose(me.rank, "could not exchange with the devices of the others", state.fault);
        else if (state.waiting > limits.still)
            lose(me.rank, "has waited " + seconds(limits.still) + " for its device, or another rank's, to exchange", "");
    }
}

void Group::Impl::throw_lost() const {
    const bool worker = lost > 0 && lost < me.size && me.rank == 0;
    throw Error(MC_ERROR_DEVICE,
                names[lost] + " " + lost_why +
                    (worker ? ": see what its motioncache-worker wrote last, then start all ranks again."
                     : me.rank == 0 ? ": start all ranks again."
                                    : "."),
                lost_detail);
}

// Signs of life and requests to stop go through the store, for a process that computes reads no messages.
void Group::Impl::watch() {
    std::vector<std::string> last(me.size);
    std::vector<clock::time_point> seen(me.size, clock::now());
    clock::time_point answered = clock::now(); // by the store
    clock::time_point next{};
    for (int64_t beat = 0;;) {
        int64_t order = 0;
        int late = -1;
        bool ask = false;
        {
            std::unique_lock lock(mutex);
            if (changed.wait_for(lock, LOOK, [&] { return ending; })) return;
            if (lost >= 0) continue;
            order = working;
            if (work && clock::now() > work_late) late = work_of;
            if (work && !asked_to_stop) {
                try {
                    waiting.check();
                } catch (const Error&) {
                    ask = asked_to_stop = true;
                }
            }
        }
        if (late >= 0) lose(late, "has given nothing of its device for " + seconds(limits.still), "");
        watch_links();
        try {
            if (ask) store->set(key("stop"), bytes_of(std::to_string(this->order)));
            if (order && store->check({key("stop")}) && text_of(store->get(key("stop"))) == std::to_string(order)) {
                std::lock_guard lock(mutex);
                if (working == order) stop.set = true;
            }
            if (clock::now() < next) continue;
            next = clock::now() + SIGN_OF_LIFE;
            store->set(key("alive/" + std::to_string(me.rank)), bytes_of(std::to_string(++beat)));
            answered = clock::now();
        } catch (const std::exception& e) {
            if (ask) { // once more then
                std::lock_guard lock(mutex);
                asked_to_stop = false;
            }
            if (!me.store_is_there && me.rank > 0)
                lose(0, "has ended, or is not reached any more", what_of(e));
            if (clock::now() - answered > limits.silent) // of a rank that is gone nobody would learn
                lose(me.size, "has given no answer for " + seconds(limits.silent), what_of(e));
            continue;
        }
        for (int r = 0; r < me.size; r++) {
            if (r == me.rank) continue;
            const std::string its = key("alive/" + std::to_string(r));
            std::string now;
            try {
                if (store->check({its})) now = text_of(store->get(its));
            } catch (const std::exception&) { // the next sign of our own tells
            }
            if (now != last[r]) last[r] = now, seen[r] = clock::now();
            if (clock::now() - seen[r] > limits.silent)
                lose(r, "has given no sign of life for " + seconds(limits.silent), "");
        }
    }
}

// Waits; throws when the other is lost.
void Group::Impl::finish(c10::intrusive_ptr<c10d::Work> w, int other, Cancel cancel, clock::time_point late) {
    {
        std::lock_guard lock(mutex);
        if (lost >= 0) throw_lost();
        work = w;
        work_of = other;
        work_late = late;
        waiting = cancel;
    }
    std::string fault;
    try {
        w->wait();
    } catch (const std::exception& e) {
        fault = what_of(e);
    }
    {
        std::lock_guard lock(mutex);
        work.reset();
        waiting = {};
        asked_to_stop = false;
    }
    if (!fault.empty()) lose(other, ENDED, fault);
    std::lock_guard lock(mutex);
    if (lost >= 0) throw_lost();
}

Group::Group(const Membership& membership, const std::string& version, Limits limits, Cancel cancel)
    : impl_(std::make_unique<Impl>()) {
    const NoBrokenPipe quiet;
    impl_->me = membership;
    impl_->limits = limits;
    impl_->meet(version, cancel);
    impl_->names.push_back("torchrun's list of ranks at " + membership.master + " port " +
                           std::to_string(membership.port));
    impl_->connect();
    impl_->watcher = std::thread([this] { impl_->watch(); });
}

Group::~Group() {
    stop_watching();
}

void Group::stop_watching() {
    {
        std::lock_guard lock(impl_->mutex);
        impl_->ending = true;
    }
    impl_->changed.notify_all();
    if (impl_->watcher.joinable()) impl_->watcher.join();
}

int Group::rank() const {
    return impl_->me.rank;
}
int Group::size() const {
    return impl_->me.size;
}
std::string Group::name(int rank) const {
    return impl_->names.at(rank);
}
std::timed_mutex& Group::talk() {
    return impl_->talk;
}
int64_t Group::next_order() {
    return ++impl_->order;
}
Traffic Group::traffic() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->traffic;
}

// Each message is its length and then itself; Gloo keeps the order between two ranks.
void Group::send(const Message& message, int to) {
    const NoBrokenPipe quiet;
    const auto& bytes = message.bytes();
    std::vector<at::Tensor> part{at::full({1}, int64_t(bytes.size()), at::kLong)};
    try {
        impl_->finish(impl_->gloo->send(part, to, 0), to, {});
        part[0] = at::from_blob(const_cast<char*>(bytes.data()), {int64_t(bytes.size())}, at::kByte);
        impl_->finish(impl_->gloo->send(part, to, 0), to, {});
    } catch (const Error&) {
        throw;
    } catch (const std::exception& e) {
        impl_->lose(to, ENDED, what_of(e));
        std::lock_guard lock(impl_->mutex);
        impl_->throw_lost();
    }
    std::lock_guard lock(impl_->mutex);
    impl_->traffic.sent += int64_t(bytes.size() + sizeof(int64_t));
}

Message Group::receive(int from, Cancel cancel) {
    const NoBrokenPipe quiet;
    std::vector<at::Tensor> part{at::zeros({1}, at::kLong)};
    std::vector<char> bytes;
    try {
        impl_->finish(impl_->gloo->recv(part, from, 0), from, cancel);
        bytes.resize(size_t(part[0].item<int64_t>()));
        part[0] = at::from_blob(bytes.data(), {int64_t(bytes.size())}, at::kByte);
        impl_->finish(impl_->gloo->recv(part, from, 0), from, {});
    } catch (const Error&) {
        throw;
    } catch (const std::exception& e) {
        impl_->lose(from, ENDED, what_of(e));
        std::lock_guard lock(impl_->mutex);
        impl_->throw_lost();
    }
    std::lock_guard lock(impl_->mutex);
    impl_->traffic.received += int64_t(bytes.size() + sizeof(int64_t));
    return Message(std::move(bytes));
}

std::shared_ptr<DeviceLink> Group::open_link(at::Device device, const std::string& key) {
    std::shared_ptr<DeviceLink> link;
    const DeviceLinks* links = device_links(device.type());
    try {
        if (links) link = links->open(device, key, rank(), size(), impl_->limits.arrive);
    } catch (const std::exception& e) {
        throw Error(MC_ERROR_DEVICE,
                    std::string(links->what) + " cannot connect " + device.str() + " with the devices of the other "
                    "ranks: NCCL_DEBUG=INFO makes it say more, MOTIONCACHE_NCCL=off does without it.", what_of(e));
    }
    if (!link) throw Error(MC_ERROR_INTERNAL, "There is no link of devices here; please report this.");
    std::lock_guard lock(impl_->mutex);
    if (impl_->lost >= 0) impl_->throw_lost();
    impl_->links.push_back(link);
    return link;
}

void Group::exchange(const std::vector<Piece>& to, const std::vector<Piece>& from, DeviceLink* link) {
    const NoBrokenPipe quiet;
    constexpr int TAG = 1; // apart from messages
    Traffic moved;
    if (link) {
        const auto linked = [&](const std::vector<Piece>& pieces, int64_t& bytes) {
            std::vector<Piece> list;
            for (const Piece& p : pieces)
                if (!p.part.is_cpu() && p.part.numel()) list.push_back(p), bytes += int64_t(p.part.nbytes());
            return list;
        };
        const std::vector<Piece> out = linked(to, moved.sent), in = linked(from, moved.received);
        try {
            if (!out.empty() || !in.empty()) link->exchange(out, in);
        } catch (const std::exception& e) {
            impl_->lose(rank(), "could not exchange with the devices of the others", what_of(e));
            std::lock_guard lock(impl_->mutex);
            impl_->throw_lost();
        }
    }
    // The rest by way of the host: of a device, in pinned memory.
    const auto on_host = [&](const std::vector<Piece>& pieces, bool filled) {
        std::vector<Piece> list;
        for (const Piece& p : pieces) {
            if (p.part.numel() == 0 || (link && !p.part.is_cpu())) continue;
            list.push_back(p);
            if (p.part.is_cpu()) continue;
            list.back().part = pinned_memory(p.part.sizes(), p.part.scalar_type());
            if (filled) list.back().part.copy_(p.part); // waits for the device
        }
        return list;
    };
    const std::vector<Piece> out = on_host(to, true), in = on_host(from, false);
    struct Pending {
        c10::intrusive_ptr<c10d::Work> work;
        int rank;
    };
    std::vector<Pending> pending;
    int other = 0;
    try {
        for (const auto* list : {&in, &out})
            for (const Piece& p : *list) {
                other = p.rank;
                std::vector<at::Tensor> part{p.part.view({-1})};
                auto& gloo = *impl_->gloo;
                pending.push_back({list == &out ? gloo.send(part, other, TAG) : gloo.recv(part, other, TAG), other});
                (list == &out ? moved.sent : moved.received) += int64_t(p.part.nbytes());
            }
    } catch (const std::exception& e) {
        impl_->lose(other, ENDED, what_of(e));
        std::lock_guard lock(impl_->mutex);
        impl_->throw_lost();
    }
    const bool of_device = std::any_of(to.begin(), to.end(), [](const Piece& p) { return !p.part.is_cpu(); });
    const auto late = of_device && !link ? clock::now() + impl_->limits.still : clock::time_point::max();
    for (const Pending& p : pending) impl_->finish(p.work, p.rank, {}, late);
    size_t arrived = 0;
    for (const Piece& p : from) {
        if (p.part.numel() == 0 || (link && !p.part.is_cpu())) continue;
        const at::Tensor& host = in[arrived++].part;
        if (!p.part.is_cpu()) p.part.view_as(host).copy_(host, /*non_blocking=*/true);
    }
    std::lock_guard lock(impl_->mutex);
    impl_->traffic.sent += moved.sent;
    impl_->traffic.received += moved.received;
}

void Group::break_off() {
    impl_->lose(rank(), "could not go on in the middle of a forward", "");
}

Cancel Group::working_on(int64_t order) {
    std::lock_guard lock(impl_->mutex);
    impl_->working = order;
    impl_->stop.set = false;
    return Cancel(&impl_->stop);
}

void Group::ask_to_stop(int64_t order) {
    const NoBrokenPipe quiet;
    try {
        impl_->store->set(impl_->key("stop"), bytes_of(std::to_string(order)));
    } catch (const std::exception&) { // who cannot be asked is lost, which is told elsewhere
    }
}

bool Group::rank_0_has_ended() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->lost == 0;
}

std::string version() {
    return "motioncache " MC_VERSION;
}

std::shared_ptr<Group> group_of_process(Cancel cancel) {
    // At the end of the process only the watching ends: what else c10d has may lean on what is gone by then.
    struct Kept {
        std::mutex mutex;
        std::shared_ptr<Group>* group = new std::shared_ptr<Group>;
        ~Kept() {
            if (*group) (*group)->stop_watching();
        }
    };
    static Kept kept;
    std::lock_guard lock(kept.mutex);
    if (*kept.group) return *kept.group;
    const auto me = membership_of_environment();
    if (!me) return nullptr;
    *kept.group = std::make_shared<Group>(*me, version(), Limits{}, cancel);
    return *kept.group;
}

} // namespace mc::ranks
