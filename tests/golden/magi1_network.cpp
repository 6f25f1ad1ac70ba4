// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/magi1_network.h"

#include <ATen/ATen.h>

#include "engine/networks/magi_dit/magi_dit_files.h"

namespace mc::golden {

MagiNetwork::MagiNetwork(const Run& run, Precision precision) {
    const Json& config = run.file.json.contains("config") ? run.file.json["config"] : Json();
    const model::JsonObject whole = config.is_object()
                                        ? model::JsonObject::parse(config.dump(), "case.json")
                                        : model::JsonObject::read(run.group_weights() + "/config.json");
    const model::JsonObject engine = whole.object("engine_config");
    const model::MagiDitConfig sizes = model::read_magi_dit_config(
        whole.object("model_config"), engine.boolean("fp8_quant"), engine.boolean("distill"));
    const auto tensors =
        model::open_magi_dit(run.group_weights() + "/" + model::magi_dit_folder(sizes), sizes);
    network_ = std::make_unique<magi_dit::Network>(Weights(*tensors, run.device), sizes, precision);
}

float MagiNetwork::step_size(const Run& run) const {
    if (!network_->config().distilled) return 0;
    const Json& settings = run.file.settings();
    if (settings.contains("step_size_embedding_argument"))
        return settings["step_size_embedding_argument"].get<float>();
    return settings.at("num_steps").get<float>() / 2;
}

at::Tensor unmasked(const at::Tensor& rows, const at::Tensor& mask) {
    return rows.index_select(0, at::nonzero(mask.narrow(0, 0, rows.size(0))).squeeze(1));
}

Produced by_both_ways(const Run& run, const std::function<Produced(bool plain)>& compute) {
    Produced produced = compute(true);
    if (!run.device.is_cpu()) return produced;
    for (const auto& [name, value] : compute(false).tensors) {
        const auto expected = run.file.expected.tensors.find(name);
        if (expected == run.file.expected.tensors.end()) continue;
        const auto tolerance = tolerance_by_parts(run.file.json.at("tolerance"), name);
        if (!tolerance) throw Error(MC_ERROR_READ, "The case gives no tolerance for " + name + ".");
        produced.extras.push_back({"fast " + name, value, to_tensor(expected->second), *tolerance});
    }
    return produced;
}

} // namespace mc::golden
