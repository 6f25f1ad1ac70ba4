// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/tensors.h"

#include "engine/model/read_error.h"

namespace mc::model {

namespace {

class NamedTensors final : public Tensors {
  public:
    NamedTensors(std::string from, TensorMap tensors) {
        origin = std::move(from);
        tensors_ = std::move(tensors);
    }
};

constexpr int64_t LONGEST_SIDE = 1 << 20; // the longest published one, a vocabulary, has 256384
constexpr const char* OTHER_MODEL = "the files do not belong together, download the whole model again";

Error wrong_shape(const std::string& origin, const std::string& name, const TensorView& view,
                  const std::vector<int64_t>& expected) {
    return read_error(origin,
                      "tensor " + in_quotes(name) + " has shape " + shape_text(view.shape) + ", expected " +
                          shape_text(expected),
                      OTHER_MODEL);
}

void require_usable(const std::string& origin, const std::string& name, const TensorView& view,
                    const std::vector<int64_t>& shape, bool eight_bits = false) {
    if (view.shape != shape) throw wrong_shape(origin, name, view, shape);
    if (eight_bits) {
        if (view.dtype != DType::F8_E4M3)
            throw read_error(origin,
                             "tensor " + in_quotes(name) + " is of type " + name_of(view.dtype) +
                                 ", expected F8_E4M3, since the configuration says fp8_quant",
                             OTHER_MODEL);
        return;
    }
    if (view.dtype != DType::F32 && view.dtype != DType::F16 && view.dtype != DType::BF16)
        throw read_error(origin,
                         "tensor " + in_quotes(name) + " is of type " + name_of(view.dtype) +
                             ", expected F32, F16 or BF16",
                         "use the weights as they were published, without quantisation");
}

} // namespace

const TensorView& Tensors::get(const std::string& name, const std::vector<int64_t>& shape) const {
    auto found = tensors_.find(name);
    if (found == tensors_.end()) throw read_error(origin, "lacks tensor " + in_quotes(name), OTHER_MODEL);
    if (found->second.shape != shape) throw wrong_shape(origin, name, found->second, shape);
    return found->second;
}

size_t Tensors::bytes() const {
    size_t sum = 0;
    for (const auto& [name, view] : tensors_) sum += view.bytes;
    return sum;
}

std::unique_ptr<Tensors> name_tensors(WeightFiles files, Layout layout,
                                      const std::vector<ExpectedTensor>& expected, const TensorRules& rules) {
    TensorMap named;
    size_t missing = 0;
    std::string first_missing;
    for (const ExpectedTensor& tensor : expected) {
        const std::string& stored = layout == Layout::ORIGINAL ? tensor.original : tensor.name;
        auto found = files.tensors.find(stored);
        bool by_alias = !rules.alias.empty() && stored == rules.alias_of;
        if (auto alias = by_alias ? files.tensors.find(rules.alias) : files.tensors.end();
            alias != files.tensors.end()) {
            require_usable(files.origin, rules.alias, alias->second, tensor.shape);
            if (found == files.tensors.end()) found = alias;
        }
        if (found == files.tensors.end()) {
            if (missing++ == 0) first_missing = stored;
            continue;
        }
        require_usable(files.origin, stored, found->second, tensor.shape, tensor.eight_bits);
        named.emplace(tensor.name, found->second);
        files.tensors.erase(stored);
        if (by_alias) files.tensors.erase(rules.alias);
    }
    if (missing)
        throw read_error(files.origin, "lacks " + std::to_string(missing) + " of the " +
                                           std::to_string(expected.size()) + " tensors of the " +
                                           rules.network + ", first " + in_quotes(first_missing));
    for (const auto& [name, view] : files.tensors)
        if (!rules.ignored || !rules.ignored(name))
            throw read_error(files.origin,
                             "holds tensor " + in_quotes(name) + ", which the " + rules.network +
                                 " its config describes does not have",
                             rules.remedy);
    return std::make_unique<NamedTensors>(std::move(files.origin), std::move(named));
}

int64_t side_of(const TensorMap& tensors, const std::string& name, size_t rank, size_t axis,
                const std::string& origin) {
    auto found = tensors.find(name);
    if (found == tensors.end()) throw read_error(origin, "lacks tensor " + in_quotes(name), OTHER_MODEL);
    const std::vector<int64_t>& shape = found->second.shape;
    if (shape.size() != rank || shape[axis] < 1 || shape[axis] > LONGEST_SIDE)
        throw read_error(origin,
                         "tensor " + in_quotes(name) + " has the impossible shape " + shape_text(shape),
                         OTHER_MODEL);
    return shape[axis];
}

} // namespace mc::model
