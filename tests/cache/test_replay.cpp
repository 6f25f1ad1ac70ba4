// SPDX-License-Identifier: LGPL-2.1-or-later
// Replays what the reference did: its distances and weights go in, its decisions must come out, mask by mask.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/cache/coarse_schedule.h"
#include "tests/cache/driver.h"
#include "tests/check.h"
#include "tests/golden/cache_settings.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::test;
using golden::CaseFile;
using golden::Json;

namespace {

CaseFile open(const std::string& name) {
    return CaseFile::open(source_path("tests/golden/data"), name);
}

// Entry `index` of a tensor [entries, ...].
template <class T>
std::vector<T> entry(const CaseFile& file, const std::string& name, size_t index) {
    const model::TensorView& view = file.expected.tensors.at(name);
    const size_t bytes = view.bytes / size_t(view.shape[0]);
    std::vector<T> values(bytes / sizeof(T));
    view.read(index * bytes, values.data(), bytes);
    return values;
}

// Which entry belongs to an event; empty where none does.
std::map<int64_t, size_t> entries(const CaseFile& file, const std::string& name) {
    std::map<int64_t, size_t> found;
    if (!file.expected.has(name)) return found;
    const size_t count = size_t(file.expected.tensors.at(name).shape[0]);
    for (size_t i = 0; i < count; i++) found[entry<int64_t>(file, name, i)[0]] = i;
    return found;
}

void check_near(const std::vector<float>& values, const std::vector<float>& expected, double tolerance) {
    CHECK_EQ(values.size(), expected.size());
    double worst = 0;
    for (size_t i = 0; i < std::min(values.size(), expected.size()); i++)
        worst = std::max(worst, std::fabs(double(values[i]) - expected[i]));
    CHECK_NEAR(worst, 0, tolerance);
}

constexpr const char* kind_names[] = {"warmup", "first_after_warmup", "full", "sparse",
                                      "reuse",  "suppressed"};

// A number that must not matter, where the case has none.
constexpr double unused = 0.7;

class Replay {
  public:
    explicit Replay(const std::string& name)
        : file_(open(name)), settings_(golden::cache_settings_of(file_.settings())),
          updates_(entries(file_, "upd.event")), renewed_(entries(file_, "new_weights.event")) {
        if (auto* motioncache = std::get_if<MotionCacheSettings>(&settings_.policy))
            motioncache->polynomial = {}; // the distances of the events are rescaled already
        policy_ = make_policy(settings_);
        policy_->observe([this](const Decision& d) { decisions_.push_back(recorded(d)); });
    }

    void run() {
        const Json& events = file_.json.at("events");
        for (size_t first = 0; first < events.size();) {
            size_t end = first;
            while (end < events.size() && at(end, "window") == at(first, "window") &&
                   at(end, "call") == at(first, "call"))
                ++end;
            if (first == 0 || at(first, "window") != at(first - 1, "window")) policy_->begin_window(shape());
            forward(first, end);
            first = end;
        }
        CHECK_EQ(updates_seen_, updates_.size());
        CHECK_EQ(renewals_seen_, renewed_.size());
    }

  private:
    int at(size_t event, const char* field) const { return file_.json["events"][event].at(field); }

    WindowShape shape() const {
        const Json& s = file_.settings();
        int rows = 0, tokens = 0;
        for (const Json& event : file_.json["events"]) {
            rows = std::max(rows, event.at("row").get<int>() + 1);
            tokens = event.at("tokens");
        }
        const int frames = s.at("group_size");
        return {s.at("num_groups"), frames, tokens / frames, 2, s.value("num_inference_steps", rows), rows};
    }

    std::vector<FrameDistance> distances(size_t event) const {
        const int frames = file_.settings().at("group_size");
        const auto update = updates_.find(int64_t(event));
        if (at(event, "step") == 0) return {};
        if (update == updates_.end()) return moved(unused, frames);
        if (!file_.expected.has("upd.distance"))
            return moved(file_.json["events"][event].at("distance").get<double>(), frames);
        const std::vector<float> tokens = entry<float>(file_, "upd.distance", update->second);
        std::vector<FrameDistance> each;
        for (int f = 0; f < frames; f++)
            each.push_back({tokens[size_t(f) * tokens.size() / size_t(frames)], 1});
        return each;
    }

    // One row of one branch: events first to end.
    void forward(size_t first, size_t end) {
        const Json& events = file_.json["events"];
        const int branch = events[first].at("branch") == "cond" ? 0 : 1;
        std::vector<size_t> active;
        for (size_t i = first; i < end; i++)
            if (events[i].at("active").get<bool>()) active.push_back(i);
        if (active.empty()) return;
        std::vector<std::vector<FrameDistance>> kept;
        for (size_t event : active) kept.push_back(distances(event));
        std::vector<ChunkStep> chunks;
        for (size_t i = 0; i < active.size(); i++)
            chunks.push_back({at(active[i], "group"), at(active[i], "step"), kept[i]});
        decisions_.clear();
        const std::vector<Plan> plans = policy_->decide(at(first, "row"), branch, chunks);
        CHECK_EQ(plans.size(), chunks.size());
        CHECK_EQ(decisions_.size(), chunks.size());
        for (size_t i = 0; i < active.size(); i++) {
            check_event(active[i], decisions_[i]);
            check_plan(active[i], plans[i]);
            renew_weights(active[i], branch);
        }
    }

    void check_event(size_t event, const Recorded& d) {
        const Json& e = file_.json["events"][event];
        CHECK_EQ(kind_names[int(d.kind)], e.at("kind").get<std::string>());
        CHECK_EQ(d.chunk, e.at("group").get<int>());
        CHECK_EQ(d.step, e.at("step").get<int>());
        CHECK_EQ(d.branch, e.at("call").get<int>() % 2);
        if (e.contains("phase1_counter_after")) {
            CHECK_EQ(d.coarse_updates, e["phase1_counter_after"].get<int>());
            CHECK_EQ(d.fine, e.at("phase2_after").get<bool>());
        }
        CHECK_EQ(e.contains("distance"), !std::isnan(d.distance));
        const auto update = updates_.find(int64_t(event));
        CHECK_EQ(update != updates_.end(), !d.due.empty());
        if (update == updates_.end()) return;
        ++updates_seen_;
        CHECK_EQ(d.weighted, e.at("phase").get<int>() == 2);
        // With a distance a token the events show that of the first one, not the mean.
        CHECK_NEAR(d.token_distance.front(), e["distance"].get<double>(), 1e-6);
        const double wanted = double(std::count(d.voted.begin(), d.voted.end(), 1)) / double(d.voted.size());
        CHECK_NEAR(wanted, e.at("update_ratio_after_vote").get<double>(), 1e-7);
        CHECK_EQ(d.kind == Decision::Kind::SUPPRESSED, e.at("suppressed_by_min_update_ratio").get<bool>());
        const size_t u = update->second;
        check_near(d.weights, entry<float>(file_, "upd.weights", u), 2e-6);
        check_near(d.before, entry<float>(file_, "upd.accumulated", u), 1e-6);
        check_near(d.after, entry<float>(file_, "upd.accumulated_after", u), 1e-6);
        CHECK(d.due == entry<uint8_t>(file_, "upd.mask_threshold", u));
        CHECK(d.voted == entry<uint8_t>(file_, "upd.mask_vote", u));
        CHECK(d.computed == entry<uint8_t>(file_, "upd.mask_updated", u));
    }

    void check_plan(size_t event, const Plan& plan) {
        const int updated = at(event, "updated_tokens"), tokens = at(event, "tokens");
        CHECK_EQ(plan.action == Action::WHOLE, updated == tokens);
        CHECK_EQ(plan.action == Action::REUSED, updated == 0);
        CHECK_EQ(int(plan.tokens.size()), plan.action == Action::PARTIAL ? updated : 0);
    }

    // Changes that give the weights of the case.
    void renew_weights(size_t event, int branch) {
        const int chunk = at(event, "group");
        const auto renewed = renewed_.find(int64_t(event));
        CHECK_EQ(policy_->wants_motion(branch, chunk), renewed != renewed_.end());
        if (renewed == renewed_.end()) return;
        ++renewals_seen_;
        const std::vector<float> wanted = entry<float>(file_, "new_weights.values", renewed->second);
        std::vector<float> change = wanted;
        const auto& settings = std::get<MotionCacheSettings>(settings_.policy);
        if (settings.weights == CacheWeights::MAX_RESCALE)
            for (float& c : change) c = float((c - settings.weight_floor) / (1 - settings.weight_floor));
        policy_->motion(branch, chunk, change, true);
        const auto made = policy_->weights(branch, chunk);
        check_near({made.begin(), made.end()}, wanted, 2e-6);
    }

    CaseFile file_;
    AnySettings settings_;
    std::map<int64_t, size_t> updates_, renewed_; // event to entry
    std::unique_ptr<Policy> policy_;
    std::vector<Recorded> decisions_;
    size_t updates_seen_ = 0, renewals_seen_ = 0;
};

constexpr const char* motioncache_cases[] = {
    "mc_direct_frame_times_plain", "mc_direct_frame_times_vote", "mc_global_max_vote", "mc_global_published",
    "mc_global_rescale_plain",     "mc_overlap_two_groups",      "mc_phase2_at_once",  "mc_real_polynomial",
    "mc_token_mean_plain",         "mc_token_mean_vote_ratio",   "mc_two_windows",
};

} // namespace

TEST(replay_motioncache) {
    for (const char* name : motioncache_cases) {
        const int before = failures();
        Replay(name).run();
        if (failures() != before) std::fprintf(stderr, "  in %s\n", name);
    }
}

TEST(replay_without_a_cache) {
    for (const char* name : {"mc_kv_window", "mc_kv_overlap"}) Replay(name).run();
}

TEST(replay_teacache) {
    for (const char* name : {"teacache_sync_reference", "teacache_sync_ret"}) {
        const CaseFile file = open(name);
        const Json& s = file.settings();
        const auto policy = make_policy(golden::cache_settings_of(s));
        std::vector<Recorded> decisions;
        policy->observe([&](const Decision& d) { decisions.push_back(recorded(d)); });
        const int rows = s.at("rows");
        policy->begin_window({1, 4, 6, 2, rows, rows});
        for (const Json& expected : file.json.at("decisions")) {
            const int call = expected.at("call"), row = expected.at("step");
            CHECK_EQ(call % 2, expected.at("branch") == "cond" ? 0 : 1);
            const Json& relative = expected.at("relative_distance");
            const auto frames = moved(relative.is_null() ? unused : relative.get<double>(), row ? 4 : 0);
            const ChunkStep chunk{0, row, frames};
            const Plan plan = policy->decide(row, call % 2, {&chunk, 1}).front();
            CHECK_EQ(plan.action == Action::WHOLE, expected.at("computed").get<bool>());
            CHECK_EQ(decisions.back().forced, expected.at("forced").get<bool>());
            CHECK_EQ(std::isnan(decisions.back().accumulated), expected.at("accumulated").is_null());
            if (relative.is_null()) continue;
            CHECK_NEAR(decisions.back().distance, relative.get<double>(), 1e-12);
            CHECK_NEAR(decisions.back().accumulated, expected["accumulated"].get<double>(), 1e-6);
        }
        CHECK_EQ(decisions.size(), size_t(2 * rows));
    }
}

// Two cases of one schedule: one shows the relative distances, the other what the published polynomial makes
// of them.
TEST(replay_rescaled_distances) {
    const CaseFile raw = open("mc_global_published"), rescaled = open("mc_real_polynomial");
    std::map<int, double> distance; // by step
    for (const Json& event : raw.json.at("events"))
        if (event.contains("distance")) distance[event.at("step")] = event["distance"];
    const CommonSettings settings = golden::cache_settings_of(rescaled.settings()).common();
    int compared = 0;
    for (const Json& event : rescaled.json.at("events")) {
        if (!event.contains("distance")) continue;
        const double expected = event["distance"];
        CHECK_NEAR(settings.polynomial(distance.at(event.at("step"))), expected,
                   1e-4 + 1e-3 * std::fabs(expected));
        ++compared;
    }
    CHECK(compared > 40);
}

// What is known before the first step is what then happens, up to the step that ends the coarse phase.
TEST(replay_coarse_schedules) {
    for (const char* name : motioncache_cases) {
        const CaseFile file = open(name);
        if (file.settings().at("token_cache").at("distance_mode") != "global") continue;
        auto settings = std::get<MotionCacheSettings>(golden::cache_settings_of(file.settings()).policy);
        settings.polynomial = {};
        const int frames = file.settings().at("group_size");
        std::vector<ScheduledStep> steps(file.settings().at("num_inference_steps").get<size_t>());
        std::vector<Action> computed;
        bool ended = false;
        for (const Json& event : file.json.at("events")) {
            if (event.at("branch") != "cond" || event.at("group") != 0 || event.at("window") != 0) continue;
            const size_t step = event.at("step");
            if (step) steps[step].distance = moved(event.value("distance", unused), frames);
            if (!ended) computed.push_back(event.at("updated_tokens") == 0 ? Action::REUSED : Action::WHOLE);
            ended |= event.at("phase2_after").get<bool>();
        }
        CHECK(coarse_schedule(settings, steps, true).actions == computed);
        CHECK(ended);
    }
}
