// SPDX-License-Identifier: LGPL-2.1-or-later
// Cases of engine/text: cleaning, tokenizer, encoder.

#include "engine/networks/t5/encoder.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/text/prompt_cleaning.h"
#include "engine/text/tokenizer.h"
#include "tests/golden/runner.h"

namespace mc::golden {
namespace {

std::string text_of(const Json& entry) {
    if (!entry.contains("text_repeat")) return entry.at("text");
    std::string text;
    for (int i = 0; i < entry["text_repeat"].at(1).get<int>(); i++)
        text += (i ? " " : "") + entry["text_repeat"].at(0).get<std::string>();
    return text;
}

Produced run_tokenizer(const Run& run) {
    const text::Tokenizer tokenizer(run.weights("tokenizer") + "/spiece.model");
    const size_t rows = run.file.settings().value("max_length", 512);
    Produced produced;
    for (const Json& entry : run.file.json.at("texts")) {
        const std::string text = text_of(entry);
        Json ours;
        ours["ids"] = tokenizer.encode(text, rows);
        ours["true_length"] = ours["ids"].size();
        if (entry.contains("ids_without_byte_fallback"))
            ours["ids_without_byte_fallback"] = tokenizer.encode(text, rows, false);
        produced.values["texts"].push_back(ours);
    }
    if (run.file.json.contains("clean"))
        for (const Json& pair : run.file.json["clean"])
            produced.values["clean"].push_back({pair.at(0), text::clean_prompt(pair.at(0))});
    return produced;
}

Produced run_umt5(const Run& run) {
    model::TextEncoderConfig config;
    const auto tensors = model::open_text_encoder(run.weights("text_encoder"), config);
    const t5::Encoder encoder(Weights(*tensors, run.device), config, run.precision);
    const at::Tensor ids = run.input("ids").to(at::kCPU),
                     mask = run.input("mask").to(at::kCPU); // [prompts, rows]
    Produced produced;
    for (int64_t i = 0; i < ids.size(0); i++) {
        const int64_t tokens = mask[i].sum().item<int64_t>();
        const int64_t* row = ids.const_data_ptr<int64_t>() + i * ids.size(1);
        const Trace trace = [&](const std::string& name, const at::Tensor& value) {
            const std::string wanted = name + "_prompt" + std::to_string(i);
            if (run.file.expected.has(wanted)) produced.tensors[wanted] = value.clone();
        };
        produced.tensors["prompt_embeds." + std::to_string(i)] =
            encoder.encode(std::vector<int64_t>(row, row + tokens), {}, trace);
    }
    if (run.file.json.contains("relative_position_bucket")) {
        Json table = run.file.json["relative_position_bucket"];
        const int64_t first = table.at("first");
        for (size_t i = 0; i < table.at("values").size(); i++)
            table["values"][i] =
                t5::relative_position_bucket(first + int64_t(i), config.buckets, config.max_distance);
        produced.values["relative_position_bucket"] = table;
    }
    return produced;
}

const Added added{
    {"tokenizer", false, [](const CaseFile& f) { return f.json.contains("texts"); }, run_tokenizer},
    {"text encoder", true, [](const CaseFile& f) { return f.inputs.has("ids") && f.inputs.has("mask"); },
     run_umt5},
};

} // namespace
} // namespace mc::golden
