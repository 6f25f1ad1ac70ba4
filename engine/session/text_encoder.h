// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A model's text encoder, which is needed for moments only and may be larger than all the rest. A small one stays in
// memory and is as quick as the disk. A large one is on demand: its weights are read when there is a text that is not
// known, let go when the texts at hand are encoded, and what it gave is kept on disk (engine/text/embedding_store.h),
// so that another run with the same texts does not read it at all.
#include <ATen/core/Tensor.h>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/cancel.h"
#include "engine/model/tensors.h"
#include "engine/networks/t5/encoder.h"
#include "engine/networks/weights.h"
#include "engine/text/embedding_store.h"

namespace mc::session {

class TextEncoder {
  public:
    using Log = std::function<void(int level, const std::string& text)>;
    using Reading = std::function<void(double share)>;

    // From how many bytes of weights on, as they are held, an encoder is on demand. UMT5-XXL has 11 GB in bfloat16,
    // T5-XXL 19 GB in float32.
    static constexpr int64_t LARGE = static_cast<int64_t>(1) << 30;
    // Whether one with so many bytes of weights is. $MOTIONCACHE_TEXT_CACHE=always: any encoder is; never: a large one,
    // but nothing is kept on disk or taken from there. Throws MC_ERROR_SETTINGS for another value.
    static bool on_demand(int64_t bytes);
    // Bytes that these weights take in memory.
    static int64_t weight_bytes(const model::Tensors& tensors, Precision precision);

    // Reads no weight. device: where they go.
    TextEncoder(std::shared_ptr<const model::Tensors> tensors, const model::TextEncoderConfig& config,
                Precision precision, at::Device device, Log log);
    bool on_demand() const { return on_demand_; }
    // The weights, now: for one that stays in memory, while the model is loaded. weights: of the same tensors.
    void read(const Weights& weights);

    struct Encoded {
        at::Tensor rows; // [tokens, width] float32 on the CPU
        int64_t flop;    // 0 where the rows were known
    };
    // The texts at hand: while there is one of these, from any thread, weights that were read stay.
    class Use {
      public:
        explicit Use(TextEncoder& encoder);
        ~Use();
        Use(const Use&) = delete;
        // ids: of a text's tokens, without padding. Throws MC_ERROR_MEMORY where weights that must be read do not fit,
        // MC_ERROR_READ for their files and MC_ERROR_NUMBERS where they give NaN.
        // reading: called with the share of the weights that is read, from 0 to 1, where they are read for this.
        Encoded encode(const std::vector<int64_t>& ids, Cancel cancel, const Reading& reading = {});

      private:
        TextEncoder& encoder_;
    };

    // Whether what it gives for these ids is on disk, so that no weight is read for them. While another video has
    // a text encoded: no.
    bool knows(const std::vector<int64_t>& ids);

    const model::TextEncoderConfig& config() const { return config_; }
    Precision precision() const { return precision_; }
    at::Device device() const { return device_; }
    // Between two texts. Another device than its own must be ready to use.
    void move_to(at::Device device, Cancel cancel);
    int64_t bytes() const { return held_; }                // of weights held now
    int64_t weight_bytes() const { return weight_bytes_; } // of all, held or not
    // What of them a plan must count while a text is encoded, beside the weights that are held all the time.
    int64_t bytes_on_demand() const { return on_demand_ ? weight_bytes_ : 0; }

  private:
    void read_for(int64_t tokens, Cancel cancel, const Reading& reading);
    std::optional<std::vector<float>> find(const std::vector<int64_t>& ids);
    text::EmbeddingStore::Key key(const std::vector<int64_t>& ids);
    void let_go();

    std::shared_ptr<const model::Tensors> tensors_; // null where they will not be read again
    const model::TextEncoderConfig config_;
    const Precision precision_;
    const int64_t weight_bytes_;
    const bool on_demand_;
    const Log log_;
    std::atomic<at::Device> device_;
    std::atomic<int64_t> held_ = 0;
    std::atomic<int> users_ = 0;
    std::timed_mutex mutex_; // of what follows
    std::unique_ptr<t5::Encoder> encoder_;
    std::optional<text::EmbeddingStore> store_;
    std::string fingerprint_; // of the tensors, once it was asked for
};

} // namespace mc::session
