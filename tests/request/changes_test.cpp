// SPDX-License-Identifier: LGPL-2.1-or-later
// Which change a chunk that starts is made with.
#include "engine/request/changes.h"

#include "tests/check.h"

using namespace mc;

static Change prompt(const char* text) {
    Change change;
    change.prompt = text;
    return change;
}

TEST(the_last_of_those_that_wait_counts_and_others_keep_what_it_leaves) {
    Changes changes;
    CHECK(!changes.due(0));
    Change scale;
    scale.guidance_scale = 3;
    CHECK_EQ(changes.add(prompt("a")), 1);
    CHECK_EQ(changes.add(scale), 2);
    CHECK_EQ(changes.add(prompt("b")), 3);
    const auto due = changes.due(12);
    CHECK(due && due->update == 3 && *due->change.prompt == "b" && *due->change.guidance_scale == 3);
    CHECK(!changes.due(24));
    changes.add(prompt("c")), changes.add(scale);
    const auto numbers = changes.due(36, false); // prompts wait
    CHECK(numbers && numbers->update == 5 && !numbers->change.prompt);
    CHECK_EQ(*changes.due(48)->change.prompt, "c");
}

TEST(queued_ones_take_their_time_and_do_not_drift) {
    Changes changes;
    changes.queue(prompt("a"), 30);
    changes.queue(prompt("b"), 30);
    changes.queue(prompt("c"), 0);
    std::string begun;
    // Chunks of 12 frames: 30 and 60 are rounded up to 36 and 60, each from when it was due.
    for (int64_t frame = 0; frame < 120; frame += 12)
        if (const auto due = changes.due(frame)) begun += *due->change.prompt + std::to_string(frame) + " ";
    CHECK_EQ(begun, "a0 b36 c60 ");
    // The queue has run empty: the next one need not wait.
    changes.queue(prompt("d"), 0);
    changes.queue(prompt("e"), 0);
    CHECK_EQ(*changes.due(120)->change.prompt, "d");
    CHECK_EQ(*changes.due(132)->change.prompt, "e");
}

TEST(one_that_is_late_is_passed_by_the_next) {
    Changes changes;
    changes.queue(prompt("a"), 5);
    changes.queue(prompt("b"), 5);
    changes.queue(prompt("c"), 5);
    CHECK_EQ(*changes.due(0)->change.prompt, "a");
    CHECK_EQ(*changes.due(12)->change.prompt, "c"); // b's time, 5 to 10, has no chunk
}

TEST(what_is_set_now_counts_until_the_queue_goes_on) {
    Changes changes;
    changes.queue(prompt("a"), 24);
    changes.queue(prompt("b"), 24);
    CHECK_EQ(*changes.due(0)->change.prompt, "a");
    changes.add(prompt("now"));
    CHECK_EQ(*changes.due(12)->change.prompt, "now");
    CHECK_EQ(*changes.due(24)->change.prompt, "b");
}

TEST(clearing_drops_the_queue_alone) {
    Changes changes;
    changes.queue(prompt("a"), 24);
    changes.add(prompt("now"));
    changes.clear();
    CHECK_EQ(*changes.due(0)->change.prompt, "now");
    CHECK(!changes.due(48));
}

TEST(the_queue_is_bounded) {
    Changes changes;
    for (size_t i = 0; i < Changes::MOST_QUEUED; i++) CHECK(changes.queue({}, 1) > 0);
    CHECK_EQ(changes.queue({}, 1), 0);
}

static Change cache(CacheKind kind) {
    Change change;
    change.cache.kind = kind;
    change.all_of_cache = true;
    return change;
}

static Change threshold(double value) {
    Change change;
    change.cache.threshold = value;
    return change;
}

TEST(the_cache_that_was_asked_for_last_counts) {
    Changes changes;
    changes.add(cache(CacheKind::TEACACHE));
    Change words = cache(CacheKind::FLOWCACHE);
    words.prompt = "a";
    changes.add(words);
    Change scale;
    scale.guidance_scale = 3;
    changes.add(scale);
    CHECK(changes.cache_asked(false).kind == CacheKind::FLOWCACHE);
    const auto due = changes.due(0);
    CHECK(due && due->cache && due->cache->kind == CacheKind::FLOWCACHE);
}

// Words wait for the chunks under way; a cache that was asked for after them does not, and is not undone by theirs.
TEST(prompts_that_wait_do_not_bring_back_an_older_cache) {
    for (const bool all : {false, true}) {
        Changes changes;
        Change words = all ? cache(CacheKind::FLOWCACHE) : threshold(0.1);
        words.prompt = "a";
        words.cache.warmup = 7;
        changes.add(words);
        changes.add(threshold(0.2));
        const auto first = changes.due(0, false);
        CHECK(first && !first->change.prompt && *first->cache->threshold == 0.2);
        CHECK_EQ(first->cache->kind == CacheKind::FLOWCACHE, all);
        const auto second = changes.due(12);
        CHECK(second && *second->change.prompt == "a" && *changes.cache_asked(false).threshold == 0.2);
        CHECK_EQ(*changes.cache_asked(false).warmup, 7);
        CHECK_EQ(second->cache.has_value(), !all);
    }
}

// What is queued and has not begun is not what the next change goes out from.
TEST(what_is_asked_of_the_cache_is_what_has_begun_or_begins_next) {
    Changes changes;
    changes.begin_with(cache(CacheKind::MOTIONCACHE).cache);
    changes.queue(cache(CacheKind::TEACACHE), 100);
    CHECK(changes.cache_asked(true).kind == CacheKind::TEACACHE);
    CHECK(changes.cache_asked(false).kind == CacheKind::MOTIONCACHE);
    changes.clear();
    CHECK(changes.cache_asked(true).kind == CacheKind::MOTIONCACHE);
    changes.add(cache(CacheKind::FLOWCACHE));
    CHECK(changes.cache_asked(false).kind == CacheKind::FLOWCACHE);
    changes.due(0);
    CHECK(changes.cache_asked(false).kind == CacheKind::FLOWCACHE);
}

TEST(a_queued_threshold_leaves_the_rest_as_it_is_when_it_begins) {
    Changes changes;
    Change begun = cache(CacheKind::MOTIONCACHE);
    begun.cache.warmup = 3;
    changes.begin_with(begun.cache);
    changes.queue({}, 24); // holds the next one back
    changes.queue(threshold(0.5), 0);
    CHECK(!changes.due(0)->cache);
    Change later = cache(CacheKind::TEACACHE);
    later.cache.warmup = 9;
    changes.add(later);
    changes.due(12);
    const auto due = changes.due(24);
    CHECK(due && due->cache && *due->cache->threshold == 0.5);
    CHECK(due->cache->kind == CacheKind::TEACACHE && *due->cache->warmup == 9);
}

TEST(a_queued_setting_that_has_become_impossible_is_left_out) {
    Changes changes;
    changes.begin_with(cache(CacheKind::MOTIONCACHE).cache, [](const CacheFields& asked) {
        return asked.kind != CacheKind::NONE || !asked.threshold;
    });
    Change queued = threshold(0.5);
    queued.prompt = "a";
    changes.queue({}, 24);
    changes.queue(queued, 0);
    changes.due(0);
    changes.add(cache(CacheKind::NONE));
    CHECK(changes.due(12)->cache->kind == CacheKind::NONE);
    const auto due = changes.due(24);
    CHECK(due && *due->change.prompt == "a" && !due->cache);
    CHECK(!changes.cache_asked(true).threshold);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
