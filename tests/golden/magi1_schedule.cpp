// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's time tables and chunk schedules: schedules/schedules.json of a golden folder.
#include <ATen/ops/tensor.h>

#include "engine/families/magi1/stages.h"
#include "engine/families/magi1/flow_times.h"
#include "tests/golden/runner.h"

namespace mc::golden {
namespace {

using magi1::Chunks;
using magi1::StageRow;
using magi1::Stages;

std::vector<double> doubles(const Json& list) {
    return list.get<std::vector<double>>();
}

void add_times(const Json& table, Produced& produced) {
    const std::string mode = table.at("shortcut_mode");
    const magi1::FlowTimes times =
        magi1::flow_times(table.at("num_steps"),
                          mode == "16,16,8" ? magi1::Shortcut::LARGE_LAST : magi1::Shortcut::LARGE_FIRST);
    const std::string name = "steps" + table.at("num_steps").dump() + "." + mode;
    std::vector<float> delta;
    for (int k = 0; k < times.steps(); k++) delta.push_back(times.t[size_t(k) + 1] - times.t[size_t(k)]);
    produced.extras.push_back(
        {name + ".timesteps", at::tensor(times.t), at::tensor(doubles(table.at("timesteps"))), {.atol = 1e-7}});
    produced.extras.push_back(
        {name + ".delta_t", at::tensor(delta), at::tensor(doubles(table.at("delta_t"))), {.atol = 1e-7}});
    const Json& size = table.at("step_size_embedding_argument");
    const std::vector<double> sizes =
        size.is_array() ? doubles(size) : std::vector<double>(delta.size(), size.get<double>());
    produced.extras.push_back({name + ".step_size", at::tensor(times.step_size), at::tensor(sizes), {.exact = true}});
}

Json pair_of(Chunks chunks) {
    return {chunks.begin, chunks.end};
}

Json seen_in(const Stages& stages, const StageRow& row) {
    Json rows = Json::array();
    if (stages.passes_finished(row)) rows.push_back(pair_of(stages.finished_sees(row.begin - 1)));
    for (int64_t c = row.begin; c < row.end; c++) rows.push_back(pair_of(stages.sees(c, stages.step(row, c))));
    return rows;
}

// The table as it is, its results replaced by ours.
Json chunk_table(Json table) {
    Stages stages;
    stages.steps = table.at("num_steps");
    stages.window = table.at("window_size");
    stages.given = table.at("chunk_offset");
    stages.chunks = table.at("chunk_num").get<int64_t>();
    stages.noise2clean = table.at("noise2clean_kvrange").get<std::vector<int>>();
    stages.clean_range = table.at("clean_chunk_kvrange");
    stages.check();
    table["steps_per_stage"] = stages.stage_steps();
    table["total_steps"] = *stages.rows();
    if (table.contains("prefix_k_range_chunks")) {
        table["prefix_k_range_chunks"] = Json::array();
        for (int64_t c = 0; c < stages.given; c++)
            table["prefix_k_range_chunks"].push_back(pair_of(stages.given_sees(c)));
    }
    Json parts = std::move(table["stages"]);
    table["stages"] = Json::array();
    for (int64_t at = 0; at < *stages.rows(); at += stages.stage_steps()) {
        const StageRow first = stages.row(at);
        Json stage = first.stage < int64_t(parts.size()) ? parts[size_t(first.stage)] : Json::object();
        stage["stage"] = first.stage;
        stage["chunk_start"] = first.begin;
        stage["chunk_end"] = first.end;
        stage["t_start"] = stages.step(first, first.end - 1) / stages.stage_steps();
        stage["t_end"] = stages.step(first, first.begin) / stages.stage_steps() + 1;
        stage["step_of_chunk_at_first_step"] = Json::array();
        for (int64_t c = first.begin; c < first.end; c++)
            stage["step_of_chunk_at_first_step"].push_back(stages.step(first, c));
        stage["clean_chunk_prepended_at_first_step"] = stages.passes_finished(first);
        Json ranges = Json::array(); // the same one after the other, once
        for (int index = 0; index < stages.stage_steps(); index++) {
            const Json rows = seen_in(stages, stages.row(at + index));
            if (ranges.empty() || ranges.back().at("rows") != rows)
                ranges.push_back({{"denoise_idx", {index, index}}, {"rows", rows}});
            ranges.back()["denoise_idx"][1] = index;
        }
        stage["k_range_chunks"] = ranges;
        table["stages"].push_back(stage);
    }
    return table;
}

Produced run_schedules(const Run& run) {
    Produced produced;
    for (const Json& table : run.file.json.at("time_tables")) add_times(table, produced);
    for (const Json& table : run.file.json.at("chunk_tables"))
        produced.values["chunk_tables"].push_back(chunk_table(table));
    return produced;
}

const AddedKinds added{{"schedules", run_schedules}};

} // namespace
} // namespace mc::golden
