// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A test program in a few lines: TEST(name) { CHECK(x); CHECK_NEAR(a, b, tolerance); }, and run_tests() in main.
// Each failed check prints where and what; the program ends with 1 when any failed. `program NAME...` runs those only.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace mc::test {

struct Case {
    const char* name;
    std::function<void()> body;
};
inline std::vector<Case>& cases() {
    static std::vector<Case> list;
    return list;
}
inline int& failures() {
    static int count = 0;
    return count;
}
inline bool add(const char* name, std::function<void()> body) {
    cases().push_back({name, std::move(body)});
    return true;
}
inline void fail(const char* file, int line, const std::string& what) {
    std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
    ++failures();
}

// Thrown by SKIP: this machine lacks what the case needs; the reason is printed and counted apart.
struct Skip {
    std::string reason;
};

inline int run_tests(int argc, char** argv) {
    int passed = 0, failed = 0, skipped = 0;
    for (const Case& c : cases()) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; i++) wanted |= std::strcmp(argv[i], c.name) == 0;
        if (!wanted) continue;
        int before = failures();
        try {
            c.body();
        } catch (const Skip& s) {
            std::printf("skip %s: %s\n", c.name, s.reason.c_str());
            ++skipped;
            continue;
        } catch (const std::exception& e) {
            fail(c.name, 0, std::string("exception: ") + e.what());
        }
        bool ok = failures() == before;
        std::printf("%s %s\n", ok ? "ok  " : "FAIL", c.name);
        std::fflush(stdout);
        ok ? ++passed : ++failed;
    }
    std::printf("cases: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed || passed + skipped == 0 ? 1 : 0; // a misspelt name must not pass
}

} // namespace mc::test

#define TEST(name)                                                                                           \
    static void test_##name();                                                                               \
    static const bool added_##name = mc::test::add(#name, test_##name);                                      \
    static void test_##name()
// c10 has one of its own, which ends the program: include this header after Torch's.
#undef CHECK
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) mc::test::fail(__FILE__, __LINE__, "not true: " #condition);                       \
    } while (0)
#define CHECK_EQ(a, b)                                                                                       \
    do {                                                                                                     \
        auto va = (a);                                                                                       \
        auto vb = (b);                                                                                       \
        if (!(va == vb)) {                                                                                   \
            std::ostringstream o;                                                                            \
            o << #a " is " << va << ", expected " << vb;                                                     \
            mc::test::fail(__FILE__, __LINE__, o.str());                                                     \
        }                                                                                                    \
    } while (0)
#define CHECK_NEAR(a, b, tolerance)                                                                          \
    do {                                                                                                     \
        double va = (a), vb = (b);                                                                           \
        if (!(std::fabs(va - vb) <= (tolerance))) {                                                          \
            std::ostringstream o;                                                                            \
            o << #a " is " << va << ", expected " << vb << " within " << (tolerance);                        \
            mc::test::fail(__FILE__, __LINE__, o.str());                                                     \
        }                                                                                                    \
    } while (0)
// The statement throws an mc::Error of this status whose message contains `text`.
#define CHECK_ERROR(statement, wanted, text)                                                                 \
    do {                                                                                                     \
        try {                                                                                                \
            statement;                                                                                       \
            mc::test::fail(__FILE__, __LINE__, "no error from " #statement);                                 \
        } catch (const mc::Error& e) {                                                                       \
            if (e.status != (wanted) || std::string(e.what()).find(text) == std::string::npos)               \
                mc::test::fail(__FILE__, __LINE__, std::string("wrong error: ") + e.what());                 \
        }                                                                                                    \
    } while (0)
#define SKIP(reason)                                                                                         \
    throw mc::test::Skip {                                                                                   \
        reason                                                                                               \
    }
