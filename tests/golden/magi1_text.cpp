// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's text: T5 v1.1.
#include "engine/networks/t5/encoder.h"
#include "engine/networks/t5/t5_files.h"
#include "tests/golden/runner.h"

namespace mc::golden {
namespace {

constexpr const char* T5 = "/t5-v1_1-xxl"; // in the folder that a configuration calls t5_pretrained

Produced run_t5(const Run& run) {
    model::TextEncoderConfig config;
    const auto tensors = model::open_t5_text_encoder(run.group_weights() + T5, config);
    const text::T5Encoder encoder(Weights(*tensors, run.device), config, run.precision);
    const at::Tensor ids = run.input("input_ids").to(at::kCPU);
    const int64_t tokens = run.input("attention_mask").sum().item<int64_t>();
    const int64_t* data = ids.const_data_ptr<int64_t>();
    return {.tensors = {{"last_hidden_state", encoder.encode({data, data + tokens})}},
            .first_rows = {{"last_hidden_state", tokens}}};
}

Produced run_buckets(const Run& run) {
    model::TextEncoderConfig config;
    config = model::read_t5_text_encoder_config(
        model::JsonObject::read(run.group_weights() + T5 + std::string("/config.json")));
    at::Tensor bucket = run.input("key_minus_query").to(at::kCPU).clone();
    for (int64_t i = 0; i < bucket.numel(); i++) {
        int64_t& value = bucket.mutable_data_ptr<int64_t>()[i];
        value = text::relative_position_bucket(value, config.buckets, config.max_distance);
    }
    return {.tensors = {{"bucket", bucket}}};
}

const AddedKinds added{{"t5", run_t5}, {"unit_buckets", run_buckets}};

} // namespace
} // namespace mc::golden
