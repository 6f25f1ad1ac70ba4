// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/compare.h"

#include <ATen/ops/empty.h>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fnmatch.h>
#include <limits>
#include <sstream>

#include "engine/error.h"
#include "engine/networks/weights.h"

namespace mc::golden {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

Tolerance parse(const Json& entry) {
    if (entry.is_string() && entry == "exact") return {.exact = true};
    return {.atol = entry.at("atol").get<double>(), .rtol = entry.at("rtol").get<double>()};
}

Tolerance parse_by_parts(const Json& tolerances, const std::string& key) {
    const Json& entry = tolerances.at(key);
    if (entry.is_object() && (entry.contains("abs") || entry.contains("rel_l2"))) {
        // Of both conditions that is the worse ratio; a limit of 0 is exactness.
        const bool exact = entry.value("abs", 1.0) == 0 || entry.value("rel_l2", 1.0) == 0;
        return {.exact = exact, .atol = entry.value("abs", 0.0), .rel_l2 = entry.value("rel_l2", 0.0)};
    }
    const std::string words = entry.is_string() ? entry.get<std::string>() : std::string();
    if (words.starts_with("exact")) return {.exact = true};
    if (words.find("sets") != std::string::npos) return {.exact = true, .sets = true};
    if (words.starts_with("as ") && words.substr(3) != key && tolerances.contains(words.substr(3)))
        return parse_by_parts(tolerances, words.substr(3));
    throw Error(MC_ERROR_READ, "The tolerance " + entry.dump() + " of " + key +
                                   " is in words that are unknown here; add them to parse_by_parts.");
}

// "a, b" holds two patterns.
std::vector<std::string> split(const std::string& patterns) {
    std::vector<std::string> result;
    std::istringstream stream(patterns);
    for (std::string pattern; std::getline(stream >> std::ws, pattern, ',');) result.push_back(pattern);
    return result;
}

bool matches(const std::string& pattern, const std::string& name) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

double ratio_of(double value, double expected, const Tolerance& tolerance) {
    const double difference = std::fabs(value - expected);
    if (difference == 0) return 0;
    const double allowed = tolerance.exact ? 0 : tolerance.atol + tolerance.rtol * std::fabs(expected);
    return allowed > 0 ? difference / allowed : infinite;
}

Finding compare_tensor(const std::string& name, const at::Tensor& value, const at::Tensor& expected,
                       const std::optional<Tolerance>& tolerance) {
    Finding finding{name, 0, {}};
    if (!tolerance) {
        finding.failure = "the case gives no tolerance";
    } else if (!value.defined()) {
        finding.failure = "missing";
    } else if (value.sizes() != expected.sizes()) {
        finding.failure = "shape " + model::shape_text(value.sizes().vec()) + ", expected " +
                          model::shape_text(expected.sizes().vec());
    } else {
        at::Tensor a = value.to(at::kCPU, at::kDouble).contiguous();
        at::Tensor e = expected.to(at::kCPU, at::kDouble).contiguous();
        if (tolerance->sets) a = std::get<0>(a.sort(0)).contiguous(), e = std::get<0>(e.sort(0)).contiguous();
        const double* pa = a.const_data_ptr<double>();
        const double* pe = e.const_data_ptr<double>();
        const bool each = tolerance->exact || tolerance->atol > 0 || tolerance->rtol > 0;
        double off = 0, norm = 0;
        for (int64_t i = 0; i < a.numel(); i++) {
            if (!std::isfinite(pa[i]) || !std::isfinite(pe[i])) {
                finding.failure = "NaN or infinity";
                break;
            }
            if (each) finding.ratio = std::max(finding.ratio, ratio_of(pa[i], pe[i], *tolerance));
            off += (pa[i] - pe[i]) * (pa[i] - pe[i]), norm += pe[i] * pe[i];
        }
        if (tolerance->rel_l2 > 0 && off > 0)
            finding.ratio =
                std::max(finding.ratio, norm > 0 ? std::sqrt(off / norm) / tolerance->rel_l2 : infinite);
    }
    return finding;
}

// Walks two JSON values; leaves are compared under the tolerance of the longest path that a pattern names. A pattern
// may leave the indices of arrays out: "events.distance" is that of every event.
class JsonComparison {
  public:
    JsonComparison(const Json& tolerances, std::vector<Finding>& findings)
        : tolerances_(tolerances), findings_(findings) {}

    void field(const std::string& name, const Json& value, const Json& expected) {
        finding_ = {name, 0, {}};
        walk(name, name, value, expected, tolerance_of(tolerances_, name));
        findings_.push_back(finding_);
    }

  private:
    // bare: the path without the indices of arrays.
    void walk(const std::string& path, const std::string& bare, const Json& value, const Json& expected,
              std::optional<Tolerance> tolerance) {
        if (!finding_.failure.empty()) return;
        if (expected.is_object()) {
            for (const auto& [key, child] : expected.items())
                step(path + "." + key, bare + "." + key,
                     value.is_object() && value.contains(key) ? value[key] : Json(), child, tolerance);
        } else if (expected.is_array()) {
            if (value.is_array() && value.size() != expected.size()) {
                finding_.failure = path + " has " + std::to_string(value.size()) + " entries, expected " +
                                   std::to_string(expected.size());
                return;
            }
            for (size_t i = 0; i < expected.size(); i++)
                step(path + "." + std::to_string(i), bare, value.is_array() ? value[i] : Json(), expected[i],
                     tolerance);
        } else if (value.is_null() && !expected.is_null()) {
            if (tolerance) finding_.failure = path + " is missing";
        } else if (value.is_number() && expected.is_number()) {
            const double a = value.get<double>(), e = expected.get<double>();
            if (!std::isfinite(a)) finding_.failure = path + " is NaN or infinity";
            const double ratio = ratio_of(a, e, tolerance.value_or(Tolerance{.exact = true}));
            if (ratio > finding_.ratio) finding_ = {path, ratio, finding_.failure};
        } else if (value != expected) {
            finding_.failure = path + " is " + value.dump() + ", expected " + expected.dump();
        }
    }
    void step(const std::string& path, const std::string& bare, const Json& value, const Json& expected,
              const std::optional<Tolerance>& inherited) {
        auto own = tolerance_of(tolerances_, path);
        if (!own && bare != path) own = tolerance_of(tolerances_, bare);
        walk(path, bare, value, expected, own ? own : inherited);
    }

    const Json& tolerances_;
    std::vector<Finding>& findings_;
    Finding finding_;
};

} // namespace

std::optional<Tolerance> tolerance_of(const Json& patterns, const std::string& name) {
    for (const auto& [key, entry] : patterns.items())
        for (const std::string& pattern : split(key))
            if (pattern != "*" && matches(pattern, name)) return parse(entry);
    if (patterns.contains("*")) return parse(patterns["*"]);
    return {};
}

std::optional<Tolerance> tolerance_by_parts(const Json& tolerances, const std::string& name) {
    for (const std::string& key :
         {name, name.substr(0, name.find('.')), name.substr(name.rfind('.') + 1), std::string("default")})
        if (tolerances.contains(key)) return parse_by_parts(tolerances, key);
    return {};
}

std::vector<Finding> compare(const CaseFile& file, const Produced& produced) {
    const Json none = Json::object();
    const Json& tolerances = file.json.contains("tolerance") ? file.json["tolerance"] : none;
    std::vector<Finding> findings;

    for (const auto& [name, view] : file.expected.tensors) {
        const auto value = produced.tensors.find(name);
        auto tolerance =
            file.kind().empty() ? tolerance_of(tolerances, name) : tolerance_by_parts(tolerances, name);
        const auto note = produced.relative_by_note.find(name);
        if (tolerance && note != produced.relative_by_note.end()) tolerance->rtol = note->second;
        const auto rows = produced.first_rows.find(name);
        const at::Tensor expected = to_tensor(view);
        findings.push_back(compare_tensor(
            name, value == produced.tensors.end() ? at::Tensor() : value->second,
            rows == produced.first_rows.end() ? expected : expected.narrow(0, 0, rows->second), tolerance));
    }
    if (file.json.contains("expected"))
        for (const auto& [name, description] : file.json["expected"].items())
            if (!file.expected.has(name)) findings.push_back({name, 0, "not in expected.safetensors"});

    const Json& json_tolerances = file.json.contains("tolerance_json") ? file.json["tolerance_json"] : none;
    JsonComparison comparison(json_tolerances, findings);
    for (const auto& [name, value] : produced.values.items())
        comparison.field(name, value, file.json.contains(name) ? file.json[name] : file.tables.at(name));
    for (const auto& [key, entry] : json_tolerances.items())
        for (const std::string& pattern : split(key)) {
            const std::string field = pattern.substr(0, pattern.find('.'));
            for (const auto& [name, expected] : file.json.items())
                if (matches(field, name) && !produced.values.contains(name))
                    findings.push_back({name, 0, "missing"});
        }

    for (const auto& extra : produced.extras)
        findings.push_back(compare_tensor(extra.name, extra.value, extra.expected, extra.tolerance));
    if (findings.empty()) findings.push_back({"-", 0, "the case expects nothing"});
    return findings;
}

at::Tensor to_tensor(const model::TensorView& view) {
    at::Tensor tensor = at::empty(view.shape, at::TensorOptions(type_of(view.dtype)));
    view.read(tensor.mutable_data_ptr());
    return tensor;
}

} // namespace mc::golden
