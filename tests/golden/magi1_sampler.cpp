// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's sampler, with and without caches: noise and the rows of a caption in, latents and decisions out.
#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>

#include "engine/families/magi1/sampler.h"
#include "tests/golden/magi1_compression.h"
#include "tests/golden/magi1_network.h"
#include "tests/golden/magi1_sampler.h"
#include "tests/golden/magi1_texts.h"

namespace mc::golden {
namespace {

using cache::Action;
using cache::Decision;
using magi1::Sampler;
using magi1::SamplerSettings;

constexpr int CHUNK = 6; // latent frames

const Json& runtime(const Run& run) {
    return run.file.json.at("config").at("runtime_config");
}

cache::AnySettings tea_settings(const Json& s, bool reference) {
    cache::TeaCacheSettings t;
    t.threshold = s.at("rel_l1_thresh");
    t.forced_first = s.at("no_reuse_first_n_steps");
    t.forced_last = 1;
    t.whole_when_chunk_starts = s.at("whole_calc_when_cross");
    t.by_place = reference;
    return t;
}

cache::AnySettings flow_settings(const Json& s) {
    cache::FlowCacheSettings f;
    f.threshold = s.at("rel_l1_thresh");
    f.forced_first = s.at("warmup_steps");
    f.forced_last = 0;
    f.whole_ends = true;
    f.whole_when_chunk_starts = s.value("whole_calc_when_cross", false);
    return f;
}

template <class T>
std::optional<T> value_of(const Json& s, const char* name) {
    return s.contains(name) && !s[name].is_null() ? std::optional<T>(s[name].get<T>()) : std::nullopt;
}

cache::AnySettings motion_settings(const Json& s, bool reference) {
    if (!s.at("token_wise_reuse").get<bool>()) return flow_settings(s);
    cache::MotionCacheByStepsSettings m;
    m.threshold = s.at("rel_l1_thresh");
    m.token_threshold = s.at("token_rel_l1_thresh");
    m.warmup = s.at("warmup_steps");
    m.coarse_steps = s.at("chunk_wise_only_steps");
    m.weight_floor = s.at("temporal_weight_floor");
    m.weight_power = value_of<double>(s, "temporal_weight_power").value_or(1);
    if (s.at("tokenwise_l1_mode") == "token") m.distance = CacheDistance::TOKEN;
    if (s.at("enable_temporal_voting").get<bool>()) m.vote = 4.0 / CHUNK;
    m.max_reuse = value_of<double>(s, "final_token_reuse_ratio").value_or(s.at("max_token_reuse_ratio"));
    m.first_reuse = value_of<double>(s, "initial_token_reuse_ratio");
    m.weights_once = s.at("compute_l1_weights_once");
    m.whole_when_chunk_starts = s.at("whole_calc_when_cross");
    m.stale_in_last_row = reference;
    m.share_by_rows = true; // the cases that are called corrected keep it
    return m;
}

SamplerSettings settings_of(const Run& run, int64_t prefix) {
    const Json& r = runtime(run);
    const Json& engine = run.file.json.at("config").at("engine_config");
    const Json& s = run.file.settings();
    const std::string variant = value_of<std::string>(run.file.json, "variant").value_or("");
    const bool reference = variant == "reference" || run.file.name.ends_with("_reference");
    SamplerSettings p;
    p.stages.steps = r.at("num_steps");
    p.stages.window = r.at("window_size");
    p.stages.given = prefix / CHUNK;
    p.stages.chunks = s.at("chunk_num").get<int64_t>();
    p.stages.noise2clean = r.at("noise2clean_kvrange").get<std::vector<int>>();
    p.stages.clean_range = r.at("clean_chunk_kvrange");
    p.stages.check();
    p.times = magi1::flow_times(p.stages.steps, engine.at("shortcut_mode") == "16,16,8" ? magi1::Shortcut::LARGE_LAST
                                                                                        : magi1::Shortcut::LARGE_FIRST);
    if (r.at("cfg_number") == 3)
        for (size_t i = 0; i < r.at("cfg_t_range").size(); i++)
            p.guides.push_back({r["cfg_t_range"][i], r.at("prev_chunk_scales")[i], r.at("text_scales")[i]});
    p.clean_t = r.at("clean_t");
    p.distilled = engine.at("distill");
    p.copy_above = engine.at("distill_nearly_clean_chunk_threshold").get<double>();
    p.copy_share = 1 - s.value("blend_weight", 0.7);
    p.bfloat16_distances = run.file.json.at("precision").get<std::string>().starts_with("bf16");
    p.faults.given_is_noise = true;
    for (const char* name : {"motioncache", "flowcache", "teacache"}) {
        if (!s.contains(name)) continue;
        const Json& c = s[name];
        p.passes_finished = false;
        if (c.value("discard_nearly_clean_chunk", false)) p.copy_above.reset();
        if (name == std::string("teacache"))
            p.cache = tea_settings(c, reference);
        else
            p.cache = name == std::string("flowcache") ? flow_settings(c) : motion_settings(c, reference);
        // Theirs counts the chunks on their way too.
        if (c.value("compress_kv_cache", false))
            p.compression = {c.at("total_cache_chunk_nums").get<int>() - p.stages.window, compression_of(c)};
        p.faults.partial_sees_oldest = reference;
        p.faults.copy_into_first = variant != "corrected_blend";
        p.faults.others_go_back = p.faults.newest_takes_other = reference;
    }
    return p;
}

// What the network reads of a caption in each chunk.
struct Texts {
    std::vector<at::Tensor> rows, masks; // of each chunk, padded
    std::vector<std::vector<std::shared_ptr<const magi_dit::Text>>> of;
    std::shared_ptr<const magi_dit::Text> none;
    at::Tensor null_rows, null_mask;

    Texts(const Run& run, const magi_dit::Network& net, const SamplerSettings& p, magi1::Caption caption) {
        const Json environment = run.file.settings().value("environment", Json::object());
        const magi1::TokenChoice choice = token_choice_of(environment);
        const int64_t most = net.config().text_rows, width = net.config().text_width;
        std::optional<magi1::SpecialTokens> tokens;
        if (!environment.empty())
            tokens = magi1::SpecialTokens::open(run.file.folder + "/../text/special_tokens.npz", width);
        const at::Tensor no_caption = net.null_caption().to(at::kCPU);
        magi1::Caption null{no_caption, at::arange(most) < magi1::NULL_ROWS};
        if (tokens) {
            caption = with_tokens(caption, choice, *tokens, most);
            null = null_text(no_caption, choice, *tokens);
        }
        null_rows = null.rows, null_mask = null.mask;
        none = net.text(null.counting());
        const auto shared = net.text(caption.counting());
        for (int64_t c = 0; c < *p.stages.chunks; c++) {
            const bool given = c < p.stages.given;
            const at::Tensor duration =
                tokens ? duration_token(choice, *tokens, *p.stages.chunks - 1 - c) : at::zeros({0, width});
            of.emplace_back();
            if (duration.size(0)) of.back().push_back(net.text(duration));
            of.back().push_back(shared);
            rows.push_back(given ? null.rows : at::cat({duration, caption.rows}).narrow(0, 0, most));
            masks.push_back(
                given ? at::zeros({most}, at::kBool)
                      : at::cat({at::ones({duration.size(0)}, at::kBool), caption.mask}).narrow(0, 0, most));
        }
    }
};

// Decisions and motion weights of every row, as the cases list them.
class Recorder {
  public:
    Recorder(int64_t rows, int64_t chunks, int64_t tokens, bool by_chunk)
        : by_chunk_(by_chunk), action_(at::full({rows, chunks}, -1, at::kLong)),
          mask_(at::zeros({rows, chunks, tokens}, at::kBool)),
          rel_(at::full({rows, chunks}, -1.0, at::kFloat)), chunk_sum_(at::zeros({rows, chunks})),
          token_sum_(at::zeros({rows, chunks, tokens})), weights_(at::ones({rows, chunks * tokens})),
          copy_(at::zeros({rows}, at::kLong)), kept_chunk_(at::zeros({chunks})),
          kept_token_(at::zeros({chunks, tokens})), kept_weights_(at::ones({chunks * tokens})) {}

    void decided(const Decision& d) {
        const bool computes = d.kind == Decision::Kind::WARMUP || d.kind == Decision::Kind::WHOLE;
        const bool partial = d.kind == Decision::Kind::PARTIAL;
        action_[d.row][d.chunk] = computes ? 0 : partial ? 1 : 2;
        if (partial)
            mask_[d.row][d.chunk] = as_tensor(d.computed) == 0;
        else
            mask_[d.row][d.chunk] = !computes;
        if (!std::isnan(d.distance)) rel_[d.row][d.chunk] = d.distance;
        // What is left of the sums; where nothing was decided they stay.
        if (!std::isnan(d.accumulated))
            kept_chunk_[d.chunk] = computes ? 0 : d.accumulated, kept_token_[d.chunk] = 0;
        else if (!d.accumulated_after.empty())
            kept_chunk_[d.chunk] = 0, kept_token_[d.chunk] = as_tensor(d.accumulated_after);
        else if (d.kind == Decision::Kind::WARMUP || (d.forced && !is_end(d.row)))
            kept_chunk_[d.chunk] = 0, kept_token_[d.chunk] = 0;
        seen_[d.row].push_back(d.chunk);
    }
    void took(const sampler::Turn& turn) {
        if (turn.turn.kind == sampler::ChunkTurn::Kind::COPY) copy_[turn.row] = 1;
        if (turn.weights.empty()) return;
        const int64_t tokens = token_sum_.size(2);
        kept_weights_.narrow(0, turn.turn.chunk * tokens, tokens).copy_(as_tensor(turn.weights));
    }
    // The row is over. Sums are listed of the chunks on their way alone.
    void end_row(int64_t row) {
        for (int chunk : seen_[int(row)]) {
            chunk_sum_[row][chunk] = kept_chunk_[chunk];
            token_sum_[row][chunk] = kept_token_[chunk];
        }
        weights_[row] = kept_weights_;
    }
    void fill(const CaseFile& file, Produced& produced) const {
        const std::map<std::string, at::Tensor> all{
            {"action", action_}, {"reuse_mask", mask_}, {"rel_l1", rel_}, {"chunk_accumulator", chunk_sum_},
            {"token_accumulator", token_sum_}, {"near_clean_copy", copy_}};
        for (const auto& [name, tensor] : all)
            if (file.expected.has(name)) produced.tensors[name] = tensor;
        if (file.expected.has("temporal_weights"))
            produced.tensors["temporal_weights"] =
                weights_.view(file.expected.tensors.at("temporal_weights").shape);
    }
    // Of TeaCache, which decides about all chunks at once: 0 all computed, 1 the newest alone, 2 none.
    void fill_tea(const at::Tensor& accumulator, const at::Tensor& rel, Produced& produced) const {
        const at::Tensor computed = (action_ == 0).sum(1), reused = (action_ == 2).sum(1);
        produced.tensors["action"] =
            at::where(reused == 0, at::zeros_like(reused),
                      at::where(computed > 0, at::ones_like(reused), at::full_like(reused, 2)));
        produced.tensors["rel_l1"] = rel;
        produced.tensors["accumulator"] = accumulator;
    }

  private:
    bool is_end(int row) const { return row == 0 || row == action_.size(0) - 1; }
    template <class T>
    static at::Tensor as_tensor(std::span<const T> values) {
        return at::tensor(std::vector<T>(values.begin(), values.end()));
    }
    bool by_chunk_;
    at::Tensor action_, mask_, rel_, chunk_sum_, token_sum_, weights_, copy_;
    at::Tensor kept_chunk_, kept_token_, kept_weights_;
    std::map<int, std::vector<int>> seen_;
};

} // namespace

Produced sample_magi1(const Run& run, bool plain, const magi1::Caption& caption) {
    const bool bf16 = run.file.json.at("precision").get<std::string>().starts_with("bf16");
    const MagiNetwork net(run, bf16 ? Precision::BFLOAT16 : Precision::FLOAT32);
    const at::Tensor noise = run.input("noise");
    const at::Tensor prefix = run.file.inputs.has("prefix") ? run.input("prefix") : at::Tensor();
    const SamplerSettings p = settings_of(run, prefix.defined() ? prefix.size(1) : 0);
    magi_dit::Passes passes(*net, {CHUNK, int(noise.size(2)), int(noise.size(3)), Sampler::at_once(p)},
                            plain);
    const Texts texts(run, *net, p, caption);
    const int64_t chunks = *p.stages.chunks, rows = *p.stages.rows();
    const auto policy = cache::make_policy(p.cache);
    const bool tea = p.cache.kind() == CacheKind::TEACACHE;
    Recorder recorder(rows, chunks, passes.chunk_tokens(), tea);
    at::Tensor tea_sum = at::zeros({rows}), tea_rel = at::full({rows}, -1.0);
    double sum = 0;
    policy->observe([&](const Decision& d) {
        recorder.decided(d);
        if (!std::isnan(d.distance)) tea_rel[d.row] = d.distance;
        if (!std::isnan(d.accumulated)) sum = d.kind == Decision::Kind::WHOLE ? 0 : d.accumulated;
        if (std::isnan(d.accumulated) && d.step > 0) sum = 0; // forced
        tea_sum[d.row] = sum;
    });
    Sampler sampler(
        passes, CHUNK, p,
        {[&](int64_t chunk) {
             std::vector<const magi_dit::Text*> list;
             for (const auto& text : texts.of[size_t(chunk)]) list.push_back(text.get());
             return list;
         },
         texts.none.get()},
        *policy, [&](int64_t chunk) { return noise.narrow(1, chunk * CHUNK, CHUNK).contiguous(); }, prefix);
    Produced produced;
    std::vector<at::Tensor> latents;
    for (int64_t c = 0; c < p.stages.given; c++) latents.push_back(noise.narrow(1, c * CHUNK, CHUNK));
    sampler::Timing timing;
    while (!sampler.done()) {
        const int64_t row = sampler.row();
        sampler.step(
            {},
            [&](const std::string& what, const at::Tensor& value) {
                char name[64];
                std::snprintf(name, sizeof name, "active_latents_after_step.%03d", int(row));
                if (what != "steps.latents") std::snprintf(name, sizeof name, "%s", what.c_str());
                if (run.file.expected.has(name)) produced.tensors[name] = value;
            },
            timing, [&](const sampler::Turn& turn) { recorder.took(turn); });
        recorder.end_row(row);
        while (auto finished = sampler.take()) latents.push_back(finished->latents);
    }
    produced.tensors["latents"] = at::cat(latents, 1);
    if (run.file.expected.has("timesteps")) produced.tensors["timesteps"] = at::tensor(p.times.t);
    if (run.file.expected.has("text_rows")) {
        std::vector<at::Tensor> null_rows(size_t(chunks), texts.null_rows),
            null_masks(size_t(chunks), texts.null_mask);
        const at::Tensor all = at::stack({at::stack(texts.rows), at::stack(null_rows)}),
                         mask = at::stack({at::stack(texts.masks), at::stack(null_masks)}).to(at::kLong);
        produced.tensors["text_rows"] = all.narrow(2, 0, run.file.expected.tensors.at("text_rows").shape[2]);
        produced.tensors["text_mask_rows"] = mask.narrow(2, 0, run.file.expected.tensors.at("text_mask_rows").shape[2]);
        produced.tensors["text_mask_sum"] = mask.sum(2);
    }
    if (tea)
        recorder.fill_tea(tea_sum, tea_rel, produced);
    else
        recorder.fill(run.file, produced);
    return produced;
}

namespace {

Produced run_sampler(const Run& run) {
    const int64_t most = run.file.json.at("config").at("model_config").at("caption_max_length");
    const magi1::Caption caption{padded(run.input("caption_emb"), most), run.input("caption_mask").to(at::kCPU) != 0};
    return by_both_ways(run, [&](bool plain) { return sample_magi1(run, plain, caption); });
}

const AddedKinds added{{"sampler", run_sampler},
                       {"kv_compression", run_sampler},
                       {"motioncache", run_sampler},
                       {"flowcache", run_sampler},
                       {"teacache", run_sampler}};

} // namespace
} // namespace mc::golden
