// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/settings.h"

#include "engine/cache/policy.h"
#include "engine/error.h"
#include "engine/request/field.h"

namespace mc::cache {
namespace {

template <size_t I = 0>
AnySettings first_of(CacheKind kind) {
    if constexpr (I < std::variant_size_v<AnyPolicy>) {
        using S = std::variant_alternative_t<I, AnyPolicy>;
        return S::KIND == kind ? AnySettings(S{}) : first_of<I + 1>(kind);
    } else {
        throw Error(MC_ERROR_INTERNAL, "A cache of an unknown kind was asked for; please report this.");
    }
}

} // namespace

void check(const AnySettings& settings) {
    std::visit([](const auto& policy) { check(policy); }, settings.policy);
}

std::unique_ptr<Policy> make_policy(const AnySettings& settings) {
    check(settings);
    return std::visit([](const auto& policy) { return make(policy); }, settings.policy);
}

AnySettings default_settings(CacheKind kind) {
    return first_of(kind);
}

AnySettings with_request(AnySettings settings, const CacheFields& request) {
    std::visit([&](auto& policy) { read(request, policy); }, settings.policy);
    check(settings);
    return settings;
}

void check_change(const AnySettings& begun, const AnySettings& next) {
    const auto refuse = [](const std::string& message) { throw Error(MC_ERROR_SETTINGS, message); };
    if (next.kind() == CacheKind::NONE) return;
    const std::string cache = std::string("cache=") + name_of(next.kind());
    if (begun.kind() == CacheKind::NONE)
        refuse(cache +
               " would come into a video in which nothing is cached, and for which no memory was laid out: "
               "choose a cache when the video begins.");
    const std::string was = name_of(begun.reuse()), is = name_of(next.reuse());
    if (is != was)
        refuse("cache-reuse would be " + is + " with " + cache + ", and memory was laid out for " + was +
               " when the video began: set cache-reuse=" + was + ", or stop and start the video.");
    if (next.embedding() != begun.embedding())
        refuse(
            cache +
            " measures other distances than the cache that the video was begun with: stop and start the video to use it.");
}

const Field* foreign_setting(const CacheFields& request, CacheKind kind) {
    Fields values;
    values.cache = request;
    for (const Field& field : fields())
        if (!(field.caches & bit(kind)) && is_set(field, values)) return &field;
    return nullptr;
}

void refuse_foreign_setting(const CacheFields& request, CacheKind kind) {
    const Field* field = foreign_setting(request, kind);
    if (!field) return;
    std::string owners;
    for (size_t i = 0; i < std::size(CACHE_KINDS); i++)
        if (field->caches & bit(CACHE_KINDS[i]))
            owners += (owners.empty() ? "cache=" : " or cache=") + std::string(name_of(CACHE_KINDS[i]));
    throw Error(MC_ERROR_SETTINGS, std::string(field->name) + " belongs to " + owners + ", not to cache=" +
                                       name_of(kind) + ": drop it.");
}

} // namespace mc::cache
