// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's transformer: its parts.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/families/magi1/flow_times.h"
#include "engine/networks/magi_dit/pass.h"
#include "engine/networks/magi_dit/times.h"
#include "tests/golden/magi1_network.h"

namespace mc::golden {
namespace {

using magi_dit::KeyStore;
using magi_dit::Passes;
using magi_dit::Work;

constexpr int CHUNK = 6;

std::string text_of(int64_t number) {
    return std::to_string(number);
}

Produced run_rope(const Run& run) {
    Produced produced;
    for (const Json& shape : run.file.json.at("shapes_T_h_w")) {
        const int64_t frames = shape[0], rows = shape[1], columns = shape[2];
        const auto tables = magi_dit::rotary_tables(run.input("bands"), 0, frames, rows, columns);
        const std::string name = "T" + text_of(frames) + "_h" + text_of(rows) + "_w" + text_of(columns);
        produced.tensors["cos." + name] = tables.cosine;
        produced.tensors["sin." + name] = tables.sine;
    }
    return produced;
}

Produced run_time_embed(const Run& run) {
    const MagiNetwork net(run, Precision::FLOAT32);
    const magi_dit::Network::Impl& m = net->inside();
    std::vector<float> sizes;
    for (const Json& row : run.file.json.at("delta_rows")) {
        const std::string name = row;
        const magi1::FlowTimes table = magi1::flow_times(std::stoi(name));
        sizes.push_back(table.step_size[name.ends_with("interval1") ? 1 : 0]);
    }
    const auto embedded = [&](const at::Tensor& sinusoids) {
        return m.apply_by_rows(m.time_out, at::silu(m.apply_by_rows(m.time_in, sinusoids, nullptr)), nullptr);
    };
    const auto coarse = [](const at::Tensor& t) { return t.to(at::kBFloat16).to(at::kFloat); };
    const at::Tensor times = magi_dit::sinusoids(run.input("t")),
                     steps = magi_dit::sinusoids(at::tensor(sizes).to(run.device));
    return {.tensors = {{"frequencies", magi_dit::frequencies()},
                        {"delta", at::tensor(sizes)},
                        {"sinusoid", times},
                        {"sinusoid_delta", steps},
                        {"temb", embedded(times)},
                        {"temb_bf16_sinusoid", embedded(coarse(times))},
                        {"temb_delta", embedded(steps)},
                        {"temb_delta_bf16_sinusoid", embedded(coarse(steps))}}};
}

Produced run_patch_embed(const Run& run) {
    return by_both_ways(run, [&](bool plain) {
        Produced produced;
        const at::Tensor x = run.input("x");
        for (const auto& [name, precision] :
             {std::pair{"tokens", Precision::FLOAT32}, std::pair{"tokens_bf16", Precision::BFLOAT16}}) {
            const MagiNetwork net(run, precision);
            Passes passes(*net, {CHUNK, int(x.size(2)), int(x.size(3))}, plain);
            produced.tensors[name] = passes.features(x);
        }
        return produced;
    });
}

Produced run_caption_embed(const Run& run) {
    const MagiNetwork net(run, Precision::FLOAT32);
    Produced produced;
    net->text(
        unmasked(run.input("caption_emb"), run.input("caption_mask")), {},
        [&](const std::string&, const at::Tensor& rows) { produced.tensors["y_xattn_valid_rows"] = rows; });
    produced.tensors["y_adaln_cond"] = net->inside().modes[0];
    produced.tensors["y_adaln_drop"] = net->inside().modes[1];
    return produced;
}

// The first layer of three chunks, given hidden states and conditions.
std::map<std::string, at::Tensor> layer_of(const Run& run, Precision precision, bool plain) {
    const MagiNetwork net(run, precision);
    const bool coarse = precision == Precision::BFLOAT16;
    const auto on_grid = [&](const at::Tensor& t) { return coarse ? t.to(at::kBFloat16).to(at::kFloat) : t; };
    // A latent picture of 4 x 6, as everywhere in these groups.
    const int64_t chunks = run.input("k_range_tokens").size(0);
    Passes passes(*net, {CHUNK, 4, 6, int(chunks)}, plain);
    KeyStore keys = passes.key_store();
    std::vector<std::shared_ptr<const magi_dit::Text>> texts;
    std::vector<Work> work(chunks);
    magi_dit::CallCount count;
    int64_t row = 0;
    std::vector<int> pages;
    for (int64_t c = 0; c < chunks; c++) pages.push_back(keys.take());
    std::map<std::string, at::Tensor> out;
    std::vector<at::Tensor> kx, vx;
    for (int64_t c = 0; c < chunks; c++) {
        const int64_t rows = run.input("text_len")[c].item<int64_t>();
        texts.push_back(
            net->inside().text_of(on_grid(run.input("y_xattn_flat").narrow(0, row, rows)), {}, count));
        row += rows;
        kx.push_back(texts.back()->layers[0].k.to(at::kFloat));
        vx.push_back(texts.back()->layers[0].v.to(at::kFloat));
        Work& w = work[size_t(c)];
        w.x = at::zeros({net->config().latent_channels(), CHUNK, 4, 6});
        w.step_size = net->config().distilled ? 4 : 0;
        w.text = {texts.back().get()};
        w.position = int(c);
        w.page = pages[size_t(c)];
        const at::Tensor range = run.input("k_range_tokens")[c];
        for (int64_t k = range[0].item<int64_t>(); k < range[1].item<int64_t>(); k += passes.chunk_tokens())
            w.sees.push_back(pages[size_t(k / passes.chunk_tokens())]);
    }
    passes.inside().middle = {on_grid(run.input("hs_in")),
                              run.input(coarse ? "condition_bf16" : "condition").to(at::kFloat)};
    out["kx"] = at::cat(kx);
    out["vx"] = at::cat(vx);
    passes.forward(work, keys, {}, [&](const std::string& name, const at::Tensor& value) {
        const bool of_chunks = name.starts_with("gate") || name == "condition";
        out[name] = of_chunks ? value.clone() : value.index_select(0, run.input("rows"));
    });
    return out;
}

Produced run_layer(const Run& run) {
    Produced produced = by_both_ways(run, [&](bool plain) {
        Produced each;
        each.tensors = layer_of(run, Precision::FLOAT32, plain);
        for (const auto& [name, value] : layer_of(run, Precision::BFLOAT16, plain))
            each.tensors[name + "_bf16"] = value;
        return each;
    });
    // The tables that the case was recorded with are those that a pass makes itself.
    const MagiNetwork net(run, Precision::FLOAT32);
    const auto tables = magi_dit::rotary_tables(net->inside().bands, 0, 3 * CHUNK, 2, 3);
    produced.extras.push_back({"rope_cos", tables.cosine, run.input("rope_cos"), {.atol = 2e-6}});
    produced.extras.push_back({"rope_sin", tables.sine, run.input("rope_sin"), {.atol = 2e-6}});
    return produced;
}

// Bytes of numbers of eight bits.
at::Tensor bytes_of(const at::Tensor& numbers) {
    return numbers.to(at::kFloat8_e4m3fn).view(at::kByte).to(at::kLong);
}

Produced run_fp8_linear(const Run& run) {
    Produced produced;
    const at::Tensor table = at::arange(256, at::kByte).view(at::kFloat8_e4m3fn).to(at::kFloat);
    produced.tensors["decode_table"] = at::nan_to_num(table, 0);
    const at::Tensor weight =
        run.input("weight_bytes")[0].to(at::kByte).view(at::kFloat8_e4m3fn).to(at::kBFloat16);
    const at::Tensor x = run.input("x").to(at::kFloat);
    for (const std::string& name : {std::string("per_tensor"), std::string("smooth")}) {
        const at::Tensor input = run.input(name + ".input_scale");
        HugeArena arena;
        magi_dit::Product product;
        product.linear =
            networks::Linear(weight, {}, networks::Linear::Layout::PLAIN, kernels::Store::BF16, arena);
        product.input_scale = name == "smooth" ? run.input("smooth.smooth_scale")[0] : input;
        product.output_scale = input[0].item<float>() * run.input("weight_scale")[0].item<float>();
        magi_dit::Network::Impl m;
        m.precision = Precision::BFLOAT16;
        produced.tensors[name + ".x_bytes"] = bytes_of(magi_dit::rounded_to_e4m3(x, product.input_scale));
        produced.tensors[name + ".y"] = m.apply(product, x, nullptr);
    }
    return produced;
}

const AddedKinds added{{"unit_rope", run_rope},
                       {"unit_time_embed", run_time_embed},
                       {"unit_patch_embed", run_patch_embed},
                       {"unit_caption_embed", run_caption_embed},
                       {"unit_layer", run_layer},
                       {"unit_fp8_linear", run_fp8_linear}};

} // namespace
} // namespace mc::golden
