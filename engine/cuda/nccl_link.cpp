// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cuda/nccl_link.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <mutex>
#include <thread>

#include "engine/cuda/nccl.h"

#if __has_include(<nccl.h>)
#include <nccl.h>
using mc::nccl::Config;
static_assert(sizeof(ncclUniqueId) == sizeof(mc::nccl::Key) && sizeof(ncclResult_t) == sizeof(int) &&
              sizeof(ncclDataType_t) == sizeof(int) && int(ncclInt8) == mc::nccl::BYTES &&
              int(ncclSuccess) == mc::nccl::SUCCESS && int(ncclInProgress) == mc::nccl::IN_PROGRESS);
static_assert(offsetof(ncclConfig_t, magic) == offsetof(Config, magic) &&
              offsetof(ncclConfig_t, version) == offsetof(Config, version) &&
              offsetof(ncclConfig_t, blocking) == offsetof(Config, blocking) &&
              sizeof(ncclConfig_t) >= sizeof(Config) &&
              NCCL_VERSION(2, 14, 0) == 21400);
#endif

namespace mc::nccl {

const Functions* functions() {
    static const Functions* const found = []() -> const Functions* {
        void* library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
        if (!library) return nullptr;
        static Functions f;
        bool all = true;
        const auto get = [&](auto& to, const char* name) {
            to = reinterpret_cast<std::decay_t<decltype(to)>>(dlsym(library, name));
            all = all && to;
        };
        get(f.GetVersion, "ncclGetVersion"), get(f.GetUniqueId, "ncclGetUniqueId");
        get(f.CommInitRankConfig, "ncclCommInitRankConfig"), get(f.CommGetAsyncError, "ncclCommGetAsyncError");
        get(f.CommAbort, "ncclCommAbort");
        get(f.GroupStart, "ncclGroupStart"), get(f.GroupEnd, "ncclGroupEnd");
        get(f.Send, "ncclSend"), get(f.Recv, "ncclRecv"), get(f.GetErrorString, "ncclGetErrorString");
        int version = 0;
        return all && f.GetVersion(&version) == SUCCESS && version >= 21400 ? &f : nullptr;
    }();
    return found;
}

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Calls return at once, also while the library still works on what they asked for (`blocking` is off). So each is made
// under a lock, and abort() finds it free.
class Link final : public ranks::DeviceLink {
  public:
    Link(at::Device device, const std::string& key, int rank, int size, milliseconds limit) : device_(device) {
        const c10::cuda::CUDAGuard guard(device_);
        Key bytes;
        TORCH_CHECK(key.size() == sizeof bytes.bytes, "NCCL: a key of ", key.size(), " bytes");
        std::memcpy(bytes.bytes, key.data(), sizeof bytes.bytes);
        Config config;
        Communicator* made = nullptr;
        const int result = nccl_.CommInitRankConfig(&made, size, bytes, rank, &config);
        communicator_ = made;
        try {
            settle(result, clock::now() + limit);
        } catch (const std::exception&) {
            abort();
            throw;
        }
    }
    ~Link() override {
        abort(); // it waits for no other rank, as taking leave would
        for (const Asked& a : asked_) cudaEventDestroy(a.done);
    }
    void exchange(const std::vector<ranks::Piece>& to, const std::vector<ranks::Piece>& from) override {
        const c10::cuda::CUDAGuard guard(device_);
        const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device_.index());
        int result = SUCCESS;
        {
            const std::lock_guard lock(mutex_);
            TORCH_CHECK(communicator_, "NCCL: the exchange was aborted");
            int asked = nccl_.GroupStart();
            const auto call = [&](int made) {
                if (asked == SUCCESS && made != IN_PROGRESS) asked = made;
            };
            for (const ranks::Piece& p : to)
                call(nccl_.Send(p.part.const_data_ptr(), p.part.nbytes(), BYTES, p.rank, communicator_, stream));
            for (const ranks::Piece& p : from)
                call(nccl_.Recv(p.part.mutable_data_ptr(), p.part.nbytes(), BYTES, p.rank, communicator_, stream));
            result = nccl_.GroupEnd();
            if (asked != SUCCESS) result = asked;
        }
        settle(result, clock::time_point::max());
        Asked a{nullptr, clock::now()};
        C10_CUDA_CHECK(cudaEventCreateWithFlags(&a.done, cudaEventDisableTiming));
        const std::lock_guard lock(mutex_);
        asked_.push_back(a);
        C10_CUDA_CHECK(cudaEventRecord(a.done, stream));
    }
    State state() override {
        const std::lock_guard lock(mutex_);
        if (!communicator_) return {};
        while (!asked_.empty()) {
            const cudaError_t error = cudaEventQuery(asked_.front().done);
            if (error == cudaErrorNotReady) break;
            if (error != cudaSuccess) return {cudaGetErrorString(error), {}};
            cudaEventDestroy(asked_.front().done);
            asked_.pop_front();
            moved_ = clock::now();
        }
        if (asked_.empty()) return {}; // also where another rank has closed its end before this one
        int result = SUCCESS;
        nccl_.CommGetAsyncError(communicator_, &result);
        if (result != SUCCESS && result != IN_PROGRESS) return {nccl_.GetErrorString(result), {}};
        return {"", std::chrono::duration_cast<milliseconds>(clock::now() - std::max(moved_, asked_.front().since))};
    }
    void abort() noexcept override {
        const std::lock_guard lock(mutex_);
        if (communicator_) nccl_.CommAbort(communicator_);
        communicator_ = nullptr;
    }

  private:
    // Until what was asked of the library is on its way.
    void settle(int result, clock::time_point late) {
        while (result == IN_PROGRESS || result == SUCCESS) {
            {
                const std::lock_guard lock(mutex_);
                TORCH_CHECK(communicator_, "NCCL: the exchange was aborted");
                const int asked = nccl_.CommGetAsyncError(communicator_, &result);
                if (asked != SUCCESS) result = asked;
            }
            if (result == SUCCESS) return;
            TORCH_CHECK(clock::now() < late, "NCCL: not all ranks have opened their link in time");
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        TORCH_CHECK(false, "NCCL: ", nccl_.GetErrorString(result));
    }

    struct Asked { // of the device
        cudaEvent_t done;
        clock::time_point since;
    };
    const Functions& nccl_ = *functions();
    const at::Device device_;
    std::mutex mutex_;
    Communicator* communicator_ = nullptr;
    std::deque<Asked> asked_;
    clock::time_point moved_{}; // when the device was last done with one
};

std::string name_of(at::Device device) {
    cudaDeviceProp properties;
    if (!functions() || cudaGetDeviceProperties(&properties, device.index()) != cudaSuccess) return "";
    return std::string(properties.uuid.bytes, sizeof properties.uuid.bytes);
}

std::string make_key() {
    Key key;
    const int result = functions()->GetUniqueId(&key);
    TORCH_CHECK(result == SUCCESS, "NCCL: ", functions()->GetErrorString(result));
    return std::string(key.bytes, sizeof key.bytes);
}

} // namespace

const ranks::DeviceLinks links{
    "NCCL", name_of, make_key,
    [](at::Device device, const std::string& key, int rank, int size,
       milliseconds limit) -> std::unique_ptr<ranks::DeviceLink> {
        return std::make_unique<Link>(device, key, rank, size, limit);
    }};

} // namespace mc::nccl
