// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Threads that share work with the one that has it (its owner), made for processors that are not ours alone. Nobody
// waits for a thread that has not begun: a piece goes to the first that takes it. Where a helper is held up in a piece
// because another program has its processor, the owner gives it its own and sleeps until the piece is done. No Torch.
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace mc {

class ThreadPool {
  public:
    // threads: with the owner, which calls run(). begin: called by each other one, when it starts.
    explicit ThreadPool(int threads, const std::function<void()>& begin = {});
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    int threads() const { return int(helpers_.size()) + 1; }

    // body(user, piece) for every piece of 0..pieces-1, each once, by any thread; returns when all are done. What a
    // body throws is thrown here, the first of several; pieces that have not begun are dropped then.
    void run(int64_t pieces, void (*body)(void* user, int64_t piece), void* user);

    // Another program has held a helper up, not long ago: smaller pieces leave less to wait for.
    bool contended() const { return contended_.load(std::memory_order_relaxed) > 0; }
    static bool inside(); // the calling thread is in a piece of some pool

  private:
    class Helper;
    void help(Helper& self);
    void take_pieces();
    bool enter();
    void leave();
    void await_next(uint32_t seen);
    void await_helpers();
    bool give_processor();

    // Of state_: there may be pieces to take. The other bits: the number of helpers at work.
    static constexpr uint32_t OPEN = 1u << 31;
    alignas(64) std::atomic<uint32_t> state_{0};
    alignas(64) std::atomic<uint32_t> round_{0}; // of work; helpers wait for the next one
    alignas(64) std::atomic<int64_t> next_{0};   // piece
    int64_t pieces_ = 0;
    void (*body_)(void*, int64_t) = nullptr;
    void* user_ = nullptr;
    std::atomic<int> processor_{-1}; // the owner's
    std::atomic<int> contended_{0};  // rounds for which another program is still reckoned with
    std::atomic<bool> quit_{false};
    std::mutex mutex_; // guards error_
    std::exception_ptr error_;
    std::vector<std::unique_ptr<Helper>> helpers_;
};

} // namespace mc
