// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "engine/testpattern/testpattern.h"

namespace mc::testpattern {
namespace {

int number(std::string_view name, std::string_view text) {
    int value = 0;
    if (text.empty() || text.size() > 8) text = "?";
    for (char c : text) {
        if (c < '0' || c > '9')
            throw Error(MC_ERROR_SETTINGS, "MOTIONCACHE_TESTPATTERN: " + std::string(name) +
                                               " needs a whole number, for example " + std::string(name) +
                                               "=20.");
        value = value * 10 + (c - '0');
    }
    return value;
}

// "K:L:P"
std::array<int, 3> three(std::string_view name, std::string_view text) {
    std::array<int, 3> numbers{};
    for (int& n : numbers) {
        const std::string_view item = text.substr(0, text.find(':'));
        text.remove_prefix(std::min(text.size(), item.size() + 1));
        n = number(name, item);
    }
    return numbers;
}

Fault fault_of(std::string_view where) {
    if (where == "check") return Fault::CHECK;
    if (where == "load") return Fault::LOAD;
    if (where == "device") return Fault::DEVICE;
    if (where == "session") return Fault::SESSION;
    if (where == "memory") return Fault::MEMORY;
    if (where == "numbers") return Fault::NUMBERS;
    if (where == "next") return Fault::NEXT;
    if (where == "write") return Fault::WRITE;
    throw Error(MC_ERROR_SETTINGS,
                "MOTIONCACHE_TESTPATTERN: fail=" + std::string(where) +
                    " is unknown; use check, load, device, session, memory, numbers:K, next:K or write.");
}

uint64_t mix(uint64_t x) { // splitmix64's finisher
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

} // namespace

Knobs parse_knobs(const char* text) {
    Knobs knobs;
    std::string_view rest = text ? text : "";
    while (!rest.empty()) {
        std::string_view item = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), item.size() + 1));
        std::string_view name = item.substr(0, item.find('='));
        std::string_view value = name.size() < item.size() ? item.substr(name.size() + 1) : "";
        if (name == "load-ms") {
            knobs.load_ms = number(name, value);
        } else if (name == "first-ms") {
            knobs.first_ms = number(name, value);
        } else if (name == "step-ms") {
            knobs.step_ms = number(name, value);
        } else if (name == "saves") {
            knobs.saves = std::min(number(name, value), 99);
        } else if (name == "window") {
            knobs.window = std::max(number(name, value), 1);
        } else if (name == "busy") {
            const auto [first, end, percent] = three(name, value);
            knobs.busy_first = first, knobs.busy_end = end, knobs.busy_percent = percent;
        } else if (name == "warn") {
            knobs.warn = number(name, value) != 0;
        } else if (name == "reuse") {
            knobs.reuse = number(name, value) != 0;
        } else if (name == "gpu") {
            knobs.gpu = number(name, value) != 0;
        } else if (name == "fail") {
            std::string_view where = value.substr(0, value.find(':'));
            knobs.fault = fault_of(where);
            if (where.size() < value.size())
                knobs.fault_chunk = number("fail", value.substr(where.size() + 1));
        } else {
            throw Error(MC_ERROR_SETTINGS, "MOTIONCACHE_TESTPATTERN: \"" + std::string(name) +
                                               "\" is unknown; use load-ms, first-ms, step-ms, saves, busy, window, "
                                               "warn, reuse, gpu or fail.");
        }
    }
    return knobs;
}

double step_milliseconds(const Knobs& knobs, int64_t chunk, double threshold) {
    if (chunk % knobs.window) return 0;
    double time = double(knobs.step_ms) * knobs.window;
    if (threshold > 0.1) time *= std::pow(1 - knobs.saves / 100., std::log2(threshold / 0.1));
    return chunk >= knobs.busy_first && chunk < knobs.busy_end ? time * knobs.busy_percent / 100 : time;
}

Rgb colour_of(const std::string& prompt) {
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    for (const char c : prompt) hash = (hash ^ uint8_t(c)) * 0x100000001b3u;
    hash = mix(hash);
    return {uint8_t(hash), uint8_t(hash >> 8), uint8_t(hash >> 16)};
}

static uint64_t key_of(const Pattern& p) {
    return mix(p.seed + 0x9e3779b97f4a7c15u);
}

bool in_ball(const Pattern& p, int x, int y) {
    const uint64_t key = key_of(p);
    const int speed = 1 + int((key >> 24) & 7);
    const int radius = std::max(4, p.height / 6);
    const int cx = int((p.frame * speed + int64_t((key >> 32) % 997)) % p.width);
    const int cy = p.height / 2;
    const int dx = x - cx, dy = y - cy;
    return dx * dx + dy * dy < radius * radius;
}

// A ball that crosses a drifting gradient; colours and speed come from the seed.
Rgb pixel(const Pattern& p, int x, int y) {
    if (y >= p.height - p.height / 8) return p.strip;
    const uint64_t key = key_of(p);
    const int tint_r = key & 63, tint_g = (key >> 8) & 63, tint_b = (key >> 16) & 63;
    if (in_ball(p, x, y)) return {uint8_t(192 + tint_r), uint8_t(tint_g), uint8_t(tint_b)};
    const int drift = int(p.frame % 64);
    return {uint8_t(tint_r + 128 * x / p.width), uint8_t(tint_g + 128 * y / p.height),
            uint8_t(tint_b + drift)};
}

} // namespace mc::testpattern
