// SPDX-License-Identifier: LGPL-2.1-or-later
// Decisions that were recorded of MAGI-1's caches, taken again without a model from the recorded distances and
// weights.
#include <cstdlib>

#include "tests/check.h"
#include "tests/cache/driver.h"
#include "tests/golden/case_file.h"

using namespace mc::test;
using mc::golden::CaseFile;

namespace {

template <class T>
std::vector<T> values(const CaseFile& file, const std::string& name) {
    const auto& view = file.expected.tensors.at(name);
    size_t count = 1;
    for (int64_t n : view.shape) count *= size_t(n);
    std::vector<T> all(count);
    view.read(all.data());
    return all;
}

AnySettings settings_of(const CaseFile& file) {
    if (file.settings().contains("flowcache")) {
        const auto& s = file.settings()["flowcache"];
        FlowCacheSettings flow;
        flow.threshold = s.at("rel_l1_thresh");
        flow.forced_first = s.at("warmup_steps");
        flow.forced_last = 0;
        flow.whole_ends = true;
        return flow;
    }
    const auto& s = file.settings().at("motioncache");
    MotionCacheByStepsSettings m;
    m.threshold = s.at("rel_l1_thresh");
    m.token_threshold = s.at("token_rel_l1_thresh");
    m.warmup = s.at("warmup_steps");
    m.coarse_steps = s.at("chunk_wise_only_steps");
    m.weight_floor = s.at("temporal_weight_floor");
    m.stale_in_last_row = file.json.at("variant") == "reference";
    return m;
}

// The number of decisions of each kind: all, some, none.
std::vector<int> replay(const char* name) {
    const char* root = std::getenv("MC_SOURCE_ROOT");
    const CaseFile file =
        CaseFile::open(std::string(root ? root : ".") + "/tests/golden/data/magi1/dit_45b_distill", name);
    const auto& steps = file.tables.at("decisions.json").at("steps");
    const size_t rows = steps.size(), chunks = file.settings().at("chunk_num"), frames = 6, tokens = 36;
    const auto action = values<int64_t>(file, "action");
    const bool by_token = file.expected.has("reuse_mask");
    const auto mask = by_token ? values<uint8_t>(file, "reuse_mask") : std::vector<uint8_t>();
    const auto weights = by_token ? values<float>(file, "temporal_weights") : std::vector<float>();
    const auto policy = make_policy(settings_of(file));
    policy->begin_window({int(chunks), int(frames), int(tokens / frames), 1,
                          file.json.at("config").at("runtime_config").at("num_steps"), int(rows)});
    std::vector<int> count(3);
    for (size_t row = 0; row < rows; row++) {
        std::vector<ChunkStep> now;
        std::vector<std::vector<FrameDistance>> distances;
        // Two forms: a list of chunks, or objects by the number of a chunk.
        // Where nothing was measured any distance will do.
        std::vector<std::pair<int, int>> active; // chunk, step
        if (steps[row].contains("chunks"))
            for (const auto& chunk : steps[row]["chunks"]) {
                active.emplace_back(chunk.at("chunk"), chunk.at("count"));
                distances.push_back({{chunk.value("rel_l1", 0.5), 1}});
            }
        else
            for (const auto& [chunk, step] : steps[row].at("count").items()) {
                active.emplace_back(std::stoi(chunk), step.template get<int>());
                distances.push_back({{steps[row].at("rel_l1").value(chunk, 0.5), 1}});
            }
        for (const auto& [chunk, step] : active) {
            now.push_back({chunk, step, step ? std::span<const FrameDistance>(distances[now.size()])
                                                         : std::span<const FrameDistance>()});
        }
        const std::vector<Plan> plans = policy->decide(int(row), 0, now);
        for (size_t i = 0; i < now.size(); i++) {
            const size_t at = row * chunks + size_t(now[i].chunk);
            const int64_t wanted = action[at];
            CHECK_EQ(int64_t(plans[i].action == Action::WHOLE     ? 0
                             : plans[i].action == Action::PARTIAL ? 1
                                                                  : 2),
                     wanted);
            count[size_t(wanted)]++;
            if (wanted == 1) {
                std::vector<int32_t> computed;
                for (size_t t = 0; t < tokens; t++)
                    if (!mask[at * tokens + t]) computed.push_back(int32_t(t));
                CHECK(plans[i].tokens == computed);
            }
            if (!policy->wants_motion(0, now[i].chunk)) continue;
            const auto from = weights.begin() + ptrdiff_t((row * chunks + size_t(now[i].chunk)) * tokens);
            policy->motion(0, now[i].chunk, std::vector<float>(from, from + ptrdiff_t(tokens)), now[i].chunk > 0);
        }
    }
    return count;
}

} // namespace

TEST(replay_motioncache_by_steps) {
    for (const char* name : {"mc_token_reference", "mc_token_blend_corrected_blend", "mc_token_v2v8_corrected"}) {
        const std::vector<int> count = replay(name);
        CHECK(count[0] > 5 && count[1] > 5 && count[2] > 5);
    }
}

TEST(replay_flowcache_of_magi1) {
    const std::vector<int> count = replay("flowcache_chunkwise");
    CHECK(count[0] > 5 && count[1] == 0 && count[2] > 5);
}
