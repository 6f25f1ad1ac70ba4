// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's text: T5 v1.1, cleaning of captions, special tokens.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <cctype>
#include <set>

#include "engine/families/magi1/captions.h"
#include "engine/model/weight_files.h"
#include "engine/networks/t5/encoder.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/text/caption_cleaning.h"
#include "tests/golden/magi1_texts.h"

namespace mc::golden {

magi1::TokenChoice token_choice_of(const Json& environment) {
    const auto on = [&](const char* name) {
        std::string value = environment.value(name, "");
        for (char& c : value) c = char(std::tolower(c));
        return std::set<std::string>{"true", "1", "yes", "y", "on", "enabled"}.count(value) != 0;
    };
    return {.high_quality = on("PAD_HQ"),
            .duration = on("PAD_DURATION"),
            .static_first_frames = on("PAD_STATIC"),
            .dynamic_first_frames = on("PAD_DYNAMIC"),
            .borders = on("PAD_BORDERNESS"),
            .three_d_model = on("PAD_THREE_D_MODEL"),
            .two_d_anime = on("PAD_TWO_D_ANIME"),
            .negative = on("NEG_PROMPT")};
}

at::Tensor padded(const at::Tensor& rows, int64_t most) {
    at::Tensor all = at::zeros({most, rows.size(1)});
    all.narrow(0, 0, rows.size(0)).copy_(rows);
    return all;
}

namespace {

constexpr const char* T5 = "/t5-v1_1-xxl"; // in the folder that a configuration calls t5_pretrained

Produced run_t5(const Run& run) {
    model::TextEncoderConfig config;
    const auto tensors = model::open_t5_text_encoder(run.group_weights() + T5, config);
    const t5::Encoder encoder(Weights(*tensors, run.device), config, run.precision);
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
        value = t5::relative_position_bucket(value, config.buckets, config.max_distance);
    }
    return {.tensors = {{"bucket", bucket}}};
}

constexpr int64_t CHUNK = 6; // latent frames

Produced run_text_conditioning(const Run& run) {
    // Of the network only what stands for no caption.
    const auto files = model::open_weight_shards(run.group_weights() + "/inference_weight");
    const at::Tensor null_rows = to_tensor(files.tensors.at("y_embedder.null_caption_embedding"));
    const int64_t most = null_rows.size(0), width = null_rows.size(1);
    const auto tokens = magi1::SpecialTokens::open(run.file.folder + "/../text/special_tokens.npz", width);

    magi1::Caption caption{padded(run.input("caption_emb"), most), run.input("caption_mask").to(at::kCPU) != 0};
    const at::Tensor begin = run.input("caption_long_first_rows"), end = run.input("caption_long_last_rows");
    magi1::Caption long_caption{padded(begin, most), at::ones({most}, at::kBool)};
    long_caption.rows.narrow(0, most - end.size(0), end.size(0)).copy_(end);

    Produced produced;
    for (const Json& entry : run.file.settings().at("combinations")) {
        const std::string name = entry.at("name");
        const magi1::TokenChoice choice = token_choice_of(entry.at("environment"));
        const int64_t chunks = entry.at("chunk_num"),
                      given = entry.at("prefix_latent_frames").get<int64_t>() / CHUNK;
        const magi1::Caption null = null_text(null_rows, choice, tokens);
        const magi1::Caption common = magi1::with_tokens(
            entry.at("caption") == "caption_long" ? long_caption : caption, choice, tokens, most);
        std::vector<at::Tensor> rows, masks;
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            if (chunk < given) { // nothing counts, so what stands there is of no account
                rows.push_back(null_rows);
                masks.push_back(at::zeros({most}, at::kBool));
                continue;
            }
            const at::Tensor duration = duration_token(choice, tokens, chunks - 1 - chunk);
            rows.push_back(at::cat({duration, common.rows}).narrow(0, 0, most));
            masks.push_back(
                at::cat({at::ones({duration.size(0)}, at::kBool), common.mask}).narrow(0, 0, most));
        }
        for (int64_t chunk = 0; chunk < chunks; chunk++)
            rows.push_back(null.rows), masks.push_back(null.mask);
        const at::Tensor all = at::stack(rows).view({2, chunks, most, width}),
                         mask = at::stack(masks).view({2, chunks, most}).to(at::kLong);
        const auto wanted = [&](const std::string& part) {
            return run.file.expected.tensors.at(name + "." + part).shape[2];
        };
        produced.tensors[name + ".rows"] = all.narrow(2, 0, wanted("rows"));
        produced.tensors[name + ".mask_head"] = mask.narrow(2, 0, wanted("mask_head"));
        produced.tensors[name + ".mask_sum"] = mask.sum(2);
        if (run.file.expected.has(name + ".last_rows")) {
            const int64_t last = wanted("last_rows");
            produced.tensors[name + ".last_rows"] = all.narrow(0, 0, 1).narrow(2, most - last, last);
        }
    }
    return produced;
}

Produced run_caption_cleaning(const Run& run) {
    Produced produced;
    for (Json pair : run.file.json.at("pairs")) {
        const std::string input = pair.at("input");
        pair["cleaned_once"] = text::clean_caption_once(input);
        pair["cleaned_twice"] = text::clean_caption(input);
        produced.values["pairs"].push_back(pair);
    }
    return produced;
}

const AddedKinds added{{"t5", run_t5},
                       {"caption_cleaning", run_caption_cleaning},
                       {"unit_buckets", run_buckets},
                       {"unit_text_conditioning", run_text_conditioning}};

} // namespace
} // namespace mc::golden
