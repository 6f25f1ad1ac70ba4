// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/text_encoder.h"

#include <ATen/ops/isfinite.h>
#include <c10/core/InferenceMode.h>

#include "engine/error.h"
#include "engine/model/tokenizer_json.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/session/memory.h"

namespace mc::magi1 {

constexpr int64_t KEPT = int64_t(1) << 30; // bytes of weights that are not worth reading again; T5-XXL has 19 GB

TextEncoder::TextEncoder(const model::magi1::Folder& folder, Log log)
    : folder_(folder.places.text_encoder), config_(folder.text_encoder), rows_(folder.transformer.text_rows),
      log_(std::move(log)), tokenizer_(folder.places.tokenizer),
      byte_fallback_(model::tokenizer_byte_fallback(folder.places.tokenizer)) {}

int64_t TextEncoder::bytes_of(const model::Tensors& tensors) {
    int64_t numbers = 0;
    for (const auto& [name, view] : tensors.all()) numbers += static_cast<int64_t>(view.bytes / size_of(view.dtype));
    return 4 * numbers;
}

int64_t TextEncoder::encode_bytes(int64_t weights, const model::TextEncoderConfig& config, int64_t rows) {
    return weights + text::T5Encoder::encode_bytes(config, Precision::FLOAT32, at::kCPU, rows);
}

TextEncoder::Encoded TextEncoder::encode(const std::string& caption, Cancel cancel) {
    c10::InferenceMode guard;
    Encoded result;
    size_t all = 0;
    result.ids = tokenizer_.encode(caption, static_cast<size_t>(rows_), byte_fallback_, &all);
    if (all > result.ids.size() && log_)
        log_(2, "The prompt has " + std::to_string(all) + " tokens and the model reads " + std::to_string(result.ids.size()) +
                    ", the end token counted in both: what comes after them is not used; shorten it.");
    std::lock_guard lock(mutex_);
    std::unique_ptr<text::T5Encoder> encoder = std::move(kept_);
    if (!encoder) {
        model::TextEncoderConfig config;
        const auto tensors = model::open_t5_text_encoder(folder_, config);
        const int64_t bytes = bytes_of(*tensors);
        session::check_memory(encode_bytes(bytes, config, rows_), "The text encoder",
                              "use a machine with more memory, or close other programs.");
        if (log_ && bytes > KEPT) log_(4, "reading the text encoder, " + session::gibibytes(bytes));
        encoder = std::make_unique<text::T5Encoder>(Weights(*tensors, at::kCPU, cancel), config, Precision::FLOAT32);
    }
    result.rows = encoder->encode(result.ids, cancel);
    result.flop = encoder->flop(static_cast<int64_t>(result.ids.size()));
    if (!at::isfinite(result.rows).all().item<bool>())
        throw Error(MC_ERROR_NUMBERS,
                    "The text encoder produced NaN or infinity; its weights are damaged: fetch the file again.");
    if (encoder->bytes() <= KEPT) kept_ = std::move(encoder);
    return result;
}

int64_t TextEncoder::bytes() const {
    std::lock_guard lock(mutex_);
    return kept_ ? kept_->bytes() : 0;
}

} // namespace mc::magi1
