// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/bench/random_weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mc::bench {
namespace {

// Numbers in memory, posing as a file.
class Numbers final : public model::DataFile {
  public:
    explicit Numbers(at::Tensor numbers)
        : DataFile("random weights", numbers.nbytes()), numbers_(numbers) {}
    void read(uint64_t at, void* into, size_t bytes) const override {
        std::memcpy(into, static_cast<const std::byte*>(numbers_.const_data_ptr()) + at, bytes);
    }

  private:
    at::Tensor numbers_;
};

class RandomTensors final : public model::Tensors {
  public:
    RandomTensors(const std::vector<model::ExpectedTensor>& expected, int64_t width) {
        origin = "random weights";
        int64_t most = 0;
        for (const model::ExpectedTensor& t : expected) most = std::max(most, count(t));
        const auto matrix =
            std::make_shared<Numbers>(at::randn({most}) * (0.5 / std::sqrt(double(width))));
        const auto ones = std::make_shared<Numbers>(at::ones({width}));
        for (const model::ExpectedTensor& t : expected) {
            const bool gain = t.shape.size() == 1 && t.name.ends_with("weight");
            tensors_[t.name] = {model::DType::F32, t.shape, *model::byte_count(model::DType::F32, t.shape),
                                gain ? ones : matrix};
        }
    }

  private:
    static int64_t count(const model::ExpectedTensor& t) {
        int64_t n = 1;
        for (int64_t side : t.shape) n *= side;
        return n;
    }
};

} // namespace

model::TransformerConfig wan_1_3b(int layers) {
    model::TransformerConfig c;
    c.width = 1536, c.heads = 12, c.layers = layers, c.ffn = 8960;
    c.in_channels = c.out_channels = 16;
    c.text_width = 4096;
    return c;
}

model::MagiDitConfig magi_4_5b(int layers) {
    model::MagiDitConfig c;
    c.width = 3072, c.heads = 24, c.groups = 8, c.layers = layers, c.ffn = 12288;
    c.in_channels = c.out_channels = 16;
    c.condition = c.width / 4;
    c.text_width = 4096;
    c.distilled = true;
    return c;
}

std::unique_ptr<model::Tensors> random_weights(const std::vector<model::ExpectedTensor>& expected, int64_t width) {
    return std::make_unique<RandomTensors>(expected, width);
}

} // namespace mc::bench
