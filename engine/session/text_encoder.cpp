// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/text_encoder.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "engine/cancellable_lock.h"
#include "engine/device.h"
#include "engine/error.h"
#include "engine/model/fingerprint.h"
#include "engine/session/device_errors.h"
#include "engine/session/loading.h"
#include "engine/session/memory.h"

namespace mc::session {
namespace {

enum class OnDisk { LARGE, ALWAYS, NEVER };

OnDisk on_disk() {
    const char* set = std::getenv("MOTIONCACHE_TEXT_CACHE");
    const std::string value = set ? set : "";
    if (value.empty()) return OnDisk::LARGE;
    if (value == "always") return OnDisk::ALWAYS;
    if (value == "never") return OnDisk::NEVER;
    throw Error(MC_ERROR_SETTINGS, "The environment variable MOTIONCACHE_TEXT_CACHE is \"" + value +
                                       "\": set it to always or never, or unset it.");
}

} // namespace

bool TextEncoder::on_demand(int64_t bytes) {
    return bytes > LARGE || on_disk() == OnDisk::ALWAYS;
}

int64_t TextEncoder::weight_bytes(const model::Tensors& tensors, Precision precision) {
    int64_t numbers = 0;
    for (const auto& [name, view] : tensors.all()) numbers += static_cast<int64_t>(view.bytes / size_of(view.dtype));
    return numbers * (precision == Precision::FLOAT32 ? 4 : 2);
}

TextEncoder::TextEncoder(std::shared_ptr<const model::Tensors> tensors, const model::TextEncoderConfig& config,
                         Precision precision, at::Device device, Log log)
    : tensors_(std::move(tensors)), config_(config), precision_(precision),
      weight_bytes_(weight_bytes(*tensors_, precision)), on_demand_(on_demand(weight_bytes_)), log_(std::move(log)),
      device_(device) {
    if (on_demand_ && on_disk() != OnDisk::NEVER) store_.emplace(text::EmbeddingStore::default_folder(), log_);
}

void TextEncoder::read(const Weights& weights) {
    encoder_ = std::make_unique<t5::Encoder>(weights, config_, precision_);
    held_ = encoder_->bytes();
    if (!on_demand_) tensors_.reset();
}

void TextEncoder::read_for(int64_t tokens, Cancel cancel, const Reading& reading) {
    const int64_t needed = weight_bytes_ + t5::Encoder::encode_bytes(config_, precision_, device_, tokens);
    // A prompt that changes comes when the video has taken the memory that there is.
    if (!device().is_cpu() && needed > free_memory(device())) {
        if (log_) log_(4, "the text encoder goes to the CPU: the video has taken the memory of " + device().str());
        device_ = at::kCPU;
    }
    check_memory(
        needed, "The text encoder",
        [](int64_t) { return std::string("use a machine with more memory, or close other programs."); },
        device());
    if (log_ && on_demand_) log_(4, "reading the text encoder, " + gibibytes(weight_bytes_));
    with_memory_told(device(), "The text encoder", needed,
                     "use a machine with more memory, or close other programs.", [&] {
                         const c10::OptionalDeviceGuard on_device(
                             device().is_cpu() ? std::nullopt : std::optional(device()));
                         const auto all = static_cast<double>(tensors_->bytes());
                         size_t done = 0;
                         const auto loaded = [&](size_t bytes) {
                             done += bytes;
                             if (reading && static_cast<double>(done) < all)
                                 reading(static_cast<double>(done) / all);
                         };
                         if (reading) reading(0);
                         const ReadingTime time(log_);
                         read(Weights(*tensors_, device(), cancel, loaded));
                         wait_for(device());
                         time.tell("text encoder", held_);
                         if (reading) reading(1);
                     });
}

// The numbers depend on more than the weights: the same request is to give the same bytes whatever was kept, so what
// changes the order of a sum is in it.
text::EmbeddingStore::Key TextEncoder::key(const std::vector<int64_t>& ids) {
    if (fingerprint_.empty()) fingerprint_ = model::fingerprint_text(model::fingerprint(*tensors_));
    char eps[32];
    std::snprintf(eps, sizeof eps, "%a", config_.eps);
    return {fingerprint_ + " heads " + std::to_string(config_.heads) + " buckets " +
                std::to_string(config_.buckets) + " distance " + std::to_string(config_.max_distance) +
                " eps " + eps + " " + (precision_ == Precision::FLOAT32 ? "float32" : "bfloat16") + " on " +
                c10::DeviceTypeName(device().type(), true) + " " + at::get_cpu_capability() + " threads " +
                std::to_string(at::get_num_threads()),
            ids};
}

void TextEncoder::let_go() {
    if (!on_demand_ || !encoder_) return;
    encoder_.reset();
    held_ = 0;
    give_back_memory(device_);
}

void TextEncoder::move_to(at::Device device, Cancel cancel) {
    const auto lock = locked(mutex_, cancel);
    if (encoder_) encoder_->move_to(device);
    device_ = device;
}

TextEncoder::Use::Use(TextEncoder& encoder) : encoder_(encoder) {
    encoder_.users_++;
}

TextEncoder::Use::~Use() {
    if (--encoder_.users_ > 0) return;
    const std::lock_guard lock(encoder_.mutex_);
    if (encoder_.users_ == 0) encoder_.let_go();
}

std::optional<std::vector<float>> TextEncoder::find(const std::vector<int64_t>& ids) {
    if (!store_) return {};
    return store_->find(key(ids), ids.size() * static_cast<size_t>(config_.width));
}

bool TextEncoder::knows(const std::vector<int64_t>& ids) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    return lock && find(ids).has_value();
}

TextEncoder::Encoded TextEncoder::Use::encode(const std::vector<int64_t>& ids, Cancel cancel, const Reading& reading) {
    const c10::InferenceMode guard;
    TextEncoder& e = encoder_;
    const auto lock = locked(e.mutex_, cancel);
    const int64_t tokens = static_cast<int64_t>(ids.size());
    if (const auto known = e.find(ids)) {
        at::Tensor rows = at::empty({tokens, e.config_.width}, at::kFloat);
        std::copy(known->begin(), known->end(), rows.mutable_data_ptr<float>());
        return {rows, 0};
    }
    if (!e.encoder_) e.read_for(tokens, cancel, reading);
    const at::Tensor rows = e.encoder_->encode(ids, cancel).contiguous();
    if (!at::isfinite(rows).all().item<bool>())
        throw Error(MC_ERROR_NUMBERS,
                    "The text encoder produced NaN or infinity; its weights are damaged: fetch the file again.");
    if (e.store_) e.store_->keep(e.key(ids), rows.const_data_ptr<float>(), static_cast<size_t>(rows.numel()));
    return {rows, e.encoder_->flop(tokens)};
}

} // namespace mc::session
