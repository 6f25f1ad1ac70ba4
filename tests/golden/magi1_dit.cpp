// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's transformer: whole forwards, on both ways of computing them.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <cmath>

#include "tests/golden/magi1_network.h"

namespace mc::golden {
namespace {

using magi_dit::KeyStore;
using magi_dit::Passes;
using magi_dit::Text;
using magi_dit::Work;

constexpr int CHUNK = 6; // latent frames

// What the unit cases of a forward have in common: chunks from `slice_point` on, those before it in pages.
struct Scene {
    const Run& run;
    const MagiNetwork net;
    const at::Tensor x = run.input("x"); // [C, chunks * 6, h, w]
    const int chunks = int(x.size(1)) / CHUNK;
    Passes passes;
    KeyStore keys;
    std::vector<std::shared_ptr<const Text>> texts;
    std::vector<int> pages; // of chunk 0, 1, ...
    const int first;        // number of the first chunk that is computed

    Scene(const Run& run, Precision precision, bool plain, int first)
        : run(run), net(run, precision), passes(*net, {CHUNK, int(x.size(2)), int(x.size(3)), 4}, plain),
          keys(passes.key_store()), first(first) {
        const at::Tensor rows = run.input("caption_emb"), mask = run.input("caption_mask");
        for (int64_t i = 0; i < (rows.dim() == 3 ? rows.size(0) : 1); i++)
            texts.push_back(net->text(rows.dim() == 3 ? unmasked(rows[i], mask[i]) : unmasked(rows, mask)));
        for (int c = 0; c < first + chunks; c++) pages.push_back(keys.take());
    }
    at::Tensor chunk(int number) const { return x.narrow(1, (number - first) * CHUNK, CHUNK).contiguous(); }
    // Puts pages of chunks from 0 on.
    void remember(const std::string& name) {
        for (int64_t layer = 0; layer < net->config().layers; layer++) {
            const at::Tensor all = run.input(name + "." + std::to_string(layer));
            for (int64_t c = 0; c * passes.chunk_tokens() < all.size(0); c++)
                keys.write(layer, pages[size_t(c)],
                           all.narrow(0, c * passes.chunk_tokens(), passes.chunk_tokens()));
        }
    }
    // Work of the chunks in order, each with a velocity.
    std::vector<Work> work() const {
        const at::Tensor t = run.input("t");
        const bool ranged = run.file.inputs.has("k_range_tokens");
        const at::Tensor ranges = ranged ? run.input("k_range_tokens") : at::Tensor();
        std::vector<Work> list;
        for (int c = first; c < first + chunks; c++) {
            const int64_t i = c - first;
            Work w;
            w.x = chunk(c);
            w.t = t[i].item<float>();
            w.step_size = net.step_size(run);
            w.text = {texts[size_t(i)].get()};
            w.position = c;
            w.page = pages[size_t(c)];
            for (int64_t k = ranged ? ranges[i][0].item<int64_t>() : 0;
                 k < (ranged ? ranges[i][1].item<int64_t>() : passes.chunk_tokens());
                 k += passes.chunk_tokens())
                w.sees.push_back(pages[size_t(k / passes.chunk_tokens())]);
            w.velocity = at::full_like(w.x, std::nan(""));
            list.push_back(w);
        }
        return list;
    }
    static at::Tensor velocity_of(const std::vector<Work>& work) {
        std::vector<at::Tensor> list;
        for (const Work& w : work) list.push_back(w.velocity);
        return at::cat(list, 1);
    }
    // Keys and values of chunks [from, from + count), which the case expects of one layer.
    void written(Produced& produced, const std::string& name, int from, int count) const {
        const int64_t layer = net->config().layers - 1;
        std::vector<at::Tensor> list;
        for (int c = from; c < from + count; c++) list.push_back(keys.read(layer, pages[size_t(c)]));
        produced.tensors[name + "." + std::to_string(layer)] = at::cat(list);
    }
};

Produced forward_from_noise(const Run& run) {
    return by_both_ways(run, [&](bool plain) {
        Produced produced;
        for (const auto& [name, precision] :
             {std::pair{"velocity", Precision::FLOAT32}, std::pair{"velocity_bf16", Precision::BFLOAT16}}) {
            Scene scene(run, precision, plain, 0);
            const std::vector<Work> work = scene.work();
            scene.passes.forward(work, scene.keys);
            produced.tensors[name] = Scene::velocity_of(work);
        }
        return produced;
    });
}

Produced forward_with_history(const Run& run) {
    return by_both_ways(run, [&](bool plain) {
        Produced produced;
        Scene scene(run, Precision::FLOAT32, plain, run.file.settings().at("slice_point"));
        scene.remember("kv_cache");
        const std::vector<Work> work = scene.work();
        scene.passes.forward(work, scene.keys);
        produced.tensors["velocity"] = Scene::velocity_of(work);
        // Of the clean chunk alone, where there is one.
        scene.written(produced, "kv_written", scene.first,
                      run.file.settings().contains("clean_chunk_prepended") ? 1 : scene.chunks);
        return produced;
    });
}

Produced forward_near_clean(const Run& run) {
    return by_both_ways(run, [&](bool plain) {
        Produced produced;
        Scene scene(run, Precision::FLOAT32, plain, run.file.settings().at("slice_point"));
        scene.remember("kv_cache");
        std::vector<Work> work = scene.work();
        Work copy = work.front();
        copy.page = scene.keys.take(KeyStore::Lasting::FORWARD);
        copy.sees = {copy.page};
        copy.position = scene.first + scene.chunks;
        copy.velocity = at::empty_like(copy.x);
        work.push_back(copy);
        scene.passes.forward(work, scene.keys);
        const double blend = run.file.settings().at("blend_weight");
        work.pop_back();
        work.front().velocity = work.front().velocity * blend + copy.velocity * (1 - blend);
        produced.tensors["velocity"] = Scene::velocity_of(work);
        return produced;
    });
}

Produced forward_3cfg(const Run& run) {
    return by_both_ways(run, [&](bool plain) {
        Produced produced;
        Scene scene(run, Precision::FLOAT32, plain, run.file.settings().at("slice_point"));
        scene.remember("kv_cache");
        const auto null =
            scene.net->text(scene.net->null_caption().narrow(0, 0, run.file.settings().at("null_text_rows")));
        const auto pass = [&](const std::string& name, const std::function<void(Work&)>& change) {
            std::vector<Work> work = scene.work();
            for (Work& w : work) change(w);
            scene.passes.forward(work, scene.keys);
            return produced.tensors[name] = Scene::velocity_of(work);
        };
        const auto without_text = [&](Work& w) {
            w.text = {null.get()};
            w.drop = true;
        };
        const at::Tensor alone = pass("v_uncond", [&](Work& w) {
            without_text(w);
            w.position = 0;
            w.page = scene.keys.take(KeyStore::Lasting::FORWARD);
            w.sees = {w.page};
        });
        const at::Tensor text = pass("v_text_and_prev", [](Work&) {});
        const at::Tensor previous = pass("v_prev", without_text);
        scene.written(produced, "kv_written", scene.first, scene.chunks);

        const Json& tables = run.file.json.at("config").at("runtime_config");
        const at::Tensor t = run.input("t");
        std::vector<at::Tensor> chunks;
        for (int64_t c = 0; c < scene.chunks; c++) {
            size_t row = 0;
            for (size_t i = 0; i < tables.at("cfg_t_range").size(); i++)
                if (tables.at("cfg_t_range")[i].get<double>() - 1e-7 <= t[c].item<double>()) row = i;
            const double ps = tables.at("prev_chunk_scales")[row], ts = tables.at("text_scales")[row];
            const auto part = [&](const at::Tensor& v) { return v.narrow(1, c * CHUNK, CHUNK); };
            chunks.push_back((1 - ps) * part(alone) + (ps - ts) * part(previous) + ts * part(text));
        }
        produced.tensors["velocity"] = at::cat(chunks, 1);
        return produced;
    });
}

Produced sparse_forward(const Run& run) {
    return by_both_ways(run, [&](bool plain) {
        Produced produced;
        Scene scene(run, Precision::FLOAT32, plain, run.file.settings().at("chunk"));
        scene.remember("kv_memory");
        const at::Tensor tokens = run.input("computed_tokens").to(at::kCPU, at::kInt).contiguous();
        cache::Plan plan{cache::Action::PARTIAL, {}};
        plan.tokens.assign(tokens.const_data_ptr<int32_t>(),
                           tokens.const_data_ptr<int32_t>() + tokens.numel());
        std::vector<Work> work = scene.work();
        work.front().plan = &plan;
        scene.passes.forward(work, scene.keys);
        produced.tensors["velocity"] = Scene::velocity_of(work);
        scene.written(produced, "kv_memory_after", scene.first, 1);
        return produced;
    });
}

const AddedKinds added{{"unit_forward_1chunk", forward_from_noise},
                       {"unit_forward_3chunks", forward_from_noise},
                       {"unit_forward_cache_read", forward_with_history},
                       {"unit_forward_clean_chunk", forward_with_history},
                       {"unit_forward_near_clean", forward_near_clean},
                       {"unit_forward_3cfg", forward_3cfg},
                       {"unit_sparse_forward", sparse_forward}};

} // namespace
} // namespace mc::golden
