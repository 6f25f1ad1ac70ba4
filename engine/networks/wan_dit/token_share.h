// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The rows of one forward divided among the ranks of a team, after DeepSpeed-Ulysses (Jacobs et al. 2023): each takes
// its rows through everything but self-attention, and there all rows through its heads. All lay out the same rows,
// compacted: what a cache leaves out is left out before they are divided.
#include <ATen/core/Tensor.h>
#include <initializer_list>
#include <vector>

#include "engine/cancel.h"
#include "engine/ranks/group.h"

namespace mc::wan_dit {

class TokenShare {
  public:
    // The team: `count` ranks of the group from `leader` on. most: rows of a forward. activations: their type and
    // device. link: by which they are exchanged; null: by way of the hosts.
    TokenShare(ranks::Group& group, int leader, int count, int64_t width, int64_t heads, int64_t most,
               const at::TensorOptions& activations, std::shared_ptr<ranks::DeviceLink> link);
    static int64_t bytes(int64_t width, int count, int64_t most, int64_t element);

    void begin(int64_t rows); // of all; what follows is about them
    int count() const { return count_; }
    bool leads() const { return me_ == 0; }
    int64_t first_of(int member) const { return rows_ * member / count_; } // its rows: up to first_of(member + 1)
    int64_t first() const { return first_of(me_); }
    int64_t last() const { return first_of(me_ + 1); }
    int64_t heads() const { return heads_ / count_; } // of each rank
    int64_t width() const { return width_ / count_; } // of these heads

    enum Part { QUERY, KEY, VALUE };
    // All do it at the same time, when what it takes is in place. Throws MC_CANCELLED in all ranks alike, when the
    // leader's token is set.
    void to_heads(Cancel cancel);
    void to_rows();
    // The leader gets everybody's rows, [rows, D], in `all`. mine: of this rank.
    void collect(const at::Tensor& mine, const at::Tensor& all);

    // On the CPU, row by row and in any thread.
    void put(Part part, int64_t row, const void* values); // [D] of row `row` of this rank's, for the ranks of the heads
    // [width()] of any row, of the heads here: what was put, after to_heads. Rows of one member lie width() elements
    // apart.
    const void* of_heads(Part part, int64_t row) const { return slot(part, row); }
    void* attended(int64_t row) { return at(attended_, row * width()); } // what attention gives of them, for to_rows
    void take(int64_t row, void* values) const; // [D] of row `row` of this rank's, of all heads

    // The same on any device, all rows at once.
    void put(const at::Tensor& parts);                               // [3, last() - first(), D]: a part after another
    at::Tensor of_heads(Part part) const { return of_heads({part}); } // [rows, width()]
    at::Tensor keys_values() const { return of_heads({KEY, VALUE}); } // [2 rows, width()]
    void attended(const at::Tensor& rows);                            // [rows, width()]
    at::Tensor take() const;                                          // [last() - first(), D]

    // After a forward that failed: where all did not stop alike, the others are not to wait for this rank.
    void leave();

  private:
    static void* at(const at::Tensor& memory, int64_t element);
    void* slot(Part part, int64_t row) const;
    at::Tensor of_heads(std::initializer_list<Part> parts) const;
    ranks::Group& group_;
    const int leader_, count_, me_; // me_: of the team
    const int64_t width_, heads_;
    int64_t rows_ = 0;
    bool stopped_ = false;
    // Close together for each member: [members][3, rows here, width()], [members][3, its rows, width()],
    // [rows, width()], [members][rows here, width()].
    at::Tensor leaving_, arrived_, attended_, returned_;
    const std::shared_ptr<ranks::DeviceLink> link_;
};

} // namespace mc::wan_dit
