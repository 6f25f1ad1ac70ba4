// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/cache/policy.h"
#include "engine/error.h"
#include "engine/model/calibration.h"
#include "engine/model/fingerprint.h"
#include "tests/check.h"
#include "tests/model/weight_writer.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;
using nlohmann::json;

namespace {

constexpr uint64_t weights = 0x0123456789abcdef;

Calibration calibration() {
    Calibration c;
    c.fingerprint = weights;
    c.polynomial.coefficients = {0, 1.0 / 3, 0, 2.5, 1e-3};
    c.least = 0.004, c.most = 0.62;
    double threshold = 0.1;
    for (CalibratedPreset* preset : {&c.quality, &c.balanced, &c.fast}) {
        preset->settings.polynomial = c.polynomial;
        preset->settings.threshold = threshold += 0.07;
        preset->speedup = 10 * threshold, preset->psnr = 40 - threshold, preset->ssim = 1 - threshold / 7;
    }
    c.balanced.settings.vote.reset();
    c.balanced.settings.reuse = CacheReuse::TAYLOR;
    c.balanced.settings.distance = CacheDistance::TOKEN;
    c.balanced.settings.weights = CacheWeights::MEAN;
    c.fast.settings.warmup = 0, c.fast.settings.coarse_updates = 1;
    c.fast.settings.weight_floor = 0.1 + 0.2, c.fast.settings.min_ratio = 0;
    c.quality.settings.first_share = 0.4, c.quality.settings.noise_power = 2;
    return c;
}

json good() {
    return json::parse(calibration_text(calibration()));
}

Calibration parsed(const json& value) {
    return parse_calibration(JsonObject::parse(value.dump(), "m/motioncache.json", "calibrate again"));
}

// The good file with one field of the root, or one knob of a preset, replaced or (null pointer) taken away.
json with(const char* key, const json* value, const char* preset = nullptr) {
    json text = good();
    json& place = preset ? text["presets"][preset] : text;
    if (value)
        place[key] = *value;
    else
        place.erase(key);
    return text;
}
void refused(const char* key, const json& value, const std::string& text, const char* preset = nullptr) {
    CHECK_ERROR(parsed(with(key, &value, preset)), MC_ERROR_READ, text);
    CHECK_ERROR(parsed(with(key, &value, preset)), MC_ERROR_READ, "m/motioncache.json: ");
    CHECK_ERROR(parsed(with(key, &value, preset)), MC_ERROR_READ, "calibrate");
}

} // namespace

TEST(calibration_round_trip) {
    TemporaryFolder folder;
    const std::string file = calibration_file(folder.path);
    CHECK_EQ(file, folder / "motioncache.json");
    write_calibration(file, calibration());
    CHECK(read_calibration(file, weights) == calibration());
    CHECK_EQ(calibration_text(read_calibration(file, weights)), calibration_text(calibration()));
    write_calibration(file, calibration()); // over an older one
    CHECK(!std::filesystem::exists(file + ".new"));
    const std::string text = read_file(file);
    CHECK(text.starts_with(
        "{\n  \"version\": 1,\n  \"fingerprint\": \"fnv1a64:0123456789abcdef\",\n  \"polynomial\": [\n"));
    CHECK(text.ends_with("}\n"));
    // The order of a reader: quality, balanced, fast, and the knobs as Settings has them.
    CHECK(text.find("\"quality\"") < text.find("\"balanced\"") &&
          text.find("\"balanced\"") < text.find("\"fast\""));
    CHECK(text.find("\"threshold\"") < text.find("\"warmup\"") &&
          text.find("\"warmup\"") < text.find("\"speedup\""));
    CHECK(cache::make_policy(read_calibration(file, weights).fast.settings) != nullptr);
}

TEST(calibration_file_that_is_damaged) {
    TemporaryFolder folder;
    const std::string file = calibration_file(folder.path);
    const std::string remedy = "; run motioncache-calibrate " + folder.path + ".";
    CHECK_ERROR(read_calibration(file, weights), MC_ERROR_NOT_FOUND,
                "the model has no calibration of its own" + remedy);
    write_file(file, "");
    CHECK_ERROR(read_calibration(file, weights), MC_ERROR_READ, "is empty" + remedy);
    const std::string text = calibration_text(calibration());
    for (size_t length = 1; length + 2 < text.size(); length += 7) {
        write_file(file, text.substr(0, length));
        CHECK_ERROR(read_calibration(file, weights), MC_ERROR_READ, "is not valid JSON" + remedy);
    }
    write_file(file, "[]");
    CHECK_ERROR(read_calibration(file, weights), MC_ERROR_READ, "holds no JSON object" + remedy);
    write_file(file, text);
    CHECK_ERROR(read_calibration(file, weights + 1), MC_ERROR_READ,
                "belongs to other weights (fnv1a64:0123456789abcdef; these are fnv1a64:0123456789abcdf0)" +
                    remedy.substr(0, remedy.size() - 1) + ", or fetch the weights again");
    write_file(file, "{\"version\": 1, \"version\": 1}");
    CHECK_ERROR(read_calibration(file, weights), MC_ERROR_READ, "has field 'version' twice" + remedy);
    write_file(file, "{\"polynomial\": [NaN, 0, 0, 1, 0]}");
    CHECK_ERROR(read_calibration(file, weights), MC_ERROR_READ, "is not valid JSON" + remedy);
    write_file(file, "{\"polynomial\": [1e999, 0, 0, 1, 0]}");
    CHECK_ERROR(read_calibration(file, weights), MC_ERROR_READ, "is not valid JSON" + remedy);
    CHECK_ERROR(read_calibration(folder.path, weights), MC_ERROR_READ, "not a regular file");
}

TEST(calibration_fields_are_checked) {
    for (const char* key : {"version", "fingerprint", "polynomial", "range", "presets"})
        CHECK_ERROR(parsed(with(key, nullptr)), MC_ERROR_READ, std::string("field '") + key + "' is missing");
    refused("version", 0, "expected an integer from 1");
    refused("version", 3, "field 'version' is '3', expected 1 to 2");
    refused("version", "1", "field 'version' is '\"1\"', expected an integer");
    refused("fingerprint", 7, "expected a string");
    for (const char* bad :
         {"", "0123456789abcdef", "fnv1a64:", "fnv1a64:0123456789abcde", "fnv1a64:0123456789abcdef0",
          "fnv1a64:0123456789ABCDEF", "fnv1a64:-123456789abcdef", "fnv1a64: 123456789abcdef",
          "sha256x:0123456789abcdef"})
        refused("fingerprint", bad, "expected one like fnv1a64:0000000000000000");
    refused("polynomial", json::array({0, 0, 1, 0}), "expected 5 coefficients");
    refused("polynomial", json::array({0, 0, 0, 0, 1, 0}), "expected 5 coefficients");
    refused("polynomial", json::array({0, 0, 0, 1e13, 0}), "expected 5 coefficients");
    refused("polynomial", json::array({0, 0, 0, "1", 0}), "expected a list of numbers");
    refused("polynomial", json::array({0, 0, 0, nullptr, 0}), "expected a list of numbers");
    refused("polynomial", 1, "expected a list of numbers");
    refused("range", json::array({0.1}), "expected two distances");
    refused("range", json::array({0.5, 0.1}), "expected two distances");
    refused("range", json::array({0.5, 0.5}), "expected two distances");
    refused("range", json::array({-0.1, 0.5}), "expected two distances");
    refused("range", json::array({0, 1e4}), "expected two distances");
    refused("note", "x", "has the unknown field 'note'");
    refused("presets", json::array(), "expected an object");
}

TEST(calibration_along_a_path) {
    Calibration c = calibration();
    c.path = {{1, 0.75, 0}, {0, 0.4, 1}};
    for (CalibratedPreset* preset : {&c.quality, &c.balanced, &c.fast}) {
        preset->settings.path = c.path;
        preset->settings.first_frames = 3, preset->settings.chunks = 5;
    }
    json text = json::parse(calibration_text(c));
    CHECK_EQ(text["version"].get<int>(), 2);
    CHECK(parsed(text) == c);
    const auto bad = [&](const json& path) {
        text["path"] = path;
        CHECK_ERROR(parsed(text), MC_ERROR_READ, "expected pairs of sigma and length");
    };
    for (const auto& path : std::vector<std::vector<double>>{
             {}, {1}, {1, 0}, {1, 0, 0}, {1, 0, 0, 0.5}, {0.9, 0, 0, 1}, {1, 0, 0.5, 0.2, 0.6, 0.3, 0, 1},
             {1, 0, 0.5, 0.8, 0.2, 0.7, 0, 1}})
        bad(path);
}

TEST(calibration_of_before_paths) {
    json text = good();
    CHECK_EQ(text["version"].get<int>(), 1);
    for (const char* preset : {"quality", "balanced", "fast"})
        for (const char* knob : {"first_frames", "chunks"}) text["presets"][preset].erase(knob);
    CHECK(parsed(text) == calibration()); // and what they lack changes nothing
    for (double wrong : {0.0, -1.0, 1.5}) {
        const json value = wrong;
        CHECK_ERROR(parsed(with("first_frames", &value, "fast")), MC_ERROR_READ, "'first_frames' is ");
    }
    const json value = -1;
    CHECK_ERROR(parsed(with("chunks", &value, "fast")), MC_ERROR_READ, "'chunks' is ");
}

TEST(calibration_polynomial_must_rise_where_it_was_fitted) {
    const auto polynomial = [](std::vector<double> coefficients, double least, double most) {
        json text = good();
        text["polynomial"] = coefficients;
        text["range"] = {least, most};
        return parsed(text).polynomial.coefficients[4];
    };
    CHECK_EQ(polynomial({0, 0, -1, 1, 0.25}, 0, 0.5), 0.25); // falls behind its range: nobody fitted it there
    CHECK_ERROR(polynomial({0, 0, -1, 1, 0.25}, 0, 0.51), MC_ERROR_READ,
                "not negative and never falls within range");
    CHECK_ERROR(polynomial({0, 0, 0, 1, -0.1}, 0.05, 0.5), MC_ERROR_READ,
                "not negative and never falls within range");
    CHECK_ERROR(polynomial({0, 0, 0, 0, 1}, 0, 1), MC_ERROR_READ,
                "not negative and never falls within range");
    // The published one of 1.3B falls where steps are as close as 0.005.
    const std::vector<double> published{-5.21862437e+04, 9.23041404e+03, -5.28275948e+02, 1.36987616e+01,
                                        -4.99875664e-02};
    CHECK_ERROR(polynomial(published, 0, 0.1), MC_ERROR_READ, "calibrate again");
}

TEST(calibration_knobs_are_checked) {
    for (const char* preset : {"quality", "balanced", "fast"}) {
        for (const char* key :
             {"threshold", "reuse", "warmup", "coarse_updates", "weights", "weight_floor", "distance", "vote",
              "min_ratio", "first_share", "noise_power", "speedup", "psnr", "ssim"})
            CHECK_ERROR(parsed(with(key, nullptr, preset)), MC_ERROR_READ,
                        std::string("field '") + key + "' is missing");
        const auto knob = [&](const char* key, const json& value, const std::string& text) {
            refused(key, value, text, preset);
        };
        for (double bad : {0.0, -0.1, 1e10}) knob("threshold", bad, "'threshold' is ");
        knob("threshold", "0.1", "expected a number");
        knob("threshold", nullptr, "'threshold' is 'null', expected a number");
        for (const char* key : {"warmup", "coarse_updates"}) {
            knob(key, -1, "expected an integer from 0 to 1000");
            knob(key, 1001, "expected an integer from 0 to 1000");
            knob(key, 1.5, "expected an integer from 0 to 1000");
        }
        for (const char* key : {"weight_floor", "vote", "min_ratio"})
            for (double bad : {-0.01, 1.01}) knob(key, bad, "expected a number from 0.0 to 1.0");
        for (double bad : {-0.01, 1.01}) knob("first_share", bad, "'first_share' is ");
        for (double bad : {-0.01, 8.01}) knob("noise_power", bad, "expected a number from 0.0 to 8.0");
        knob("reuse", "copy", "'reuse' is '\"copy\"', expected one of repeat, taylor, solver");
        knob("weights", "median", "expected one of none, mean, max, max_rescale");
        knob("distance", "frame", "expected one of global, token");
        knob("distance", 1, "expected a string");
        knob("speedup", 0, "'speedup' is '0', expected a number");
        knob("psnr", -1, "'psnr' is '-1', expected a number");
        knob("ssim", 1.5, "'ssim' is '1.5', expected a number");
        knob("treshold", 0.2, "has the unknown setting 'treshold'");
        json text = good();
        text["presets"].erase(preset);
        CHECK_ERROR(parsed(text), MC_ERROR_READ, std::string("field '") + preset + "' is missing");
        text["presets"][preset] = 3;
        CHECK_ERROR(parsed(text), MC_ERROR_READ, "expected an object");
    }
    json text = good();
    text["presets"]["turbo"] = text["presets"]["fast"];
    CHECK_ERROR(parsed(text), MC_ERROR_READ, "has the unknown preset 'turbo'");
}

TEST(calibration_that_cannot_be_written) {
    const double not_a_number = std::numeric_limits<double>::quiet_NaN();
    const auto refuse = [](auto change) {
        Calibration c = calibration();
        change(c);
        CHECK_ERROR(calibration_text(c), MC_ERROR_SETTINGS,
                    "holds a value that cannot be used; calibrate again");
    };
    refuse([&](Calibration& c) { c.quality.psnr = std::numeric_limits<double>::infinity(); });
    refuse([&](Calibration& c) { c.fast.speedup = not_a_number; });
    refuse([&](Calibration& c) { c.polynomial.coefficients[0] = not_a_number; });
    refuse([&](Calibration& c) { c.least = 1; });
    refuse([&](Calibration& c) { c.fast.settings.threshold = -1; });
    refuse([&](Calibration& c) { c.fast.settings.polynomial = {}; });
    TemporaryFolder folder;
    CHECK_ERROR(write_calibration(folder / "absent/motioncache.json", calibration()), MC_ERROR_SETTINGS,
                "motioncache.json: cannot be written (No such file or directory); make its folder writable");
    std::filesystem::create_directory(folder / "motioncache.json"); // a folder in the file's place
    CHECK_ERROR(write_calibration(folder / "motioncache.json", calibration()), MC_ERROR_SETTINGS,
                "cannot be written");
    CHECK(!std::filesystem::exists(folder / "motioncache.json.new"));
}
