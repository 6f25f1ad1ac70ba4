// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of a live stream that know no GStreamer: timestamps, how long chunks take, and the cache's threshold.
#include <algorithm>
#include <utility>
#include <vector>

#include "gst/cache_pace.h"
#include "gst/chunk_times.h"
#include "gst/timeline.h"
#include "tests/check.h"

using namespace mc::gst;

// ---- timestamps ----

TEST(stamps_do_not_drift) {
    Timeline t;
    t.set_rate(30000, 1001);
    t.restart(123456789);
    for (uint64_t i = 0; i < 3000000; i++) t.take();
    CHECK(t.next() == 123456789 + 3000000 * 1001ull * 1000000000 / 30000);
}

TEST(a_restart_never_goes_back) {
    Timeline t;
    t.set_rate(10, 1);
    t.restart(1000);
    t.take();
    t.restart(500);
    const auto stamp = t.take();
    CHECK(stamp.pts == 100001000 && stamp.discont);
    CHECK(!t.peek().discont);
    t.restart(900000000);
    CHECK(t.peek().pts == 900000000);
}

TEST(stretched_frames_touch_each_other) {
    Timeline t;
    t.set_rate(100, 1);
    t.restart(0);
    uint64_t end = 0;
    for (int i = 0; i < 40; i++) {
        if (i % 10 == 5) t.stretch(uint64_t(i) * 1000000);
        const auto stamp = t.take();
        CHECK(stamp.pts == end);
        CHECK(stamp.duration >= 10000000);
        end = stamp.pts + stamp.duration;
    }
    t.stretch(0);
    CHECK(t.take().duration == 10000000);
}

TEST(another_rate_goes_on_from_where_it_is) {
    Timeline t;
    t.set_rate(10, 1);
    t.restart(0);
    t.take();
    t.set_rate(20, 1);
    CHECK(t.take().pts == 100000000);
    CHECK(t.take().pts == 150000000);
}

// ---- how long chunks take ----

TEST(the_first_chunk_is_not_measured) {
    ChunkTimes times;
    times.begin(0);
    times.end(9, 9);
    CHECK(!times.measured() && times.worst() == 0 && times.left(9) == 0);
    times.begin(10);
    times.end(12, 12);
    CHECK(times.worst() == 2 && times.usual() == 2 && times.frames() == 12);
    times.begin(20);
    CHECK_NEAR(times.left(20.5), 1.5, 1e-9);
    CHECK(times.left(30) == 0);
    times.end(24, 12);
    CHECK(times.worst() == 4 && times.usual() > 3 && times.usual() < 4);
    for (int i = 0; i < 20; i++) times.begin(100 + i), times.end(100.5 + i, 12);
    CHECK_NEAR(times.worst(), 0.5, 1e-9); // forgotten
}

// The first chunk of a window takes as long as the other three together.
TEST(chunks_of_a_window_are_looked_at_together) {
    ChunkTimes times;
    CHECK(times.mean(4) == 0);
    for (int i = 0; i < 40; i++) {
        times.begin(10 * i);
        times.end(10 * i + (i % 4 ? 0.2 : 1.8), 12);
        if (i >= 8) CHECK_NEAR(times.mean(4), (1.8 + 3 * 0.2) / 4, 1e-9);
    }
    for (int i = 0; i < 7; i++) times.begin(1000 + i), times.end(1000.5 + i, 12);
    CHECK_NEAR(times.mean(7), 0.5, 1e-9);
    CHECK_NEAR(times.mean(0), 0.5, 1e-9);
    CHECK(times.mean(100) > 0.5); // all that is known
}

// ---- the threshold ----

// A machine on which a chunk of one second takes `load` seconds at the lowest threshold, and less at a higher one.
struct Machine {
    double saving;     // of the work, at the highest threshold
    double noise = 0;  // of each chunk, up or down
    int levels = 0;    // the work jumps at so many thresholds; 0: it is continuous
    unsigned random = 1;
    double before = 0; // of the chunk that is in the making when the threshold changes

    double work(double place) const {
        if (levels) place = std::floor(place * levels) / levels;
        return 1 - saving * place;
    }
    double chunk(double load, double place) {
        random = random * 1664525 + 1013904223;
        const double shake = 1 + noise * (double(random >> 8) / (1 << 23) - 1);
        return load * work(std::exchange(before, place)) * shake;
    }
};

struct Run {
    CachePace pace{0.05, 0.4};
    std::vector<double> loads, places;
    double told = 0.05; // when the chunk began that is in the making
    int changes = 0, reversals = 0;
    double place() const { return std::log(pace.threshold() / 0.05) / std::log(8.); }
    void run(Machine& machine, double load, int chunks) {
        int last = 0;
        for (int i = 0; i < chunks; i++) {
            const double took = machine.chunk(load, place()), was = place();
            const double made_with = std::exchange(told, pace.threshold());
            loads.push_back(took);
            if (pace.chunk(took, 1, made_with)) {
                const int direction = place() > was ? 1 : -1;
                changes++;
                reversals += last && direction != last;
                last = direction;
            }
            places.push_back(place());
        }
    }
    void forget() { loads.clear(), places.clear(), changes = reversals = 0; }
};

TEST(nothing_changes_where_there_is_time) {
    Run r;
    Machine m{0.7, 0.1};
    r.run(m, 0.6, 200);
    CHECK(r.changes == 0 && r.pace.threshold() == 0.05);
}

TEST(a_load_that_comes_and_goes_is_followed_and_the_threshold_rests) {
    for (double saving : {0.5, 0.7, 0.85})
        for (double noise : {0., 0.1})
            for (double busy : {1.2, 1.7}) {
                Run r;
                Machine m{saving, noise};
                r.run(m, 0.8, 50);
                CHECK(r.changes == 0);
                r.forget();
                r.run(m, busy, 60);
                CHECK(r.reversals <= 1);
                r.forget();
                r.run(m, busy, 300); // settled
                double sum = 0;
                for (double load : r.loads) sum += load;
                CHECK(sum / 300 < 0.97);
                CHECK(sum / 300 > 0.6);
                CHECK(r.changes <= 2 && r.reversals == 0);
                r.forget();
                r.run(m, 0.6, 100); // the load goes
                CHECK_NEAR(r.place(), 0, 1e-9);
                CHECK(r.reversals == 0);
            }
}

TEST(what_the_cache_cannot_save_ends_at_the_limit) {
    Run r;
    Machine m{0.5, 0.05};
    r.run(m, 4, 100);
    CHECK_NEAR(r.pace.threshold(), 0.4, 1e-9);
    r.forget();
    r.run(m, 4, 100);
    CHECK(r.changes == 0);
}

// With three levels the load is 1.06, 0.69 or 0.32: none lies in the middle.
TEST(a_cache_that_jumps_is_tried_less_and_less_often) {
    Run r;
    Machine m{0.7, 0.02, 2};
    r.run(m, 1.06, 300);
    r.forget();
    r.run(m, 1.06, 1000);
    CHECK(r.changes <= 2 * 1000 / (64 * 3) + 4);
    const auto busy = std::count_if(r.loads.begin(), r.loads.end(), [](double load) { return load > 1; });
    CHECK(busy < 100);
}

TEST(a_threshold_without_room_stays) {
    CachePace pace(0.1, 0.1);
    for (int i = 0; i < 100; i++) CHECK(!pace.chunk(5, 1, 0.1));
    CHECK(pace.threshold() == 0.1);
    CHECK(pace.spent()); // and it is told
}

// Also with a limit: nothing is cached, and there is nothing to change.
TEST(without_a_threshold_nothing_is_judged) {
    CachePace pace(0, 0.5);
    for (int i = 0; i < 100; i++) CHECK(!pace.chunk(5, 1, 0));
    CHECK(pace.threshold() == 0 && !pace.spent());
}

// As with windows whose first chunk takes nearly all the time, and which follow a change with the next window only.
TEST(chunks_that_take_turns_are_judged_together) {
    for (const double load : {0.85, 1.3}) {
        CachePace pace(0.05, 0.4);
        double window = 0.05; // its threshold
        int changes = 0;
        double sum = 0;
        for (int i = 0; i < 400; i++) {
            if (i % 4 == 0) window = pace.threshold();
            const double place = std::log(window / 0.05) / std::log(8.);
            const double took = (i % 4 ? 0.1 : 3.7) * load * (1 - 0.7 * place);
            changes += pace.chunk(took, 1, window, 4);
            if (i >= 200) sum += took / 200;
        }
        CHECK(changes <= (load < 0.95 ? 0 : 4));
        CHECK(sum > 0.7 && sum < 0.95);
        CHECK_NEAR(pace.load(), sum, 0.1);
    }
}

TEST(other_limits_count_from_where_it_is) {
    CachePace pace(0.1, 0.4);
    while (pace.threshold() < 0.2) pace.chunk(1.2, 1, pace.threshold());
    const double share = std::log(pace.threshold() / 0.1) / std::log(4);
    pace.limit(0.2, 0.8);
    CHECK_NEAR(pace.threshold(), 0.2 * std::pow(4, share), 1e-12);
    CHECK(!pace.chunk(9, 1, 0.1)); // begun before
    CHECK_NEAR(pace.threshold(), 0.2 * std::pow(4, share), 1e-12);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
