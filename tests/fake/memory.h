// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The fake device's memory: blocks, who used them last, and what the host may not touch yet.
#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "tests/fake/fake_device.h"

namespace mc::fake {

constexpr c10::StreamId STREAMS = 33; // 0: the default one
constexpr auto KIND = c10::DeviceType::PrivateUse1;

c10::DeviceIndex current_device();
void set_current_device(c10::DeviceIndex index);
c10::StreamId current_stream();
c10::StreamId exchange_stream(c10::StreamId id);

class Memory {
  public:
    static Memory& get();

    void* take(size_t bytes);
    // Counts an allocation, and throws where it is the one to fail. pinned: of memory that the host shares.
    void may_fail(size_t bytes, bool pinned);
    void take_workspace(); // of the current stream's products, unless they have theirs
    void give_workspaces();
    void give(void* block);
    void give_back(); // what is freed and kept
    void* shadow_of(const void* p) const {
        return p ? shadow_ + (static_cast<const char*>(p) - device_) : nullptr;
    }
    // The current stream reads or writes the block: throws where another stream's use is not over.
    void touch(const void* block, bool write);
    // The same of an address within a block; where the CPU reaches it. nullptr stays.
    void* reach(const void* within, bool write);
    void waited(bool for_all_streams); // for the current one, or for all
    // What a stream has behind it: of each stream, including itself, up to when.
    using Past = std::map<c10::StreamId, int64_t>;
    Past past_of(c10::StreamId stream); // what an event recorded there stands for
    void wait_in(c10::StreamId stream, const Past& past);
    // A copy out of pinned memory is under way until the next wait.
    void under_way(const at::Tensor& pinned);
    void check_lost() const;
    void recover();

    Use use();
    void forget_most();
    size_t capacity = ALL;
    std::atomic<Failure> failure{Failure::NONE};
    std::atomic<int64_t> allocations_left{0};
    std::atomic<bool> lost{false}, failed_pinned{false};
    std::atomic<bool> watching{false};
    std::vector<int64_t> places();

  private:
    Memory();
    struct Mark {
        c10::StreamId stream = 0;
        int64_t time = 0; // 0: never
    };
    struct Block {
        size_t size;
        c10::StreamId home; // the stream that it was taken on, and is taken from again
        c10::DeviceIndex device;
        Mark wrote;
        std::map<c10::StreamId, int64_t> read; // when each stream read it last
    };
    struct Upload {
        at::Tensor source;
        std::vector<char> bytes;
    };
    bool in_use(const Block& block, c10::StreamId here, bool write) const;

    char *device_, *shadow_;
    std::mutex mutex_;
    size_t end_ = 0, used_ = 0, reserved_ = 0, most_ = 0, allocations_ = 0;
    int64_t time_ = 0;
    std::map<void*, Block> blocks_;
    std::map<c10::StreamId, int64_t> waited_; // when each stream was last waited for
    std::map<c10::StreamId, Past> pasts_;     // of each stream, by events
    std::multimap<size_t, void*> kept_, vacant_;
    std::vector<Upload> uploads_;
    std::map<c10::StreamId, void*> workspaces_;
    std::set<std::vector<void*>> chains_; // of calls, of the allocations watched
    std::vector<int64_t> places_;
    int64_t watched_ = 0;
};

void add_bytes(const std::string& name, int64_t bytes); // for take_bytes()

// Memory that the host shares with the device.
c10::Allocator* pinned_allocator();
bool is_pinned(const void* p);

} // namespace mc::fake
