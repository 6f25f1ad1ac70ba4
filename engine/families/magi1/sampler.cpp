// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/sampler.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <chrono>
#include <string>

#include "engine/device.h"
#include "engine/families/magi1/distances.h"

namespace mc::magi1 {

using cache::Action;
using cache::Plan;
using magi_dit::Work;
using networks::KeyStore;
using sampler::ChunkTurn;
using clock = std::chrono::steady_clock;

static double since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

// The step at which MotionCache by steps begins to decide by token; with other caches never reached.
static int token_phase(const cache::AnySettings& settings) {
    const auto* s = std::get_if<cache::MotionCacheByStepsSettings>(&settings.policy);
    return s ? s->warmup + s->coarse_steps : cache::UNLIMITED;
}

static bool is_tea(const cache::AnySettings& settings) {
    return settings.kind() == CacheKind::TEACACHE;
}

int Sampler::at_once(const SamplerSettings& settings) {
    // Those on their way, the one that is passed because it is finished, and the nearly clean copy.
    return settings.stages.window + (settings.passes_finished ? 1 : 0) + (settings.copy_above ? 1 : 0);
}

Sampler::Sampler(magi_dit::Passes& passes, int chunk_frames, const SamplerSettings& settings, Captions captions,
                 cache::Policy& policy, std::function<at::Tensor(int64_t)> noise, at::Tensor prefix)
    : passes_(passes), chunk_frames_(chunk_frames), settings_(settings), captions_(std::move(captions)),
      policy_(policy), noise_(std::move(noise)), prefix_(std::move(prefix)), keys_(passes.key_store()) {
    const Stages& stages = settings_.stages;
    const auto end = [](std::optional<int64_t> count) {
        return count ? int(std::min<int64_t>(*count, cache::UNLIMITED)) : cache::UNLIMITED;
    };
    if (remembers())
        policy_.begin_window({end(stages.chunks), chunk_frames_, int(passes_.frame_tokens()), 1, stages.steps,
                              end(stages.rows())});
}

bool Sampler::done() const {
    const auto rows = settings_.stages.rows();
    return rows && row_ >= *rows;
}

std::vector<int> Sampler::pages(Chunks seen) const {
    std::vector<int> list = compressed_;
    for (int64_t c = compressed_.empty() ? seen.begin : pages_.begin()->first; c < seen.end; c++)
        list.push_back(pages_.at(c));
    return list;
}

int Sampler::page_of(int64_t chunk) {
    const auto [at, fresh] = pages_.try_emplace(chunk, -1);
    if (fresh) at->second = keys_.take();
    return at->second;
}

float Sampler::step_size(const Now& now) const {
    return settings_.distilled ? settings_.times.step_size[size_t(now.row.index)] : 0;
}

// What is given is put back in front of every evaluation.
at::Tensor Sampler::with_prefix(int64_t chunk, const at::Tensor& x) const {
    const int64_t first = chunk * chunk_frames_;
    const int64_t given = prefix_.defined() ? std::min<int64_t>(prefix_.size(1) - first, chunk_frames_) : 0;
    if (given <= 0) return x;
    at::Tensor input = x.clone();
    input.narrow(1, 0, given).copy_(prefix_.narrow(1, first, given));
    return input;
}

// Keys and values of whole given chunks, of those that anybody sees.
void Sampler::pass_given(Cancel cancel) {
    const Stages& stages = settings_.stages;
    int64_t first = stages.first_seen_from(stages.row(0));
    for (int64_t c = stages.given; c-- > first;) first = std::min(first, stages.given_sees(c).begin);
    for (int64_t c = first; c < stages.given; c++) {
        Work work;
        work.x = prefix_.narrow(1, c * chunk_frames_, chunk_frames_).contiguous();
        work.t = settings_.clean_t;
        work.step_size = settings_.distilled ? settings_.times.step_size[0] : 0;
        work.drop = guided();
        work.text = {captions_.none};
        work.position = int(c);
        work.page = page_of(c);
        work.sees = pages(stages.given_sees(c));
        passes_.forward({&work, 1}, keys_, cancel);
        count_.extra++;
    }
}

Sampler::Now Sampler::begin_row() {
    Now now;
    now.row = settings_.stages.row(row_);
    for (int64_t c = now.row.begin; c < now.row.end; c++) {
        Chunk& chunk = chunks_[c];
        if (!chunk.x.defined()) {
            chunk.x = noise_(c);
            chunk.text = captions_.of(c);
            if (captions_.weight) chunk.weight = captions_.weight(c);
        }
        now.chunks.push_back(c);
        now.input.push_back(with_prefix(c, chunk.x));
        now.steps.push_back(settings_.stages.step(now.row, c));
    }
    now.plans.resize(now.chunks.size());
    now.velocity.resize(now.chunks.size());
    return now;
}

// ---------------------------------------------------------------------------------------------------- decisions

void Sampler::decide(Now& now) {
    if (!remembers()) return;
    const auto* tea = std::get_if<cache::TeaCacheSettings>(&settings_.cache.policy);
    // As many chunks as in the row before, but others.
    const bool by_place = tea && tea->by_place && now.row.stage_begins() && now.row.begin > settings_.stages.given &&
                          chunks_.count(now.row.begin - 1) && chunks_.at(now.row.begin - 1).features.defined() &&
                          !chunks_.at(now.row.end - 1).features.defined();
    std::vector<at::Tensor> features;
    std::vector<std::vector<cache::FrameDistance>> distances;
    for (size_t i = 0; i < now.chunks.size(); i++) {
        features.push_back(passes_.features(now.input[i]));
        const at::Tensor& before = chunks_.at(now.chunks[i] - (by_place ? 1 : 0)).features;
        distances.push_back(before.defined() ? distance(features.back(), before,
                                                        policy_.wants_token_distances(int(now.chunks[i])),
                                                        settings_.bfloat16_distances)
                                             : std::vector<cache::FrameDistance>());
    }
    std::vector<cache::ChunkStep> steps;
    for (size_t i = 0; i < now.chunks.size(); i++) {
        const auto t = [&](int step) { return 1 - double(settings_.times.t[size_t(step)]); };
        steps.push_back({int(now.chunks[i]), now.steps[i], distances[i], t(now.steps[i]), t(now.steps[i] + 1)});
    }
    now.plans = policy_.decide(int(row_), 0, steps);
    for (size_t i = 0; i < now.chunks.size(); i++) chunks_.at(now.chunks[i]).features = features[i];
}

// ---------------------------------------------------------------------------------------------------- transformer

bool Sampler::wants_copy(const Now& now) const {
    // Compared in double: at three quarters of the way the time lies just above 0.3.
    if (!settings_.copy_above || guided()) return false;
    if (!(double(settings_.times.t[size_t(now.steps[0])]) > *settings_.copy_above)) return false;
    if (now.plans[0].action != Action::REUSED) return true;
    return settings_.faults.copy_into_first && now.steps[0] >= token_phase(settings_.cache);
}

// A pass over the chunks on their way. keep: keys and values of the finished chunk last.
void Sampler::run(Now& now, std::span<const at::Tensor> velocity, bool captioned, bool drop, bool keep,
                  const at::Tensor& copy, Cancel cancel) {
    const Stages& stages = settings_.stages;
    std::vector<Work> work;
    std::vector<int> scratch;
    std::map<int64_t, int> before; // pages that last and are put aside during this pass
    const auto for_now = [&](int64_t chunk) {
        scratch.push_back(keys_.take(KeyStore::Lasting::FORWARD));
        if (chunk >= 0) {
            if (pages_.count(chunk)) before[chunk] = pages_[chunk];
            pages_[chunk] = scratch.back();
        }
        return scratch.back();
    };
    const auto add = [&](int64_t chunk, const at::Tensor& x, float t) -> Work& {
        Work w;
        w.x = x.contiguous();
        w.t = t;
        w.step_size = step_size(now);
        w.drop = drop;
        w.position = int(chunk);
        work.push_back(w);
        return work.back();
    };
    if (settings_.passes_finished && stages.passes_finished(now.row)) {
        const int64_t c = now.row.begin - 1;
        Work& w = add(c, with_prefix(c, chunks_.at(c).x), settings_.clean_t);
        w.text = {captions_.none};
        w.page = keep ? page_of(c) : for_now(c);
        w.sees = pages(stages.finished_sees(c));
        if (keep) chunks_.at(c).count.extra++, count_.extra++;
    }
    for (size_t i = 0; i < now.chunks.size(); i++) {
        const int64_t c = now.chunks[i];
        const bool lasts = remembers();
        if (now.plans[i].action == Action::REUSED && lasts) continue;
        Work& w = add(c, now.input[i], settings_.times.t[size_t(now.steps[i])]);
        w.text = captioned ? chunks_.at(c).text : std::vector{captions_.none};
        w.page = lasts ? page_of(c) : for_now(c);
        Chunks seen = stages.sees(c, now.steps[i]);
        if (now.plans[i].action == Action::PARTIAL) {
            w.plan = &now.plans[i];
            if (settings_.faults.partial_sees_oldest) seen = stages.sees(now.chunks[0], now.steps[0]);
        }
        w.sees = pages(seen);
        w.velocity = velocity[i];
    }
    if (settings_.compression && !work.empty()) {
        work.back().queries = &queries_;
        if (!traced_)
            work.back().queries_most =
                asking_tokens(settings_.compression->how.queries, passes_.frame_tokens(), passes_.chunk_tokens());
    }
    if (copy.defined()) {
        Work& w = add(now.row.end, now.input[0], settings_.times.t[size_t(now.steps[0])]);
        w.text = chunks_.at(now.chunks[0]).text;
        w.page = for_now(-1);
        w.sees = {w.page};
        w.velocity = copy;
    }
    if (!work.empty()) passes_.forward(work, keys_, cancel);
    for (auto at = pages_.begin(); at != pages_.end();)
        at = std::find(scratch.begin(), scratch.end(), at->second) != scratch.end() ? pages_.erase(at) : std::next(at);
    for (const auto& [chunk, page] : before) pages_[chunk] = page;
    for (int page : scratch) keys_.give_back(page);
}

// Each chunk by itself, as the first of a video.
void Sampler::run_alone(const Now& now, std::span<const at::Tensor> velocity, Cancel cancel) {
    std::vector<Work> work;
    for (size_t i = 0; i < now.chunks.size(); i++) {
        Work w;
        w.x = now.input[i].contiguous();
        w.t = settings_.times.t[size_t(now.steps[i])];
        w.step_size = step_size(now);
        w.drop = true;
        w.text = {captions_.none};
        w.page = keys_.take(KeyStore::Lasting::FORWARD);
        w.sees = {w.page};
        w.velocity = velocity[i];
        work.push_back(w);
    }
    passes_.forward(work, keys_, cancel);
    for (const Work& w : work) keys_.give_back(w.page);
}

// As the published TeaCache does with a nearly clean oldest chunk: the velocity of the chunk before the newest is taken
// for the newest.
void Sampler::run_other(Now& now, Cancel cancel) {
    const size_t other = now.chunks.size() - 2;
    const int64_t c = now.chunks[other];
    Work w;
    w.x = now.input[other].contiguous();
    w.t = settings_.times.t[size_t(now.steps[other])];
    w.step_size = step_size(now);
    w.position = int(c);
    w.text = chunks_.at(c).text;
    w.page = keys_.take(KeyStore::Lasting::FORWARD);
    Chunks seen = settings_.stages.sees(c, now.steps[other]);
    w.sees = pages({seen.begin, c});
    w.sees.push_back(w.page);
    now.velocity.back() = at::zeros_like(now.input.back());
    w.velocity = now.velocity.back();
    passes_.forward({&w, 1}, keys_, cancel);
    keys_.give_back(w.page);
}

bool Sampler::computes_newest_alone(const Now& now) const {
    if (!is_tea(settings_.cache) || now.plans.size() < 2 || now.plans.back().action != Action::WHOLE)
        return false;
    return std::all_of(now.plans.begin(), now.plans.end() - 1,
                       [](const Plan& p) { return p.action == Action::REUSED; });
}

void Sampler::forward(Now& now, Cancel cancel) {
    const auto made = [&] {
        std::vector<at::Tensor> list;
        for (size_t i = 0; i < now.chunks.size(); i++)
            list.push_back(now.plans[i].action == Action::REUSED ? at::Tensor()
                                                                 : at::zeros_like(now.input[i]));
        return list;
    };
    if (guided()) {
        const std::vector<at::Tensor> captioned = made(), plain = made(), alone = made();
        run(now, captioned, true, false, false, {}, cancel);
        run(now, plain, false, true, true, {}, cancel);
        run_alone(now, alone, cancel);
        combine(now, captioned, plain, alone);
        return;
    }
    if (settings_.faults.newest_takes_other && computes_newest_alone(now) && settings_.copy_above &&
        double(settings_.times.t[size_t(now.steps[0])]) > *settings_.copy_above) {
        run_other(now, cancel);
        return;
    }
    now.velocity = made();
    if (wants_copy(now)) now.copy = at::zeros_like(now.input[0]);
    run(now, now.velocity, true, false, true, now.copy, cancel);
    if (now.copy.defined()) mix_copy(now);
}

void Sampler::combine(Now& now, std::span<const at::Tensor> captioned, std::span<const at::Tensor> plain,
                      std::span<const at::Tensor> alone) const {
    for (size_t i = 0; i < now.chunks.size(); i++) {
        const double t = double(settings_.times.t[size_t(now.steps[i])]);
        const Guide* guide = &settings_.guides.front();
        for (const Guide& g : settings_.guides)
            if (g.from - 1e-7 < t) guide = &g;
        const double p = guide->previous, c = guide->text * chunks_.at(now.chunks[i]).weight;
        now.velocity[i] = (1 - p) * alone[i] + (p - c) * plain[i] + c * captioned[i];
    }
}

void Sampler::mix_copy(Now& now) {
    size_t target = 0;
    if (settings_.faults.copy_into_first) {
        while (target < now.plans.size() && now.plans[target].action == Action::REUSED) target++;
        if (target == now.plans.size()) return; // nobody takes it
        now.plans[target] = {};                 // counts as computed as a whole
    }
    now.velocity[target] = now.velocity[target] * (1 - settings_.copy_share) + now.copy * settings_.copy_share;
}

// ---------------------------------------------------------------------------------------------------- integration

// [1, frames, h, w] bool.
at::Tensor Sampler::computed_mask(const Plan& plan) const {
    const at::Tensor& x = chunks_.begin()->second.x;
    const int64_t rows = x.size(2) / 2, columns = x.size(3) / 2;
    at::Tensor mask = at::zeros({chunk_frames_ * rows * columns}, at::kBool);
    for (int32_t token : plan.tokens) mask.mutable_data_ptr<bool>()[token] = true;
    return upload(mask, x.device())
        .view({1, chunk_frames_, rows, 1, columns, 1})
        .expand({1, chunk_frames_, rows, 2, columns, 2})
        .reshape({1, chunk_frames_, 2 * rows, 2 * columns});
}

void Sampler::integrate(Now& now) {
    const bool back = settings_.faults.others_go_back && computes_newest_alone(now);
    const bool solver = settings_.cache.reuse() == CacheReuse::SOLVER;
    for (size_t i = 0; i < now.chunks.size(); i++) {
        Chunk& chunk = chunks_.at(now.chunks[i]);
        const at::Tensor& x = now.input[i];
        const size_t step = size_t(now.steps[i]);
        const double dt = settings_.times.t[step + 1] - settings_.times.t[step];
        const Plan& plan = now.plans[i];
        const auto reused = [&] { return solver ? x + chunk.kept * dt : x + chunk.kept; };
        at::Tensor moved;
        if (plan.action == Action::WHOLE) {
            moved = x + now.velocity[i] * dt;
            if (remembers()) chunk.kept = solver ? now.velocity[i] : moved - x;
        } else if (plan.action == Action::PARTIAL) {
            const at::Tensor mask = computed_mask(plan);
            moved = at::where(mask, x + now.velocity[i] * dt, reused());
            chunk.kept = solver ? at::where(mask, now.velocity[i], chunk.kept) : moved - x;
        } else if (back) {
            moved = chunk.before_last;
            chunk.kept = moved - x;
        } else {
            moved = reused();
        }
        chunk.x = moved;
        if (settings_.faults.others_go_back && (now.row.row + 2) % settings_.stages.stage_steps() == 0)
            chunk.before_last = moved;
    }
}

// The last frame of the chunk before; undefined: there is none.
at::Tensor Sampler::frame_before(int64_t chunk) const {
    if (chunk == 0) return {};
    if (chunk == settings_.stages.given && !settings_.faults.given_is_noise)
        return prefix_.select(1, chunk * chunk_frames_ - 1);
    const auto at = chunks_.find(chunk - 1);
    return at != chunks_.end() ? at->second.x.select(1, chunk_frames_ - 1)
                               : noise_(chunk - 1).select(1, chunk_frames_ - 1);
}

void Sampler::measure_motion(const Now& now) {
    if (!remembers()) return;
    for (int64_t c : now.chunks) {
        if (!policy_.wants_motion(0, int(c))) continue;
        const at::Tensor& x = chunks_.at(c).x;
        const at::Tensor before = frame_before(c);
        const at::Tensor change = frame_change(x, before);
        policy_.motion(0, int(c), {change.const_data_ptr<float>(), size_t(change.numel())},
                       before.defined());
    }
}

// ---------------------------------------------------------------------------------------------------- bookkeeping

void Sampler::count(const Now& now) {
    const int64_t all = passes_.chunk_tokens();
    for (size_t i = 0; i < now.chunks.size(); i++) {
        const Plan& plan = now.plans[i];
        const int64_t computed = plan.action == Action::WHOLE     ? all
                                 : plan.action == Action::PARTIAL ? int64_t(plan.tokens.size())
                                                                  : 0;
        const int64_t branches = guided() ? 3 : 1;
        sampler::ChunkCount one;
        one.turns = branches;
        (computed == all ? one.whole : computed ? one.partial : one.reused) = branches;
        one.tokens_computed = computed * branches;
        one.tokens_reused = (all - computed) * branches;
        Chunk& chunk = chunks_.at(now.chunks[i]);
        chunk.count += one;
        count_ += one;
        if (one.partial == 0) continue;
        chunk.partial.resize(size_t(all));
        for (const int32_t token : plan.tokens) chunk.partial[size_t(token)] += int32_t(branches);
    }
}

// Of its turns so far.
sampler::TokenMap Sampler::map_of(int64_t index) const {
    const Chunk& chunk = chunks_.at(index);
    const int64_t rows = chunk.x.size(2) / 2, columns = chunk.x.size(3) / 2;
    sampler::TokenMap map{chunk_frames_, int(rows), int(columns), {}, {}};
    for (size_t t = 0; t < size_t(passes_.chunk_tokens()); t++)
        map.computed.push_back(sampler::TokenMap::share(
            chunk.count.whole + (chunk.partial.empty() ? 0 : chunk.partial[t]), chunk.count.turns));
    if (!remembers()) return map;
    const std::span<const float> weights = policy_.weights(0, int(index));
    map.motion.assign(weights.begin(), weights.end());
    return map;
}

void Sampler::report(const Now& now, const Observe& observe) const {
    if (!observe) return;
    const auto noise = [&](size_t step) { return 1 - double(settings_.times.t[step]); };
    for (size_t i = 0; i < now.chunks.size(); i++) {
        const size_t step = size_t(now.steps[i]);
        const int chunk = int(now.chunks[i]);
        observe({int(row_), 0, {ChunkTurn::Kind::STEP, chunk, now.steps[i], noise(step), noise(step + 1)},
                 now.velocity[i], remembers() ? policy_.weights(0, chunk) : std::span<const float>()});
    }
    if (now.copy.defined())
        observe({int(row_), 0,
                 {ChunkTurn::Kind::COPY, int(now.chunks[0]), now.steps[0], 0}, now.copy, {}});
}

// When a stage ends: what is kept of finished chunks, of those that are passed once more when they are not before that.
void Sampler::compress(const Now& now, Cancel cancel, const Trace& trace) {
    const Stages& stages = settings_.stages;
    if (now.row.index + 1 != stages.stage_steps()) return;
    if (stages.rows() && row_ + 1 == *stages.rows()) return; // nobody will look at what is kept
    // Pages of chunks on their way only change hands from here on.
    if (remembers() && stages.chunks && now.row.end >= *stages.chunks) return;
    std::vector<int> clean = compressed_;
    const bool finishes = now.steps[0] + 1 == stages.steps && !settings_.passes_finished;
    const int64_t end = now.row.begin + (finishes ? 1 : 0);
    for (const auto& [chunk, page] : pages_)
        if (chunk < end) clean.push_back(page);
    if (int(clean.size()) <= settings_.compression->kept) return;

    const KeyStore::Shape& shape = keys_.shape();
    std::vector<int> kept;
    for (int i = 0; i < settings_.compression->kept; i++) kept.push_back(keys_.take());
    const std::string event = "event" + std::to_string(compressions_++) + ".layer";
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        cancel.check();
        std::vector<at::Tensor> all;
        for (int page : clean) all.push_back(keys_.read(layer, page).narrow(2, 0, shape.head));
        const at::Tensor keys = at::cat(all), queries = queries_[layer];
        const Kept choice = select_keys(keys, queries, int64_t(kept.size()) * shape.tokens,
                                        passes_.frame_tokens(), passes_.chunk_tokens(), settings_.compression->how);
        const at::Tensor index = choice.index.t().contiguous(); // [groups, budget]
        for (int64_t group = 0; group < shape.groups; group++)
            for (size_t p = 0; p < kept.size(); p++) {
                const int64_t* from = index.const_data_ptr<int64_t>() + group * index.size(1) +
                                      int64_t(p) * shape.tokens;
                std::vector<KeyStore::Slot> slots;
                for (int64_t t = 0; t < shape.tokens; t++)
                    slots.push_back({clean[size_t(from[t] / shape.tokens)],
                                     int32_t(from[t] % shape.tokens)});
                keys_.keep(layer, group, slots, kept[p]);
            }
        if (!trace) continue;
        std::vector<at::Tensor> out;
        for (int page : kept) out.push_back(keys_.read(layer, page).narrow(2, 0, shape.head));
        const std::string name = event + std::to_string(layer);
        trace(name + ".indices", choice.index);
        trace(name + ".score", choice.score);
        trace(name + ".query", queries.clone()); // the next row writes over it
        trace(name + ".key_in", keys);
        trace(name + ".key_out", at::cat(out));
    }
    for (int page : clean) keys_.give_back(page);
    pages_.erase(pages_.begin(), pages_.lower_bound(end));
    compressed_ = kept;
}

void Sampler::end_row(const Now& now, Cancel cancel, const Trace& trace) {
    const Stages& stages = settings_.stages;
    const int64_t oldest = now.row.begin;
    if (now.steps[0] + 1 == stages.steps) {
        Chunk& chunk = chunks_.at(oldest);
        finished_.push_back({oldest, chunk.x, chunk.count, map_of(oldest)});
        if (remembers()) policy_.finished(int(oldest));
        chunk.kept = chunk.before_last = at::Tensor();
        chunk.partial.clear();
        chunks_.erase(chunks_.begin(), chunks_.find(oldest)); // of this one the next sees the last frame
    }
    if (settings_.compression) compress(now, cancel, trace);
    row_++;
    if (done() || settings_.compression || !settings_.forgets) return;
    const int64_t seen = stages.first_seen_from(stages.row(row_));
    while (!pages_.empty() && pages_.begin()->first < seen) {
        keys_.give_back(pages_.begin()->second);
        pages_.erase(pages_.begin());
    }
}

void Sampler::step(Cancel cancel, const Trace& trace, sampler::Timing& timing, const Observe& observe) {
    c10::InferenceMode guard;
    traced_ = bool(trace);
    auto start = clock::now();
    if (row_ == 0 && settings_.stages.given > 0) pass_given(cancel);
    Now now = begin_row();
    timing.transformer += since(start), start = clock::now();
    decide(now);
    timing.cache += since(start), start = clock::now();
    const std::vector<Plan> decided = now.plans;
    forward(now, cancel);
    timing.transformer += since(start), start = clock::now();
    integrate(now);
    timing.schedule += since(start), start = clock::now();
    measure_motion(now);
    now.plans = decided;
    count(now);
    if (trace) {
        std::vector<at::Tensor> latents;
        for (int64_t c : now.chunks) latents.push_back(chunks_.at(c).x);
        trace("steps.latents", at::cat(latents, 1));
    }
    report(now, observe);
    end_row(now, cancel, trace);
    timing.cache += since(start);
}

std::optional<Sampler::Finished> Sampler::take() {
    if (finished_.empty()) return {};
    Finished first = std::move(finished_.front());
    finished_.pop_front();
    return first;
}

} // namespace mc::magi1
