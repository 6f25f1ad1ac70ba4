// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Time embeddings (docs/algorithms.md#time-embedding), computed once per timestep: those of a schedule in one go,
// before the first row.
#include <ATen/core/Tensor.h>
#include <map>
#include <vector>

#include "engine/networks/linear.h"
#include "engine/networks/wan_dit/transformer.h"

namespace mc::wan_dit {

class TimeTable {
  public:
    TimeTable(const Transformer::Impl& model, int fps) : model_(model), fps_(fps) {}
    // Computes those that are missing.
    void prepare(const std::vector<int64_t>& timesteps, networks::CallCount* count);
    int64_t row(int64_t timestep) const { return rows_.at(timestep); } // in e and e0, once prepared
    const at::Tensor& e() const { return e_; }                         // [timesteps, D] float32
    const at::Tensor& e0() const { return e0_; } // [timesteps, 6, D] float32, with the fps term

  private:
    const Transformer::Impl& model_;
    const int fps_;
    std::map<int64_t, int64_t> rows_;
    at::Tensor e_, e0_;
};

} // namespace mc::wan_dit
