// SPDX-License-Identifier: LGPL-2.1-or-later
// Every piece once, by any thread that is free; nobody waits for a thread that has not begun.
#include "engine/thread_pool.h"

#include <sched.h>

#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/check.h"

using mc::ThreadPool;

template <typename F>
static void run(ThreadPool& pool, int64_t pieces, F body) {
    pool.run(
        pieces, [](void* user, int64_t piece) { (*static_cast<F*>(user))(piece); }, &body);
}

TEST(each_piece_is_done_once) {
    for (const int threads : {1, 2, 5}) {
        ThreadPool pool(threads);
        CHECK(pool.threads() == threads);
        for (int round = 0; round < 3000; round++) {
            const int pieces = round % 23;
            std::vector<std::atomic<int>> done(pieces);
            run(pool, pieces, [&](int64_t piece) { done[size_t(piece)]++; });
            for (const auto& d : done) CHECK(d == 1);
        }
    }
}

TEST(several_threads_take_part) {
    ThreadPool pool(2);
    // Each piece waits for the other one.
    std::atomic<int> there{0};
    run(pool, 2, [&](int64_t) {
        there++;
        while (there < 2) std::this_thread::yield();
    });
    CHECK(there == 2);
}

TEST(a_body_sees_what_was_written_before_and_is_seen_after) {
    ThreadPool pool(3);
    std::vector<int64_t> values(64); // plain memory: what ThreadSanitizer looks at
    for (int round = 0; round < 2000; round++) {
        std::iota(values.begin(), values.end(), round);
        run(pool, 64, [&](int64_t piece) { values[size_t(piece)] *= 2; });
        for (int64_t i = 0; i < 64; i++) CHECK(values[size_t(i)] == 2 * (round + i));
    }
}

TEST(an_error_comes_back_and_the_pool_goes_on) {
    ThreadPool pool(2);
    for (int round = 0; round < 200; round++) {
        std::string what;
        try {
            run(pool, 50, [&](int64_t piece) {
                if (piece >= 10) throw std::runtime_error("piece");
            });
        } catch (const std::exception& e) {
            what = e.what();
        }
        CHECK_EQ(what, "piece");
        std::atomic<int> done{0};
        run(pool, 50, [&](int64_t) { done++; });
        CHECK(done == 50);
    }
}

TEST(inside_is_inside_only) {
    ThreadPool pool(2);
    CHECK(!ThreadPool::inside());
    std::atomic<int> inside{0};
    run(pool, 10, [&](int64_t) { inside += ThreadPool::inside(); });
    CHECK(inside == 10 && !ThreadPool::inside());
}

TEST(begin_is_called_by_every_helper) {
    std::atomic<int> begun{0};
    {
        const ThreadPool pool(4, [&] { begun++; });
    }
    CHECK(begun == 3);
}

// All helpers may run on one processor only, which another thread has for itself: the work goes on without them.
TEST(helpers_that_do_not_run_are_not_waited_for) {
    ThreadPool pool(3, [] {
        sched_param none{};
        sched_setscheduler(0, SCHED_IDLE, &none); // hardly ever, where there is other work
    });
    std::atomic<int64_t> sum{0};
    for (int round = 0; round < 5000; round++) run(pool, 4, [&](int64_t piece) { sum += piece; });
    CHECK(sum == 5000 * 6);
}

TEST(pools_of_several_threads_do_not_meet) {
    std::vector<std::thread> owners;
    std::atomic<int> wrong{0};
    for (int o = 0; o < 4; o++)
        owners.emplace_back([&] {
            ThreadPool pool(2);
            for (int round = 0; round < 500; round++) {
                std::atomic<int> done{0};
                run(pool, 8, [&](int64_t) { done++; });
                wrong += done != 8;
            }
        });
    for (std::thread& owner : owners) owner.join();
    CHECK(wrong == 0);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
