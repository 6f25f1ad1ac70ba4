// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The settings of the one policy that a session runs. `policy` is the list of them all: each has a header with a struct of
// its own, its check() and its make().
#include <variant>

#include "engine/cache/flowcache.h"
#include "engine/cache/motioncache.h"
#include "engine/cache/teacache.h"

namespace mc::cache {

struct NoCache {
    static constexpr Kind KIND = Kind::NONE;
    bool operator==(const NoCache&) const = default;
};
void check(const NoCache& settings);
std::unique_ptr<Policy> make(const NoCache& settings);

struct Settings {
    std::variant<NoCache, TeaCacheSettings, FlowCacheSettings, MotionCacheSettings> policy;

    Settings() = default;
    Settings(const TeaCacheSettings& settings) : policy(settings) {}
    Settings(const FlowCacheSettings& settings) : policy(settings) {}
    Settings(const MotionCacheSettings& settings) : policy(settings) {}

    Kind kind() const {
        return std::visit([](const auto& s) { return s.KIND; }, policy);
    }
    // What others than the policy ask for; for a policy that lacks the setting, the value that means the same.
    CommonSettings common() const {
        return std::visit(
            [](const auto& s) {
                if constexpr (requires { s.threshold; })
                    return CommonSettings(s);
                else
                    return CommonSettings{};
            },
            policy);
    }
    Reuse reuse() const { return common().reuse; }
    Embedding embedding() const {
        return std::visit(
            [](const auto& s) {
                if constexpr (requires { s.embedding; })
                    return s.embedding;
                else
                    return Embedding::E0;
            },
            policy);
    }
    int first_frames() const {
        return std::visit(
            [](const auto& s) {
                if constexpr (requires { s.first_frames; })
                    return s.first_frames;
                else
                    return 1;
            },
            policy);
    }

    bool operator==(const Settings&) const = default;
};

// Throws MC_ERROR_SETTINGS for the first value of its policy that is out of its range.
void check(const Settings& settings);

} // namespace mc::cache
