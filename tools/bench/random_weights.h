// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Networks of published sizes without their weights: random numbers in memory. Time does not depend on what they are;
// what a cache decides does.
#include <memory>
#include <vector>

#include "engine/model/tensors.h"
#include "engine/networks/magi_dit/config.h"
#include "engine/networks/wan_dit/config.h"

namespace mc::bench {

model::TransformerConfig wan_1_3b(int layers);
// Distilled: one branch.
model::MagiDitConfig magi_4_5b(int layers);

// The tensors of a network `width` wide. All begin with the same random numbers, so that they take the memory of the
// largest; gains are 1.
std::unique_ptr<model::Tensors> random_weights(const std::vector<model::ExpectedTensor>& expected, int64_t width);

} // namespace mc::bench
