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

namespace mc::golden {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

Tolerance parse(const Json& entry) {
    if (entry.is_string() && entry == "exact") return {true, 0, 0};
    return {false, entry.at("atol").get<double>(), entry.at("rtol").get<double>()};
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
        const at::Tensor a = value.to(at::kCPU, at::kDouble).contiguous();
        const at::Tensor e = expected.to(at::kCPU, at::kDouble).contiguous();
        const double* pa = a.const_data_ptr<double>();
        const double* pe = e.const_data_ptr<double>();
        for (int64_t i = 0; i < a.numel(); i++) {
            if (!std::isfinite(pa[i]) || !std::isfinite(pe[i])) {
                finding.failure = "NaN or infinity";
                break;
            }
            finding.ratio = std::max(finding.ratio, ratio_of(pa[i], pe[i], *tolerance));
        }
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
            const double ratio = ratio_of(a, e, tolerance.value_or(Tolerance{true, 0, 0}));
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

at::ScalarType scalar_type(model::DType type) {
    switch (type) {
    case model::DType::F32:
        return at::kFloat;
    case model::DType::F16:
        return at::kHalf;
    case model::DType::BF16:
        return at::kBFloat16;
    case model::DType::F64:
        return at::kDouble;
    case model::DType::I64:
        return at::kLong;
    case model::DType::I32:
        return at::kInt;
    case model::DType::I16:
        return at::kShort;
    case model::DType::I8:
        return at::kChar;
    case model::DType::U8:
        return at::kByte;
    case model::DType::BOOL:
        return at::kBool;
    }
    throw Error(MC_ERROR_INTERNAL, "A tensor has a type that golden cases do not use; add it here.");
}

} // namespace

std::optional<Tolerance> tolerance_of(const Json& patterns, const std::string& name) {
    for (const auto& [key, entry] : patterns.items())
        for (const std::string& pattern : split(key))
            if (pattern != "*" && matches(pattern, name)) return parse(entry);
    if (patterns.contains("*")) return parse(patterns["*"]);
    return {};
}

std::vector<Finding> compare(const CaseFile& file, const Produced& produced) {
    const Json none = Json::object();
    const Json& tolerances = file.json.contains("tolerance") ? file.json["tolerance"] : none;
    std::vector<Finding> findings;

    for (const auto& [name, view] : file.expected.tensors) {
        const auto value = produced.tensors.find(name);
        findings.push_back(compare_tensor(name,
                                          value == produced.tensors.end() ? at::Tensor() : value->second,
                                          to_tensor(view), tolerance_of(tolerances, name)));
    }
    if (file.json.contains("expected"))
        for (const auto& [name, description] : file.json["expected"].items())
            if (!file.expected.has(name)) findings.push_back({name, 0, "not in expected.safetensors"});

    const Json& json_tolerances = file.json.contains("tolerance_json") ? file.json["tolerance_json"] : none;
    JsonComparison comparison(json_tolerances, findings);
    for (const auto& [name, value] : produced.values.items())
        comparison.field(name, value, file.json.at(name));
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
    at::Tensor tensor = at::empty(view.shape, at::TensorOptions(scalar_type(view.dtype)));
    view.read(tensor.mutable_data_ptr());
    return tensor;
}

} // namespace mc::golden
