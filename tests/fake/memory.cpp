// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/fake/memory.h"

#include <c10/util/Exception.h>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace mc::fake {

Counts counts;

namespace {

constexpr size_t ALIGN = 512;
thread_local c10::DeviceIndex device_of_thread = 0;
thread_local c10::StreamId stream_of_thread = 0;

int memory_file() {
    static const int file = memfd_create("fake device", 0);
    return file;
}

[[noreturn]] void lose() {
    throw c10::AcceleratorError({__func__, __FILE__, uint32_t(__LINE__)}, 719,
                                "CUDA error: unspecified launch failure");
}

} // namespace

c10::DeviceIndex current_device() {
    return device_of_thread;
}
void set_current_device(c10::DeviceIndex index) {
    device_of_thread = index;
}
c10::StreamId current_stream() {
    return stream_of_thread;
}
c10::StreamId exchange_stream(c10::StreamId id) {
    return std::exchange(stream_of_thread, id);
}

Memory& Memory::get() {
    static Memory* memory = new Memory; // tensors may be freed after everything else
    return *memory;
}

Memory::Memory() {
    TORCH_CHECK(memory_file() >= 0 && ftruncate(memory_file(), ALL) == 0, "no memory for the fake device");
    auto map = [&](int access) {
        void* at = mmap(nullptr, ALL, access, MAP_SHARED | MAP_NORESERVE, memory_file(), 0);
        TORCH_CHECK(at != MAP_FAILED, "no address space for the fake device");
        return static_cast<char*>(at);
    };
    device_ = map(PROT_NONE), shadow_ = map(PROT_READ | PROT_WRITE);
}

void Memory::may_fail(size_t bytes, bool pinned) {
    check_lost();
    if (failure != Failure::NONE && allocations_left-- == 0) {
        const Failure how = failure.exchange(Failure::NONE);
        failed_pinned = pinned;
        if (how == Failure::LOST) {
            lost = true;
            lose();
        }
        if (pinned)
            throw c10::AcceleratorError({__func__, __FILE__, uint32_t(__LINE__)}, 2, "CUDA error: out of memory");
        TORCH_CHECK(how != Failure::LIBRARY, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED");
        TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", bytes, " bytes.");
    }
    if (!watching) return;
    const std::lock_guard lock(mutex_);
    std::vector<void*> chain(200);
    chain.resize(size_t(backtrace(chain.data(), int(chain.size()))));
    if (chains_.insert(std::move(chain)).second) places_.push_back(watched_);
    watched_++;
}

void* Memory::take(size_t bytes) {
    const size_t size = (std::max<size_t>(bytes, 1) + ALIGN - 1) / ALIGN * ALIGN;
    may_fail(size, false);
    std::unique_lock lock(mutex_);
    auto from = [&](std::multimap<size_t, void*>& list) -> void* {
        for (auto [i, end] = list.equal_range(size); i != end; ++i) {
            void* at = i->second;
            if (&list == &kept_ && blocks_.at(at).home != current_stream()) continue;
            list.erase(i);
            return at;
        }
        return nullptr;
    };
    void* at = from(kept_);
    if (!at) {
        if (reserved_ + size > capacity) {
            lock.unlock();
            give_back();
            lock.lock();
        }
        if (reserved_ + size > capacity)
            TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", size,
                             " bytes, ", used_, " of ", capacity, " are in use.");
        at = from(vacant_);
        if (!at) {
            TORCH_CHECK(end_ + size <= ALL, "the fake device's address space is used up");
            at = device_ + end_, end_ += size;
        }
        reserved_ += size;
    }
    std::memset(shadow_of(at), 0xff, size); // NaN in every floating-point type, -1 in every other
    blocks_[at] = {size, current_stream(), current_device(), {}, {}};
    used_ += size, most_ = std::max(most_, used_), allocations_++;
    return at;
}

void Memory::give(void* at) {
    std::lock_guard lock(mutex_);
    Block& block = blocks_.at(at);
    // The next to take it, on its own stream, would write what another stream may still read.
    if (!lost && in_use(block, block.home, true)) counts.races++;
    std::memset(shadow_of(at), 0xff, block.size); // a read after this finds NaN
    kept_.emplace(block.size, at), used_ -= block.size;
}

void Memory::take_workspace() {
    const c10::StreamId stream = current_stream();
    {
        const std::lock_guard lock(mutex_);
        if (workspaces_.count(stream)) return;
    }
    void* taken = take(WORKSPACE);
    {
        const std::lock_guard lock(mutex_);
        if (workspaces_.emplace(stream, taken).second) return;
    }
    give(taken); // another thread in the same stream was faster
}
void Memory::give_workspaces() {
    std::map<c10::StreamId, void*> taken;
    {
        const std::lock_guard lock(mutex_);
        taken.swap(workspaces_);
    }
    for (const auto& [stream, block] : taken) give(block);
}

void Memory::give_back() {
    std::lock_guard lock(mutex_);
    for (auto [size, at] : kept_) {
        const off_t offset = static_cast<char*>(at) - device_;
        fallocate(memory_file(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                  static_cast<off_t>(size));
        reserved_ -= size;
        blocks_.erase(at);
        vacant_.emplace(size, at);
    }
    kept_.clear();
}

// By another stream than `here`: writing, or where `here` wants to write, reading.
bool Memory::in_use(const Block& block, c10::StreamId here, bool write) const {
    auto busy = [&](c10::StreamId stream, int64_t time) {
        const auto found = waited_.find(stream);
        if (!time || stream == here || (found != waited_.end() && found->second >= time)) return false;
        const auto past = pasts_.find(here);
        if (past == pasts_.end()) return true;
        const auto seen = past->second.find(stream);
        return seen == past->second.end() || seen->second < time;
    };
    if (busy(block.wrote.stream, block.wrote.time)) return true;
    for (auto [stream, time] : block.read)
        if (write && busy(stream, time)) return true;
    return false;
}

void Memory::touch(const void* at, bool write) {
    check_lost();
    if (!at) return;
    std::lock_guard lock(mutex_);
    Block& block = blocks_.at(const_cast<void*>(at));
    const c10::StreamId here = current_stream();
    if (in_use(block, here, write)) {
        counts.races++;
        TORCH_CHECK(false, "a race: stream ", here, " uses what another stream has not finished with");
    }
    if (write)
        block.wrote = {here, ++time_};
    else
        block.read[here] = ++time_;
}

void* Memory::reach(const void* within, bool write) {
    if (!within) return nullptr;
    void* block = nullptr;
    {
        std::lock_guard lock(mutex_);
        auto after = blocks_.upper_bound(const_cast<void*>(within));
        TORCH_CHECK(after != blocks_.begin(), "a kernel was given an address that is no device's");
        block = (--after)->first;
        TORCH_CHECK(static_cast<const char*>(within) < static_cast<char*>(block) + after->second.size,
                    "a kernel was given an address beyond the memory that was taken");
        TORCH_CHECK(after->second.device == current_device(), "a kernel of device ", int(current_device()),
                    " was given an address of device ", int(after->second.device));
    }
    touch(block, write);
    return shadow_of(within);
}

// Of a lost device nothing is under way any more.
void Memory::recover() {
    std::lock_guard lock(mutex_);
    if (lost.exchange(false))
        for (c10::StreamId stream = 0; stream < STREAMS; stream++) waited_[stream] = time_;
}

void Memory::waited(bool for_all_streams) {
    check_lost();
    counts.waits++;
    std::vector<Upload> done;
    {
        std::lock_guard lock(mutex_);
        if (for_all_streams)
            for (c10::StreamId stream = 0; stream < STREAMS; stream++) waited_[stream] = time_;
        waited_[current_stream()] = time_;
        done.swap(uploads_);
    }
    for (const Upload& u : done)
        if (std::memcmp(u.bytes.data(), u.source.const_data_ptr(), u.bytes.size()) != 0) {
            counts.races++;
            TORCH_CHECK(false, "a race: the host wrote to pinned memory while it was being copied");
        }
}

Memory::Past Memory::past_of(c10::StreamId stream) {
    std::lock_guard lock(mutex_);
    Past past = pasts_[stream];
    past[stream] = time_;
    return past;
}
void Memory::wait_in(c10::StreamId stream, const Past& past) {
    std::lock_guard lock(mutex_);
    Past& mine = pasts_[stream];
    for (const auto& [other, time] : past) mine[other] = std::max(mine[other], time);
}

void Memory::under_way(const at::Tensor& pinned) {
    const char* bytes = static_cast<const char*>(pinned.const_data_ptr());
    std::lock_guard lock(mutex_);
    uploads_.push_back({pinned, {bytes, bytes + (pinned.is_contiguous() ? pinned.nbytes() : 0)}});
}

void Memory::check_lost() const {
    if (lost) lose();
}

Use Memory::use() {
    std::lock_guard lock(mutex_);
    return {used_, reserved_, most_, allocations_};
}
void Memory::forget_most() {
    std::lock_guard lock(mutex_);
    most_ = used_, allocations_ = 0;
}

static std::mutex bytes_mutex;
static std::map<std::string, int64_t> bytes_by_name;

void add_bytes(const std::string& name, int64_t bytes) {
    std::lock_guard lock(bytes_mutex);
    bytes_by_name[name] += bytes;
}
std::map<std::string, int64_t> take_bytes() {
    std::lock_guard lock(bytes_mutex);
    return std::exchange(bytes_by_name, {});
}

std::vector<int64_t> Memory::places() {
    std::lock_guard lock(mutex_);
    watching = false, watched_ = 0;
    return std::exchange(places_, {});
}
void watch_places() {
    Memory::get().places();
    Memory::get().watching = true;
}
std::vector<int64_t> places() {
    return Memory::get().places();
}

Use use() {
    return Memory::get().use();
}
void forget_most() {
    Memory::get().forget_most();
}
void set_capacity(size_t bytes) {
    Memory::get().give_back();
    Memory::get().capacity = bytes;
}
bool failed_pinned() {
    return Memory::get().failed_pinned;
}
void fail(Failure how, int64_t after) {
    Memory::get().recover();
    Memory::get().allocations_left = after;
    Memory::get().failure = how;
}

namespace {

std::mutex pinned_mutex;
std::map<const char*, size_t> pinned;

struct Pinned final : c10::Allocator {
    c10::DataPtr allocate(size_t bytes) override {
        Memory::get().may_fail(bytes, true);
        void* p = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
        std::lock_guard lock(pinned_mutex);
        pinned[static_cast<char*>(p)] = bytes + 1;
        return {p, p, &give, c10::Device(c10::kCPU)};
    }
    static void give(void* p) {
        std::lock_guard lock(pinned_mutex);
        pinned.erase(static_cast<char*>(p));
        std::free(p);
    }
    c10::DeleterFnPtr raw_deleter() const override { return &give; }
    void copy_data(void* to, const void* from, size_t n) const override { std::memcpy(to, from, n); }
};

} // namespace

c10::Allocator* pinned_allocator() {
    static Pinned allocator;
    return &allocator;
}
bool is_pinned(const void* p) {
    std::lock_guard lock(pinned_mutex);
    auto after = pinned.upper_bound(static_cast<const char*>(p));
    if (after == pinned.begin()) return false;
    --after;
    return static_cast<const char*>(p) < after->first + after->second;
}

} // namespace mc::fake
