// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/request/changes.h"

#include "engine/request/field.h"

namespace mc {
namespace {

// Does `each` with every field of the cache that is set in `values`.
template <typename F>
void for_each_set(const CacheFields& values, const F& each) {
    Fields all;
    all.cache = values;
    for (const Field& field : fields())
        if (field.part == Part::CACHE && is_set(field, all)) each(field, all);
}

void unset_those_of(const CacheFields& now, CacheFields& values) {
    Fields left;
    left.cache = values;
    for_each_set(now, [&](const Field& field, const Fields&) { unset(field, left); });
    values = left.cache;
}

} // namespace

void set_from(const CacheFields& now, CacheFields& values) {
    Fields to;
    to.cache = values;
    for_each_set(now, [&](const Field& field, const Fields& from) { copy_field(field, from, to); });
    values = to.cache;
}

CacheFields Change::cache_after(const CacheFields& before) const {
    CacheFields after = all_of_cache ? CacheFields{} : before;
    set_from(cache, after);
    return after;
}

void Change::merge(const Change& later) {
    const auto take = [](auto& mine, const auto& theirs) {
        if (theirs) mine = theirs;
    };
    take(prompt, later.prompt), take(negative_prompt, later.negative_prompt);
    take(guidance_scale, later.guidance_scale), take(prompt_transition, later.prompt_transition);
    cache = later.cache_after(cache);
    all_of_cache = all_of_cache || later.all_of_cache;
}

void Changes::begin_with(const CacheFields& cache, std::function<bool(const CacheFields&)> possible) {
    cache_ = cache;
    possible_ = std::move(possible);
}

int64_t Changes::add(const Change& change) {
    std::lock_guard lock(mutex_);
    Change asked = change;
    // It may begin before prompts that were asked for earlier: what it sets of the cache is not theirs any more.
    if (prompts_ && !change.has_prompts() && change.has_cache()) {
        Change& earlier = prompts_->change;
        if (earlier.all_of_cache) {
            asked.cache = change.cache_after(earlier.cache);
            asked.all_of_cache = true;
        }
        if (asked.all_of_cache)
            earlier.cache = {}, earlier.all_of_cache = false;
        else
            unset_those_of(change.cache, earlier.cache);
    }
    std::optional<Asked>& next = change.has_prompts() ? prompts_ : others_;
    if (!next) next.emplace();
    next->change.merge(asked);
    if (change.has_cache()) next->cache_update = last_ + 1;
    return next->update = ++last_;
}

int64_t Changes::queue(const Change& change, int64_t frames) {
    std::lock_guard lock(mutex_);
    if (queue_.size() >= MOST_QUEUED) return 0;
    ++last_;
    queue_.push_back({{last_, last_, change}, frames});
    return last_;
}

void Changes::clear() {
    std::lock_guard lock(mutex_);
    queue_.clear();
    next_queued_.reset();
}

std::array<const std::optional<Changes::Asked>*, 2> Changes::added(int64_t Asked::*number) const {
    const bool prompts_last = prompts_ && (!others_ || (*prompts_).*number > (*others_).*number);
    return prompts_last ? std::array{&others_, &prompts_} : std::array{&prompts_, &others_};
}

CacheFields Changes::cache_asked(bool queued) const {
    std::lock_guard lock(mutex_);
    CacheFields asked = cache_;
    for (const auto* next : added(&Asked::cache_update))
        if (*next) asked = (*next)->change.cache_after(asked);
    if (queued)
        for (const Queued& next : queue_) asked = next.asked.change.cache_after(asked);
    return asked;
}

bool Changes::prompts_due(int64_t frame) const {
    std::lock_guard lock(mutex_);
    return prompts_ || (!queue_.empty() && next_queued_.value_or(frame) <= frame);
}

void Changes::begin(const Asked& asked, std::optional<Due>& now) {
    if (!now) now.emplace();
    now->update = asked.update;
    now->change.merge(asked.change);
}

void Changes::begin_cache(const Asked& asked, std::optional<Due>& now) {
    if (!asked.change.has_cache()) return;
    const CacheFields after = asked.change.cache_after(cache_);
    if (possible_ && !possible_(after)) return;
    now->cache = cache_ = after;
}

std::optional<Changes::Due> Changes::due(int64_t frame, bool prompts) {
    std::lock_guard lock(mutex_);
    std::optional<Due> now;
    while (prompts && !queue_.empty() && next_queued_.value_or(frame) <= frame) {
        const Queued first = queue_.front();
        queue_.pop_front();
        begin(first.asked, now);
        begin_cache(first.asked, now);
        // Counted from when it should have begun: what is rounded up to whole chunks does not add up.
        next_queued_ = first.frames ? next_queued_.value_or(frame) + first.frames : frame + 1;
    }
    if (prompts && queue_.empty() && next_queued_ && *next_queued_ <= frame) next_queued_.reset();
    const auto each_due = [&](int64_t Asked::*number, auto call) {
        for (const auto* next : added(number))
            if (*next && (prompts || next != &prompts_)) (this->*call)(**next, now);
    };
    each_due(&Asked::update, &Changes::begin);
    each_due(&Asked::cache_update, &Changes::begin_cache);
    if (prompts) prompts_.reset();
    others_.reset();
    return now;
}

} // namespace mc
