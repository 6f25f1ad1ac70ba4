// SPDX-License-Identifier: LGPL-2.1-or-later
// What MAGI-1's caches are made of: distances, motion weights, votes, the share reused, the choice of keys to keep.
#include <ATen/ATen.h>

#include "engine/cache/motion_weights.h"
#include "engine/cache/relative_distance.h"
#include "engine/cache/reuse_share.h"
#include "engine/cache/vote.h"
#include "engine/families/magi1/compression.h"
#include "engine/families/magi1/distances.h"
#include "tests/golden/magi1_compression.h"

namespace mc::golden {

magi1::CompressionSettings compression_of(const Json& c) {
    using S = magi1::CompressionSettings;
    S s;
    const std::string query = c.at("query_granularity"), weighting = c.at("score_weighting_method"),
                      unit = c.at("compress_strategy");
    s.queries = query == "token" ? S::Queries::TOKENS : query == "frame" ? S::Queries::FRAME : S::Queries::CHUNK;
    s.weighting = weighting == "no_weight"     ? S::Weighting::NONE
                  : weighting == "hard_code"   ? S::Weighting::FIRST_CHUNK
                  : weighting == "exponential" ? S::Weighting::EXPONENTIAL
                  : weighting == "polynomial"  ? S::Weighting::POLYNOMIAL
                  : weighting == "gaussian"    ? S::Weighting::GAUSSIAN
                                               : S::Weighting::UPPER_CONVEX;
    s.unit = unit == "token" ? S::Unit::TOKEN : unit == "frame" ? S::Unit::FRAME : S::Unit::CHUNK;
    s.power = c.value("power", 3.0);
    s.mix = c.at("mix_lambda");
    return s;
}

namespace {

std::span<const float> floats(const at::Tensor& tensor) {
    return {tensor.const_data_ptr<float>(), size_t(tensor.numel())};
}

std::vector<uint8_t> bytes(const at::Tensor& tensor) {
    const at::Tensor flat = tensor.to(at::kByte).contiguous();
    return {flat.const_data_ptr<uint8_t>(), flat.const_data_ptr<uint8_t>() + flat.numel()};
}

at::Tensor relative(const Run& run, bool each, bool bfloat16) {
    std::vector<float> values;
    for (const cache::FrameDistance& part :
         magi1::distance(run.input("features_now"), run.input("features_before"), each, bfloat16)) {
        cache::RelativeDistance moved;
        moved.add({&part, 1});
        values.push_back(float(moved.value(1e-8)));
    }
    return at::tensor(values);
}

Produced run_parts(const Run& run) {
    Produced produced;
    const Json& s = run.file.settings();
    const int frames = s.at("frames_per_chunk");
    const at::Tensor latents = run.input("latents"), change = magi1::frame_change(latents, {});
    for (const Json& c : s.at("weight_combinations"))
        produced.tensors["weights." + c.at("case").get<std::string>()] =
            at::tensor(cache::range_weights(floats(change), int(latents.size(1)), false, c.at("floor"),
                                            c.at("power")))
                .view({latents.size(1), -1});
    const at::Tensor votes = run.input("vote_in").to(at::kCPU);
    std::vector<at::Tensor> voted;
    for (int64_t i = 0; i < votes.size(0); i++) {
        // The case counts what is reused; a policy raises what is computed.
        const std::vector<uint8_t> due = bytes(votes[i].logical_not()), all = cache::vote(due, frames, 4.0 / frames);
        std::vector<uint8_t> reused;
        for (size_t t = 0; t < due.size(); t++) reused.push_back(!(due[t] | all[t]));
        voted.push_back(at::tensor(reused));
    }
    produced.tensors["vote_out"] = at::stack(voted);
    for (bool bfloat16 : {false, true}) {
        const std::string name = bfloat16 ? "_bf16" : "_fp32";
        produced.tensors["rel_chunk" + name] = relative(run, false, bfloat16);
        produced.tensors["rel_token" + name] = relative(run, true, bfloat16);
    }
    for (const Json& c : s.at("ratio_combinations")) {
        const at::Tensor sums = (run.input("acc_before") + 0.02 * run.input("weights")).to(at::kCPU);
        std::vector<uint8_t> due = bytes(sums >= c.at("threshold").get<float>());
        cache::limit_reuse(floats(sums), c.at("ratio"), due);
        const at::Tensor mask = at::tensor(due) == 0;
        const std::string name = c.at("case");
        produced.tensors["mask." + name] = mask;
        produced.tensors["acc_after." + name] = at::where(mask, sums, at::zeros_like(sums));
    }
    return produced;
}

Produced run_selection(const Run& run) {
    Produced produced;
    const Json& s = run.file.settings();
    for (const Json& c : s.at("combinations")) {
        const std::string name = c.at("case");
        const magi1::Kept kept =
            magi1::select_keys(run.input("key").to(at::kCPU), run.input("query").to(at::kCPU), c.at("budget"),
                               s.at("tokens_per_frame"), s.at("chunk_tokens"), compression_of(c));
        produced.tensors[name + ".score"] = kept.score;
        produced.tensors[name + ".indices"] = kept.index;
        // Scores of this weighting are as large as 1e6: the case asks in a note for a relative tolerance.
        if (c.at("score_weighting_method") == "hard_code") produced.relative_by_note[name + ".score"] = 1e-6;
    }
    return produced;
}

const AddedKinds added{{"unit_motioncache_parts", run_parts}, {"unit_rkv_select", run_selection}};

} // namespace
} // namespace mc::golden
