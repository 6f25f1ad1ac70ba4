// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's text: T5 v1.1.
#include "engine/networks/t5/umt5_encoder.h"
#include "tests/golden/runner.h"

namespace mc::golden {
namespace {

Produced run_buckets(const Run& run) {
    at::Tensor bucket = run.input("key_minus_query").to(at::kCPU).clone();
    for (int64_t i = 0; i < bucket.numel(); i++) {
        int64_t& value = bucket.mutable_data_ptr<int64_t>()[i];
        value = text::relative_position_bucket(value, 32, 128);
    }
    return {.tensors = {{"bucket", bucket}}};
}

const AddedKinds added{{"unit_buckets", run_buckets}};

} // namespace
} // namespace mc::golden
