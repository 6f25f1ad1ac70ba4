// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What loading a model has in common in all families: where it computes, whether it fits, how far it has come.
#include <ATen/core/Tensor.h>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/cancel.h"
#include "engine/networks/weights.h"
#include "engine/session/device.h"

namespace mc::ranks {
class Group; // engine/ranks/group.h
}

namespace mc::session {

struct LoadOptions {
    std::string device = "auto";        // "auto", "cpu", "cuda:N"
    std::optional<Precision> precision; // unset: precision_on() chooses
    bool weights_in_bytes = false;      // weights-precision=int8
    int threads = 0;                    // 0: one per processor
    CudaFiles cuda;
    std::optional<at::Device> opened;   // in place of `device`: one that the caller has open, as tests have
    bool calibration = true; // reads motioncache.json where there is one; off when it is to be made anew
    std::shared_ptr<ranks::Group> group; // that makes the videos together; null: this process alone
    bool tokens_only = false; // its ranks divide tokens, also where each branch could have its own: for tests
    Cancel cancel;
    std::function<void(double fraction, const char* part)> progress;
    std::function<void(int level, const std::string& text)> log;
};

struct Placement {
    at::Device device = at::kCPU;
    Precision precision = Precision::FLOAT32;
    int threads = 1;
};
// Chooses what the options leave open and sets the number of threads. Throws MC_ERROR_SETTINGS for a name that is no
// device.
Placement choose_placement(const LoadOptions& options);

int thread_count(const LoadOptions& options);
at::Device choose_device(const LoadOptions& options,
                         const std::function<void(int level, const std::string& text)>& log);
// What is asked for; else bfloat16 on a GPU and on a CPU with matrix units for it (AMX: many times the products of
// float32 per second), float32 on any other CPU.
Precision precision_on(at::Device device, const LoadOptions& options);

// Throws MC_ERROR_MEMORY when weights of so many bytes do not fit on the device. in_bytes: how many they would be with
// weights-precision=int8, where that would be less.
void check_weights_fit(int64_t bytes, Precision precision, at::Device device, std::optional<int64_t> in_bytes = {});

// How long reading weights took and what the process holds then, as a line of the log.
class ReadingTime {
  public:
    explicit ReadingTime(const std::function<void(int level, const std::string& text)>& log) : log_(log) {}
    void tell(const std::string& what, int64_t weights) const; // bytes

  private:
    const std::function<void(int, const std::string&)>& log_;
    const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Progress through all parts of a model, by the bytes of their files.
class LoadProgress {
  public:
    LoadProgress(const LoadOptions& options, size_t total) : options_(options), total_(total) {}
    ~LoadProgress();
    // The weights of the next part. This, the options and `tensors` must outlive them.
    Weights part(const char* name, const model::Tensors& tensors, at::Device device) {
        return Weights(tensors, device, options_.cancel, [this, name](size_t bytes) {
            loaded(bytes, name);
        });
    }

  private:
    const LoadOptions& options_;
    const size_t total_;
    size_t done_ = 0, given_back_ = 0;
    void loaded(size_t bytes, const char* name);
};

} // namespace mc::session
