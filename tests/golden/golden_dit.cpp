// SPDX-License-Identifier: LGPL-2.1-or-later
// Cases of engine/networks/wan_dit: one forward with its intermediate values.

#include "engine/networks/wan_dit/transformer.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "tests/golden/settings.h"

namespace mc::golden {
namespace {

std::vector<int64_t> numbers(const at::Tensor& tensor) {
    const at::Tensor flat = tensor.to(at::kCPU, at::kLong).contiguous();
    return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

Produced run_dit(const Run& run) {
    model::TransformerConfig config;
    const auto tensors = model::open_transformer(run.weights("dit"), config);
    const wan_dit::Transformer net(Weights(*tensors, run.device), config, run.precision);
    const Json& settings = run.file.settings();

    Produced produced;
    const Trace trace = [&](const std::string& name, const at::Tensor& value) {
        if (run.file.expected.has(name)) produced.tensors[name] = value.clone();
    };
    const at::Tensor x = run.input("x")[0]; // [C, T, h, w]
    const auto text = net.text_context(run.input("context")[0], {}, trace);
    wan_dit::Window window(net, {int(x.size(1)), int(x.size(2)), int(x.size(3)),
                                 settings.value("causal_block_size", 1), attention_of(settings),
                                 settings.at("fps")});
    produced.tensors["v"] = window.forward(x, numbers(run.input("t")[0]), *text, {}, trace).clone();
    return produced;
}

const Added added{
    {"transformer", true,
     [](const CaseFile& f) { return f.inputs.has("x") && f.inputs.has("t") && f.inputs.has("context"); },
     run_dit}};

} // namespace
} // namespace mc::golden
