// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Fuzzing an optimised kernel against its plain version, on every SIMD target this processor has, and timing the two.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <hwy/targets.h>

#include "kernels/bf16.h"
#include "tests/check.h"

namespace mc::kernels::test {

constexpr float ulp = 1.1920929e-7f;   // of float32 at 1
constexpr float bf16_ulp = 1.f / 128;  // of bfloat16 at 1
constexpr float flips_allowed = 0.01f; // share of bfloat16 results that may round to the other neighbour

class Random {
  public:
    explicit Random(uint64_t seed) : engine(seed) {}
    size_t size(size_t low, size_t high) { return low + engine() % (high - low + 1); }
    bool coin() { return engine() & 1; }
    uint32_t bits() { return uint32_t(engine()); }
    float normal(float scale = 1.f) { return scale * gauss(engine); }
    std::vector<float> normals(size_t n, float scale = 1.f, float mean = 0.f) {
        std::vector<float> v(n);
        for (float& x : v) x = mean + normal(scale);
        return v;
    }

  private:
    std::mt19937_64 engine;
    std::normal_distribution<float> gauss;
};

inline float from_bits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

constexpr Store stores[] = {Store::F32, Store::BF16, Store::F32_AS_BF16};
inline const char* name(Store s) {
    return s == Store::F32 ? "float32" : s == Store::BF16 ? "bfloat16" : "bfloat16 in float32";
}

// Activations in the type of a Store. Exactly as big as asked, so that AddressSanitizer sees one step too
// far.
class Activations {
  public:
    Activations(const std::vector<float>& values, Store store) : store(store), floats(values) {
        plain::round_to_bf16(floats.data(), store == Store::F32 ? 0 : floats.size());
        if (store != Store::BF16) return;
        halves.resize(values.size());
        plain::to_bf16(values.data(), halves.data(), values.size());
    }
    void* data() { return store == Store::BF16 ? static_cast<void*>(halves.data()) : floats.data(); }
    float at(size_t i) const { return store == Store::BF16 ? widened(halves[i]) : floats[i]; }
    size_t size() const { return floats.size(); }

  private:
    Store store;
    std::vector<float> floats;
    std::vector<bf16> halves;
};

// Each SIMD target in turn; fails when one cannot be chosen.
inline void each_target(const std::function<void()>& body) {
    for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
        hwy::SetSupportedTargetsForTest(target);
        const int before = mc::test::failures();
        CHECK_EQ(hwy::SupportedTargets(), target);
        body();
        if (mc::test::failures() != before) std::fprintf(stderr, "  with %s\n", hwy::TargetName(target));
    }
    hwy::SetSupportedTargetsForTest(0);
}

// Equal within tolerance(i); NaN is equal to NaN, an infinity only to itself. Reports the first difference.
// `rounded` says that results are bfloat16: few of them may differ at all.
template <class Fast, class Plain, class Tolerance>
void compare(const char* what, size_t n, Fast fast, Plain plain, Tolerance tolerance, bool rounded = false) {
    size_t differing = 0;
    for (size_t i = 0; i < n; i++) {
        const double f = fast(i), p = plain(i);
        if (f == p || (std::isnan(f) && std::isnan(p))) continue;
        ++differing;
        const double allowed = tolerance(i);
        if (std::fabs(f - p) <= allowed) continue;
        char text[200];
        std::snprintf(text, sizeof text, "%s [%zu of %zu]: fast %.9g, plain %.9g, allowed difference %.3g",
                      what, i, n, f, p, allowed);
        return mc::test::fail(__FILE__, __LINE__, text);
    }
    if (rounded && differing > 2 + size_t(flips_allowed * n))
        mc::test::fail(__FILE__, __LINE__,
                       std::string(what) + ": " + std::to_string(differing) + " of " + std::to_string(n) +
                           " bfloat16 results rounded the other way");
}

inline void compare_bytes(const char* what, const std::vector<uint8_t>& fast,
                          const std::vector<uint8_t>& plain) {
    compare(
        what, plain.size(), [&](size_t i) { return fast[i]; }, [&](size_t i) { return plain[i]; },
        [](size_t) { return 0.; });
}

// ---- timing ----

// Seconds a bench may spend on each kernel; `--time` on the command line makes it longer.
inline double& patience() {
    static double seconds = 0.01;
    return seconds;
}

template <class Body>
double best_seconds(Body body) {
    using clock = std::chrono::steady_clock;
    const auto start = clock::now();
    double best = 1e9;
    do {
        const auto before = clock::now();
        body();
        best = std::min(best, std::chrono::duration<double>(clock::now() - before).count());
    } while (std::chrono::duration<double>(clock::now() - start).count() < patience());
    return best;
}

template <class Fast, class Plain>
void time_beside(const char* what, size_t elements, size_t bytes_moved, Fast fast, Plain plain) {
    const double slow_ns = best_seconds(plain) / elements * 1e9,
                 fast_ns = best_seconds(fast) / elements * 1e9;
    std::printf("%-44s %9.3f %9.3f %8.1f %9.1f\n", what, slow_ns, fast_ns, slow_ns / fast_ns,
                bytes_moved / (fast_ns * elements));
}

inline void timing_header() {
    std::printf("%-44s %9s %9s %8s %9s   (%s)\n", "ns per element", "plain", "fast", "ratio", "GB/s",
                hwy::TargetName(hwy::SupportedTargets() & -hwy::SupportedTargets()));
}

// main of a program that has both: the tests named on the command line (all when none), then the timings.
inline int run(int argc, char** argv, void (*timings)()) {
    const bool longer = argc > 1 && std::strcmp(argv[1], "--time") == 0;
    if (longer) patience() = 0.5;
    const int result = longer ? 0 : mc::test::run_tests(argc, argv);
    timing_header();
    timings();
    return result;
}

} // namespace mc::kernels::test
