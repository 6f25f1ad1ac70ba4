// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of a calibration file.
#include "engine/model/calibration.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/cache/polynomial_check.h"
#include "engine/model/fingerprint.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

// 1: without a path, its presets decide by the polynomial. 2: along a path.
constexpr int FIRST_VERSION = 1, VERSION = 2;
constexpr int COUNT_LIMIT = 1000; // a schedule has at most 1000 steps
constexpr double COEFFICIENT_LIMIT = 1e12, DISTANCE_LIMIT = 1e3;

template <class T>
struct Named {
    T value;
    const char* name;
};
constexpr Named<CacheReuse> REUSES[] = {
    {CacheReuse::REPEAT, "repeat"}, {CacheReuse::TAYLOR, "taylor"}, {CacheReuse::SOLVER, "solver"}};
constexpr Named<CacheWeights> WEIGHTS[] = {{CacheWeights::NONE, "none"},
                                           {CacheWeights::MEAN, "mean"},
                                           {CacheWeights::MAX, "max"},
                                           {CacheWeights::MAX_RESCALE, "max_rescale"}};
constexpr Named<CacheDistance> DISTANCES[] = {{CacheDistance::GLOBAL, "global"},
                                              {CacheDistance::TOKEN, "token"}};
constexpr Named<CalibratedPreset Calibration::*> PRESETS[] = {
    {&Calibration::quality, "quality"}, {&Calibration::balanced, "balanced"}, {&Calibration::fast, "fast"}};

template <class T, size_t N>
std::string names_of(const Named<T> (&table)[N]) {
    std::string list;
    for (const auto& entry : table) list += (list.empty() ? "" : ", ") + std::string(entry.name);
    return list;
}

template <class T, size_t N>
T read_name(const JsonObject& json, const char* key, const Named<T> (&table)[N]) {
    const std::string name = json.text(key);
    for (const auto& entry : table)
        if (name == entry.name) return entry.value;
    json.refuse(key, "one of " + names_of(table));
}

template <class T, size_t N>
const char* name_in(const Named<T> (&table)[N], T value) {
    for (const auto& entry : table)
        if (value == entry.value) return entry.name;
    return "";
}

// A misspelt setting must not pass as one at its default.
void require_known(const JsonObject& json, const std::string& where,
                   std::initializer_list<const char*> known) {
    for (const std::string& key : json.keys())
        if (std::find(known.begin(), known.end(), key) == known.end())
            json.refuse_file("has the unknown " + where + " " + in_quotes(key));
}

cache::Polynomial read_polynomial(const JsonObject& json) {
    cache::Polynomial polynomial;
    const std::vector<double> numbers = json.numbers("polynomial");
    const bool finite = std::all_of(numbers.begin(), numbers.end(), [](double c) {
        return c >= -COEFFICIENT_LIMIT && c <= COEFFICIENT_LIMIT;
    });
    if (numbers.size() != polynomial.coefficients.size() || !finite)
        json.refuse("polynomial", "5 coefficients, the highest power first");
    std::copy(numbers.begin(), numbers.end(), polynomial.coefficients.begin());
    return polynomial;
}

// Pairs of sigma and length.
cache::Path read_path(const JsonObject& json) {
    cache::Path path;
    const std::vector<double> numbers = json.numbers("path");
    for (size_t i = 0; i + 1 < numbers.size(); i += 2)
        path.sigma.push_back(numbers[i]), path.length.push_back(numbers[i + 1]);
    if (numbers.empty() || numbers.size() % 2 || !cache::is_path(path))
        json.refuse("path", "pairs of sigma and length, from 1, 0 to 0, 1, sigma falling and length rising");
    return path;
}

CalibratedPreset read_preset(const JsonObject& json, const Calibration& calibration) {
    require_known(json, "setting",
                  {"threshold", "reuse", "warmup", "coarse_updates", "weights", "weight_floor", "distance", "vote",
                   "min_ratio", "first_share", "first_frames", "chunks", "noise_power", "speedup", "psnr", "ssim",
                   "psnr_calibrated"});
    CalibratedPreset preset;
    cache::MotionCacheSettings& s = preset.settings;
    s.polynomial = calibration.polynomial;
    s.path = calibration.path;
    s.threshold = json.number("threshold", 1e-9, 1e9);
    s.reuse = read_name(json, "reuse", REUSES);
    s.warmup = int(json.integer("warmup", 0, COUNT_LIMIT));
    s.coarse_updates = int(json.integer("coarse_updates", 0, COUNT_LIMIT));
    s.weights = read_name(json, "weights", WEIGHTS);
    s.weight_floor = json.number("weight_floor", 0, 1);
    s.distance = read_name(json, "distance", DISTANCES);
    s.vote.reset();
    const std::vector<std::string> keys = json.keys();
    if (json.has("vote") || std::find(keys.begin(), keys.end(), "vote") == keys.end()) // null: no vote
        s.vote = json.number("vote", 0, 1);
    s.min_ratio = json.number("min_ratio", 0, 1);
    s.first_share = json.number("first_share", 0, 1);
    if (json.has("first_frames")) s.first_frames = int(json.integer("first_frames", 1, COUNT_LIMIT));
    if (json.has("chunks")) s.chunks = int(json.integer("chunks", 0, COUNT_LIMIT));
    s.noise_power = json.number("noise_power", 0, 8);
    preset.speedup = json.number("speedup", 1e-3, 1e3);
    preset.psnr = json.number("psnr", 0, 1e3);
    preset.ssim = json.number("ssim", -1, 1);
    if (json.has("psnr_calibrated")) preset.psnr_calibrated = json.number("psnr_calibrated", 0, 1e3);
    return preset;
}

nlohmann::ordered_json json_of(const CalibratedPreset& preset) {
    const cache::MotionCacheSettings& s = preset.settings;
    return {{"threshold", s.threshold},
            {"reuse", name_in(REUSES, s.reuse)},
            {"warmup", s.warmup},
            {"coarse_updates", s.coarse_updates},
            {"weights", name_in(WEIGHTS, s.weights)},
            {"weight_floor", s.weight_floor},
            {"distance", name_in(DISTANCES, s.distance)},
            {"vote", s.vote ? nlohmann::ordered_json(*s.vote) : nlohmann::ordered_json()},
            {"min_ratio", s.min_ratio},
            {"first_share", s.first_share},
            {"first_frames", s.first_frames},
            {"chunks", s.chunks},
            {"noise_power", s.noise_power},
            {"speedup", preset.speedup},
            {"psnr", preset.psnr},
            {"ssim", preset.ssim},
            {"psnr_calibrated", preset.psnr_calibrated}};
}

} // namespace

Calibration parse_calibration(const JsonObject& json) {
    require_known(json, "field", {"version", "fingerprint", "polynomial", "range", "path", "presets"});
    Calibration calibration;
    const int64_t version = json.integer("version", 1, 1 << 20);
    if (version < FIRST_VERSION || version > VERSION)
        json.refuse("version", std::to_string(FIRST_VERSION) + " to " + std::to_string(VERSION));
    if (!parse_fingerprint(json.text("fingerprint"), calibration.fingerprint))
        json.refuse("fingerprint", "one like " + fingerprint_text(0));

    calibration.polynomial = read_polynomial(json);
    const std::vector<double> range = json.numbers("range");
    if (range.size() != 2 || !(range[0] >= 0 && range[0] < range[1] && range[1] <= DISTANCE_LIMIT))
        json.refuse("range", "two distances, the smaller one first");
    calibration.least = range[0], calibration.most = range[1];
    if (!cache::rises(calibration.polynomial, calibration.least, calibration.most))
        json.refuse("polynomial", "one that is not negative and never falls within range");

    if (json.has("path")) calibration.path = read_path(json);
    const JsonObject presets = json.object("presets");
    require_known(presets, "preset", {PRESETS[0].name, PRESETS[1].name, PRESETS[2].name});
    for (const auto& [member, name] : PRESETS)
        calibration.*member = read_preset(presets.object(name), calibration);
    return calibration;
}

std::string calibration_text(const Calibration& calibration) {
    const cache::Path& path = calibration.path;
    nlohmann::ordered_json json{{"version", path.empty() ? FIRST_VERSION : VERSION},
                                {"fingerprint", fingerprint_text(calibration.fingerprint)},
                                {"polynomial", calibration.polynomial.coefficients},
                                {"range", {calibration.least, calibration.most}}};
    for (size_t i = 0; i < path.sigma.size(); i++) {
        json["path"].push_back(path.sigma[i]);
        json["path"].push_back(path.length[i]);
    }
    for (const auto& [member, name] : PRESETS) json["presets"][name] = json_of(calibration.*member);
    const std::string text = json.dump(2) + "\n";
    bool same = false;
    std::string detail;
    try {
        same = parse_calibration(JsonObject::parse(text, "motioncache.json")) == calibration;
    } catch (const Error& error) {
        detail = error.what();
    }
    if (!same)
        throw Error(MC_ERROR_SETTINGS,
                    "The calibration holds a value that cannot be used; calibrate again with more steps or "
                    "frames.",
                    detail);
    return text;
}

} // namespace mc::model
