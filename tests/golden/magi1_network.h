// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What cases of MAGI-1's transformer share: the network of a case in either precision, and the two ways of computing.
#include <functional>
#include <memory>

#include "engine/networks/magi_dit/passes.h"
#include "tests/golden/runner.h"

namespace mc::golden {

// The network that the case's configuration describes, from the weights of its group.
class MagiNetwork {
  public:
    MagiNetwork(const Run& run, Precision precision);
    const magi_dit::Network& operator*() const { return *network_; }
    const magi_dit::Network* operator->() const { return network_.get(); }
    // What a forward of the case embeds as the size of its step; 0: nothing.
    float step_size(const Run& run) const;

  private:
    std::unique_ptr<magi_dit::Network> network_;
};

// [n, width]: the rows of text whose mask is 1; the mask is longer where the rows behind are zero.
at::Tensor unmasked(const at::Tensor& rows, const at::Tensor& mask);

// What `compute` gives on the plain way, and on the fast one as extras: judged by the same expectation and tolerance.
Produced by_both_ways(const Run& run, const std::function<Produced(bool plain)>& compute);

} // namespace mc::golden
