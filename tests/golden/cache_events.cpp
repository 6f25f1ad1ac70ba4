// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/cache_events.h"

#include <ATen/ATen.h>
#include <cmath>

#include "tests/golden/settings.h"

namespace mc::golden {

using cache::Decision;

void CacheEvents::decided(const Decision& d) {
    Kept kept{d,
              {d.weights.begin(), d.weights.end()},
              {d.token_distance.begin(), d.token_distance.end()},
              {d.accumulated_before.begin(), d.accumulated_before.end()},
              {d.accumulated_after.begin(), d.accumulated_after.end()},
              {d.due.begin(), d.due.end()},
              {d.voted.begin(), d.voted.end()},
              {d.computed.begin(), d.computed.end()}};
    decisions_[{d.row, d.branch, d.chunk}] = std::move(kept);
}

static double share(const std::vector<uint8_t>& mask) { // in float32, as the reference prints it
    return float(std::count(mask.begin(), mask.end(), 1)) / float(mask.size());
}

Json CacheEvents::event_of(int window, const sampler::Turn& t, int64_t tokens, const Kept* kept) const {
    const bool step = t.turn.kind == sampler::ChunkTurn::Kind::STEP;
    Json event = {{"window", window},      {"call", 2 * t.row + t.branch},
                  {"row", t.row},          {"branch", t.branch ? "uncond" : "cond"},
                  {"group", t.turn.chunk}, {"step", step ? t.turn.step : 0},
                  {"active", step}};
    int64_t updated = tokens;
    if (!step) {
        event["kind"] = "prefix";
    } else if (!kept) {
        event["kind"] = "full";
    } else {
        static const char* const names[] = {"warmup", "first_after_warmup", "full", "sparse",
                                            "reuse",  "suppressed"};
        const Decision& d = kept->decision;
        event["kind"] = names[int(d.kind)];
        if (!kept->computed.empty()) {
            updated = std::count(kept->computed.begin(), kept->computed.end(), 1);
            event["phase"] = d.weighted ? 2 : 1;
            event["distance"] = kept->distance.at(0); // the reference prints the first token's
            event["update_ratio_after_vote"] = share(kept->voted);
            event["suppressed_by_min_update_ratio"] = d.kind == Decision::Kind::SUPPRESSED;
        }
        event["phase1_counter_after"] = d.coarse_updates;
        event["phase2_after"] = d.fine;
    }
    event["updated_tokens"] = updated;
    event["tokens"] = tokens;
    return event;
}

Json CacheEvents::teacache_decision_of(const sampler::Turn& t, const Kept& kept) const {
    const Decision& d = kept.decision;
    const Json& settings = file_.settings().at("teacache");
    const int call = 2 * t.row + t.branch, period = setting<int>(settings, "counter_period").value_or(0);
    auto number = [](double x) { return std::isnan(x) ? Json() : Json(x); };
    return {{"call", call},
            {"step", t.row},
            {"branch", t.branch ? "uncond" : "cond"},
            {"counter", period ? call % period : call},
            {"forced", d.forced},
            {"relative_distance", number(d.distance)},
            {"accumulated", number(d.accumulated)},
            {"computed", d.kind == Decision::Kind::WHOLE}};
}

void CacheEvents::took(int window, const sampler::Turn& t) {
    const auto found = decisions_.find({t.row, t.branch, t.turn.chunk});
    const Kept* kept = found == decisions_.end() ? nullptr : &found->second;
    velocities_.push_back(t.velocity.clone());
    if (file_.settings().contains("teacache")) {
        if (kept) teacache_.push_back(teacache_decision_of(t, *kept));
        return;
    }
    const int64_t tokens = t.velocity.size(1) * t.velocity.size(2) / 2 * (t.velocity.size(3) / 2);
    const int64_t index = int64_t(events_.size());
    events_.push_back(event_of(window, t, tokens, kept));
    if (kept && !kept->computed.empty()) {
        auto put = [&](const char* name, at::Tensor value) { updates_[name].push_back(std::move(value)); };
        put("upd.event", at::scalar_tensor(index, at::kLong));
        put("upd.weights", at::tensor(kept->weights));
        put("upd.distance", at::tensor(kept->distance));
        put("upd.accumulated", at::tensor(kept->before));
        put("upd.accumulated_after", at::tensor(kept->after));
        put("upd.mask_threshold", at::tensor(kept->due));
        put("upd.mask_vote", at::tensor(kept->voted));
        put("upd.mask_updated", at::tensor(kept->computed));
    }
    if (!t.weights.empty()) {
        new_weights_["new_weights.event"].push_back(at::scalar_tensor(index, at::kLong));
        new_weights_["new_weights.values"].push_back(
            at::tensor(std::vector<float>(t.weights.begin(), t.weights.end())));
    }
    if (kept) decisions_.erase(found);
}

void CacheEvents::fill(Produced& produced) const {
    const bool teacache = file_.settings().contains("teacache");
    if (!velocities_.empty()) produced.tensors[teacache ? "v" : "ev.noise_pred"] = at::stack(velocities_);
    for (const auto* list : {&updates_, &new_weights_})
        for (const auto& [name, values] : *list) produced.tensors[name] = at::stack(values);
    if (teacache)
        produced.values["decisions"] = teacache_;
    else
        produced.values["events"] = events_;
}

} // namespace mc::golden
