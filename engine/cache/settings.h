// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The settings of the one policy that a session runs. The variant AnyPolicy has those of any policy, made from
// the values of `cache` in engine/request/fields.toml. Each policy has a header with its struct, read, check and make.
#include "engine/cache/policy_list.h"

namespace mc {
struct Field;
}

namespace mc::cache {

struct AnySettings {
    AnyPolicy policy;

    AnySettings() = default;
    template <class S>
        requires requires { S::KIND; }
    AnySettings(const S& settings) : policy(settings) {}

    CacheKind kind() const {
        return std::visit([](const auto& s) { return s.KIND; }, policy);
    }
    // Whether it decides about all chunks of a row at once, so that any attention will do.
    bool decides_rows() const {
        return std::visit([](const auto& s) { return requires { s.DECIDES_ROWS; }; }, policy);
    }
    // What samplers and networks read of any policy; where it lacks the setting, the value that changes nothing.
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
    CacheReuse reuse() const { return common().reuse; }
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
    bool by_place() const {
        return std::visit(
            [](const auto& s) {
                if constexpr (requires { s.by_place; })
                    return s.by_place;
                else
                    return false;
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
    // Where the policy has one.
    void set_polynomial(const Polynomial& polynomial) {
        std::visit(
            [&](auto& s) {
                if constexpr (requires { s.polynomial; }) s.polynomial = polynomial;
            },
            policy);
    }

    bool operator==(const AnySettings&) const = default;
};

// Throws MC_ERROR_SETTINGS for the first value of its policy that is out of its range.
void check(const AnySettings& settings);

// The defaults of the first policy of this kind.
AnySettings default_settings(CacheKind kind);
// `settings` with what a request says of them, checked. Throws MC_ERROR_SETTINGS.
AnySettings with_request(AnySettings settings, const CacheFields& request);
// Whether chunks of a video that was begun with a cache of these settings can be made with others from now on: what is
// kept of a chunk, and the memory for it, were laid out when it began. Throws MC_ERROR_SETTINGS.
void check_change(const AnySettings& begun, const AnySettings& next);
// The first setting that a request gives and that caches of this kind do not have; null: there is none.
const Field* foreign_setting(const CacheFields& request, CacheKind kind);
// Throws MC_ERROR_SETTINGS for it, with the caches that have it.
void refuse_foreign_setting(const CacheFields& request, CacheKind kind);

} // namespace mc::cache
