// SPDX-License-Identifier: LGPL-2.1-or-later
// Cases of engine/families/skyreels_v2 and engine/sampler/image: solver trajectories, timestep matrices, windows,
// pictures.
#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <sstream>

#include "engine/error.h"
#include "engine/families/skyreels_v2/time_grid.h"
#include "engine/families/skyreels_v2/timestep_matrix.h"
#include "engine/families/skyreels_v2/unipc.h"
#include "engine/families/skyreels_v2/windows.h"
#include "engine/sampler/image.h"
#include "tests/golden/settings.h"

namespace mc::golden {
namespace {

// x: [...]; v: [steps, ...]. The sample after every step, [steps, ...].
at::Tensor trajectory(const std::vector<skyreels_v2::UniPcStep>& steps, at::Tensor x, const at::Tensor& v) {
    std::vector<at::Tensor> states;
    at::Tensor x_last = at::zeros_like(x), m0 = x_last, m_prev = x_last;
    for (size_t i = 0; i < steps.size(); i++) {
        const skyreels_v2::UniPcStep& s = steps[i];
        const at::Tensor x0 = x - s.sigma * v[int64_t(i)];
        if (s.correct) x = s.c_last * x_last + s.c_m0 * m0 + s.c_prev * m_prev + s.c_x0 * x0;
        m_prev = m0, m0 = x0, x_last = x;
        x = s.p_x * x + s.p_m0 * m0 + s.p_prev * m_prev;
        states.push_back(x);
    }
    return at::stack(states);
}

Produced run_unipc(const Run& run) {
    Produced produced;
    for (const auto& [name, view] : run.file.expected.tensors) {
        if (!name.ends_with(".sigmas")) continue;
        const std::string key = name.substr(0, name.size() - 7);
        int count = 0;
        double shift = 0;
        if (std::sscanf(key.c_str(), "N%d_shift%lf", &count, &shift) != 2)
            throw Error(MC_ERROR_READ,
                        "\"" + name + "\" does not name steps and shift as N30_shift8.sigmas does.");
        const skyreels_v2::TimeGrid grid = skyreels_v2::time_grid(count, shift, grid_of(run.file.settings()));
        const auto steps = skyreels_v2::unipc_steps(grid);
        produced.tensors[name] = at::tensor(grid.sigmas);
        produced.tensors[key + ".timesteps"] = at::tensor(grid.timesteps);
        if (run.file.inputs.has(key + ".x"))
            produced.tensors[key + ".states"] =
                trajectory(steps, run.input(key + ".x"), run.input(key + ".v"));
        if (run.file.json.contains("orders") && run.file.json["orders"].contains(key))
            for (const auto& step : steps) produced.values["orders"][key].push_back(step.order);
    }
    return produced;
}

template <class T>
std::string joined(const std::vector<T>& values, const char* between) {
    std::ostringstream out;
    for (size_t i = 0; i < values.size(); i++) out << (i ? between : "") << values[i];
    return out.str();
}

// An entry as the case has it, its results replaced by ours. One with "error" must be refused, or have no
// rows.
Json matrix_entry(Json entry, const Json& settings) {
    const int steps = entry.at("num_inference_steps");
    std::vector<skyreels_v2::MatrixRow> rows;
    bool refused = false;
    try {
        rows = skyreels_v2::timestep_matrix(
            {entry.at("num_frames"), entry.at("base_num_frames"), entry.at("ar_step"),
             entry.at("num_pre_ready"), entry.at("causal_block_size")},
            skyreels_v2::time_grid(steps, entry.at("shift"), grid_of(settings)).timesteps);
    } catch (const Error& error) {
        refused = error.status == MC_ERROR_SETTINGS;
    }
    if (entry.contains("error")) {
        if (!refused && !rows.empty()) entry["error"] = "made " + std::to_string(rows.size()) + " rows";
        return entry;
    }
    entry["rows"] = rows.size();
    for (const char* field : {"timesteps", "states", "update", "intervals"}) entry[field] = Json::array();
    for (const skyreels_v2::MatrixRow& row : rows) {
        entry["timesteps"].push_back(joined(row.timestep, " "));
        entry["states"].push_back(joined(row.state, " "));
        entry["update"].push_back(joined(row.update, ""));
        entry["intervals"].push_back({row.begin, row.end});
    }
    return entry;
}

Json window_entry(Json entry) {
    const int frames = entry.at("num_frames"), base = entry.at("base_num_frames");
    const int overlap = entry.at("overlap_history");
    const int latents = skyreels_v2::latent_frames(frames);
    entry["latent_frames"] = latents;
    entry["windows"] = skyreels_v2::window_lengths(latents, skyreels_v2::latent_frames(base),
                                                   skyreels_v2::latent_frames(overlap));
    entry["output_frames"] = skyreels_v2::plan_length(frames, base, overlap, 1, LongVideo::PIXEL).frames;
    return entry;
}

Produced run_matrices(const Run& run) {
    Produced produced;
    for (const Json& entry : run.file.json.at("matrices"))
        produced.values["matrices"].push_back(matrix_entry(entry, run.file.settings()));
    if (run.file.json.contains("windows"))
        for (const Json& entry : run.file.json["windows"])
            produced.values["windows"].push_back(window_entry(entry));
    return produced;
}

Produced run_image(const Run& run) {
    Produced produced;
    const Json& targets = run.file.settings().at("targets");
    for (size_t i = 0; i < targets.size(); i++) {
        const std::string k = "." + std::to_string(i);
        const int width = targets[i].at("width"), height = targets[i].at("height");
        const sampler::Image image = image_of(run.input("image" + k));
        const sampler::Image cropped = sampler::crop_to_aspect(image, width, height);
        produced.tensors["cropped" + k] = tensor_of(cropped);
        produced.tensors["resized" + k] = tensor_of(sampler::resize_bicubic(cropped, width, height));
        produced.tensors["pixels" + k] =
            at::tensor(sampler::image_to_pixels(image, width, height)).view({3, height, width});
    }
    return produced;
}

bool any_expected(const CaseFile& file, const char* end) {
    for (const auto& [name, view] : file.expected.tensors)
        if (name.ends_with(end)) return true;
    return false;
}

const Added added{
    {"unipc", false, [](const CaseFile& f) { return any_expected(f, ".sigmas"); }, run_unipc},
    {"timestep matrix", false, [](const CaseFile& f) { return f.json.contains("matrices"); }, run_matrices},
    {"image", false, [](const CaseFile& f) { return f.inputs.has("image.0"); }, run_image},
};

} // namespace
} // namespace mc::golden
