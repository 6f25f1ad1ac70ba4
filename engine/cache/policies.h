// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the policies share.
#include <limits>
#include <string>

#include "engine/cache/policy.h"

namespace mc::cache {

// Keeps the shape of the window and checks what a sampler passes: a fault of it ends as MC_ERROR_INTERNAL,
// not in an access out of bounds.
class WindowPolicy : public Policy {
  public:
    void begin_window(const WindowShape& shape) final;
    void extend_window(int rows) final { shape_.rows = rows; }
    std::vector<Plan> decide(int row, int branch, std::span<const ChunkStep> chunks) final;

  protected:
    virtual void forget() = 0; // shape_ is the new one
    virtual std::vector<Plan> plan(int row, int branch, std::span<const ChunkStep> chunks) = 0;

    size_t chunk_tokens() const { return size_t(shape_.chunk_frames) * size_t(shape_.frame_tokens); }
    // Of states that are kept for each branch and chunk: how many, and the place of one.
    size_t states() const { return size_t(shape_.branches) * size_t(shape_.chunks); }
    size_t state_of(int branch, int chunk) const;
    // Whether a chunk at its first step comes with a distance, as in decisions by place.
    virtual bool compares_starting() const { return false; }
    bool is_end(int row) const { return row == 0 || row == shape_.rows - 1; }
    static bool any_starts(std::span<const ChunkStep> chunks);
    [[noreturn]] static void fault(const std::string& what);
    void report(const Decision& decision) const {
        if (observer_) observer_(decision);
    }
    // With nothing decided yet.
    static Decision decision_of(int row, int branch, const ChunkStep& chunk);
    // What is computed of a chunk, by token; says so in `decision`: WHOLE, PARTIAL or REUSED.
    static Plan plan_of(std::span<const uint8_t> computed, Decision& decision);
    void check_change(std::span<const float> change) const;
    // Of a policy that knows chunks only, not tokens.
    void report_chunk(int row, int branch, const ChunkStep& chunk, bool computed, bool forced,
                      double distance = NOT_TAKEN, double accumulated = NOT_TAKEN) const;

    static constexpr double NOT_TAKEN = std::numeric_limits<double>::quiet_NaN();
    WindowShape shape_{};
};

} // namespace mc::cache
