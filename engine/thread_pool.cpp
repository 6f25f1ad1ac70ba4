// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/thread_pool.h"

#include <chrono>
#include <thread>
#include <utility>

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#include <time.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace mc {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// Between two pieces of work of a step less than this goes by. A thread that sleeps is woken too late for the next one.
constexpr microseconds BETWEEN{1000};
// Less where another program wants the processor: a thread that spins for nothing has to wait for its turn later.
constexpr microseconds BETWEEN_CONTENDED{50};
constexpr microseconds LOOK{25};      // so often the owner looks whether those it waits for run
constexpr microseconds LONGEST{2000}; // it spins; what takes longer is worth being woken for
constexpr int CONTENDED = 100;        // rounds after one in which a helper was held up

thread_local bool in_piece = false;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// False: `done` did not come true for so long.
template <typename Done>
bool spin(microseconds limit, const Done& done) {
    const Clock::time_point begin = Clock::now();
    do {
        for (int i = 0; i < 16; i++) {
            if (done()) return true;
            relax();
        }
    } while (Clock::now() - begin < limit);
    return false;
}

int current_processor() {
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

} // namespace

// A thread, and where it may run. Elsewhere than on Linux it is never seen to be held up.
class ThreadPool::Helper {
  public:
    explicit Helper(std::function<void()> body) : thread_(std::move(body)) {}
    ~Helper() { thread_.join(); }
    std::atomic<bool> working{false}, moved{false};

#ifdef __linux__
    // Processor time that it has had; 0: not known.
    int64_t nanoseconds() {
        clockid_t clock;
        timespec time{};
        if (pthread_getcpuclockid(thread_.native_handle(), &clock) || clock_gettime(clock, &time)) return 0;
        return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
    }
    // By the owner, to the processor that it is on, which must be one that the helper may use.
    bool move_here() {
        const int here = current_processor();
        if (!restrict() || here < 0 || here >= CPU_SETSIZE || !CPU_ISSET(here, &allowed_)) return false;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(here, &one);
        moved = true;
        return pthread_setaffinity_np(thread_.native_handle(), sizeof one, &one) == 0;
    }
    // By itself: off that processor, where it may use another one. -1: wherever it may.
    void keep_off(int processor) {
        if (!restrict()) return;
        cpu_set_t rest = allowed_;
        if (processor >= 0 && processor < CPU_SETSIZE) CPU_CLR(processor, &rest);
        if (CPU_COUNT(&rest) == 0) rest = allowed_;
        pthread_setaffinity_np(thread_.native_handle(), sizeof rest, &rest);
        off_ = processor;
    }
    int off() const {
        return off_;
    } // processor that it keeps off

  private:
    // What it may use is asked for once, before it is first restricted.
    bool restrict() {
        if (!known_)
            known_ = pthread_getaffinity_np(thread_.native_handle(), sizeof allowed_, &allowed_) == 0;
        return known_;
    }
    cpu_set_t allowed_{};
    bool known_ = false;
    int off_ = -1;
#else
    int64_t nanoseconds() {
        return 0;
    }
    bool move_here() {
        return false;
    }
    void keep_off(int) {}
    int off() const {
        return -1;
    }

  private:
#endif
    std::thread thread_;
};

bool ThreadPool::inside() {
    return in_piece;
}

ThreadPool::ThreadPool(int threads, const std::function<void()>& begin) {
    for (int i = 1; i < threads; i++) helpers_.push_back(nullptr);
    for (auto& helper : helpers_)
        helper = std::make_unique<Helper>([this, begin, &helper] {
            if (begin) begin();
            await_next(0); // the first work, or the end: `helper` is there by then
            if (!quit_) help(*helper);
        });
}

ThreadPool::~ThreadPool() {
    quit_ = true;
    round_++;
    round_.notify_all();
}

// ---- helpers ----

void ThreadPool::await_next(uint32_t seen) {
    const microseconds limit = contended() ? BETWEEN_CONTENDED : BETWEEN;
    if (!spin(limit, [&] { return round_.load(std::memory_order_acquire) != seen; }))
        round_.wait(seen, std::memory_order_acquire);
}

// Not into work that is over: the owner waits for those that are in.
bool ThreadPool::enter() {
    uint32_t state = state_.load(std::memory_order_relaxed);
    while (state & OPEN)
        if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) return true;
    return false;
}

void ThreadPool::leave() {
    if (state_.fetch_sub(1, std::memory_order_release) == 1)
        state_.notify_one(); // closed, and nobody else is in
}

void ThreadPool::help(Helper& self) {
    for (;;) {
        const uint32_t seen = round_.load(std::memory_order_acquire);
        if (quit_) return;
        // Beside the owner it would only take turns with it.
        const int owners = contended() ? processor_.load(std::memory_order_relaxed) : -1;
        if (self.off() != owners) self.keep_off(owners);
        if (enter()) {
            self.working = true;
            take_pieces();
            self.working = false;
            leave();
            if (self.moved.exchange(false)) self.keep_off(processor_.load(std::memory_order_relaxed));
        }
        await_next(seen);
    }
}

void ThreadPool::take_pieces() {
    in_piece = true;
    for (int64_t piece; (piece = next_.fetch_add(1, std::memory_order_relaxed)) < pieces_;) try {
            body_(user_, piece);
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!error_) error_ = std::current_exception();
            next_.store(pieces_, std::memory_order_relaxed);
        }
    in_piece = false;
}

// ---- the owner ----

// True: one that is at work and does not run was moved to this processor, which is its own as soon as the owner sleeps.
bool ThreadPool::give_processor() {
    std::vector<int64_t> before;
    for (const auto& helper : helpers_) before.push_back(helper->working ? helper->nanoseconds() : 0);
    if (spin(LOOK, [&] { return state_.load(std::memory_order_acquire) == 0; })) return false;
    bool moved = false;
    for (size_t i = 0; i < helpers_.size(); i++)
        if (before[i] && helpers_[i]->working && helpers_[i]->nanoseconds() == before[i])
            moved |= helpers_[i]->move_here();
    return moved;
}

void ThreadPool::await_helpers() {
    const auto done = [&] { return state_.load(std::memory_order_acquire) == 0; };
    const Clock::time_point begin = Clock::now();
    if (spin(LOOK, done)) return;
    while (!done()) {
        const bool moved = give_processor();
        if (moved) contended_.store(CONTENDED, std::memory_order_relaxed);
        if (!moved && Clock::now() - begin < LONGEST) continue;
        for (uint32_t left; (left = state_.load(std::memory_order_acquire)) != 0;)
            state_.wait(left, std::memory_order_acquire);
    }
}

void ThreadPool::run(int64_t pieces, void (*body)(void*, int64_t), void* user) {
    pieces_ = pieces;
    body_ = body;
    user_ = user;
    next_.store(0, std::memory_order_relaxed);
    if (pieces > 1 && !helpers_.empty()) {
        processor_.store(current_processor(), std::memory_order_relaxed);
        if (const int left = contended_.load(std::memory_order_relaxed))
            contended_.store(left - 1, std::memory_order_relaxed);
        state_.store(OPEN, std::memory_order_release);
        round_.fetch_add(1, std::memory_order_release);
        round_.notify_all();
    }
    take_pieces();
    state_.fetch_and(~OPEN, std::memory_order_acq_rel);
    await_helpers();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

} // namespace mc
