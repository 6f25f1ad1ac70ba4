// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Decides what is computed of each chunk: a small state machine over plain numbers. A session has one, and its sampler
// calls it in this order:
//
//     begin_window(shape)
//     for each row, in order:
//         decide(row, branch, chunks)       for branch 0, then for branch 1: a plan for each chunk that takes a step
//         wants_motion(branch, chunk)       for each of these chunks, in order, once its branch is decided; where true,
//         motion(branch, chunk, ...)        follows, in the same order, when the plans have been executed
//         finished(chunk)                   for each chunk that has taken its last step; a sampler may leave this out
//     begin_window(shape)                   of the next window: what was known of the one before is forgotten
//
// Both branches may be decided before either is executed, or one after the other. With CacheReuse::SOLVER branch 1 is
// not decided: it takes the plans of branch 0. A chunk that takes no step in a row (given, not begun, finished) is not
// passed to decide. Between two rows extend_window may make the window longer. wants_token_distances and
// wants_prefix_motion may be asked at any time, weights after motion. A stream without end is one window of UNLIMITED
// chunks and rows.
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "engine/cache/plan.h"
#include "engine/cache/settings.h"

namespace mc::cache {

// How far one of the equal parts of a chunk moved since the chunk's previous evaluation, computed or reused: mean over
// channels of |now - before| and of |before|. The sampler decides what is measured: the time embedding of a latent
// frame, or the patch embeddings of a chunk or of a token.
struct FrameDistance {
    double difference, magnitude;
};

constexpr int UNLIMITED = std::numeric_limits<int>::max();

struct WindowShape {
    int chunks;       // 1 where the whole window is decided at once
    int chunk_frames; // latent frames of a chunk
    int frame_tokens; // tokens of a latent frame
    int branches;     // 1 or 2
    int steps;        // evaluations of a chunk, from the first to the last of the schedule; `rows` where the
                      // whole window is decided at once
    int rows;         // of the window
    int given = 0;    // its first latent frames, which are not generated
    int video_chunks = 0; // that are generated in all windows; 0: this one's chunks
};

struct ChunkStep {
    int chunk;
    int step;                                // evaluations of this chunk in this window before this one
    // [chunk_frames], [1] or [tokens of a chunk]; empty: nothing before, at step 0
    std::span<const FrameDistance> distance;
    double sigma = 1;                        // noise level of this evaluation, 0..1
    double next_sigma = 0;                   // of the one after it; 0 at the last
};

// Everything about one decision, for tests, logs and golden cases. Spans live during the call.
struct Decision {
    // What the plan is, and why where a policy tells more: WARMUP and FIRST_AFTER_WARMUP are whole, SUPPRESSED is
    // reused (too few tokens were due). These three and PARTIAL are of MotionCache alone.
    enum class Kind { WARMUP, FIRST_AFTER_WARMUP, WHOLE, PARTIAL, REUSED, SUPPRESSED };
    int row, branch, chunk, step;
    Kind kind;
    bool forced;        // computed regardless of the distance
    double distance;    // rescaled, what was added for a token of weight 1 (CacheDistance::TOKEN: mean over the
                        // frames); NaN: none was taken
    double accumulated; // of a whole chunk, or of all: the sum compared with the threshold; NaN: none
    // MotionCache, past the first step after warm-up; else empty. One value per token. The sums: with this
    // step's distance, and what is left of them after the decision.
    std::span<const float> weights, token_distance, accumulated_before, accumulated_after;
    std::span<const uint8_t> due, voted, computed; // reached the threshold; after the vote; are computed
    int coarse_updates;                           // counted so far, this one included
    bool weighted;                                // motion weights were in use in this step
    bool fine;                                    // motion weights are in use from the next step on
};
using Observer = std::function<void(const Decision&)>;

class Policy {
  public:
    virtual ~Policy() = default;
    // Forgets everything of the window before.
    virtual void begin_window(const WindowShape& shape) = 0;
    // The window has become longer: chunks that have not begun begin later.
    virtual void extend_window(int rows) = 0;
    // Called for each row in order; `chunks` in order and at least one.
    virtual std::vector<Plan> decide(int row, int branch, std::span<const ChunkStep> chunks) = 0;
    // Whether ChunkStep::distance of this chunk shall have one for each token, from a sampler that can measure that.
    virtual bool wants_token_distances([[maybe_unused]] int chunk) const { return false; }
    // Whether motion() shall be called for this chunk after its plan was executed, even if the plan reuses everything.
    virtual bool wants_motion(int branch, int chunk) const;
    // Whether the first chunk that is generated is to be compared with the given one before it. The sampler then keeps
    // what it needs of that one when it is passed for its keys and values.
    virtual bool wants_prefix_motion() const { return false; }
    // change[token]: how far the token is from its position one latent frame earlier, as the sampler measures it: of
    // outputs of the last layer mean |x - x'| / (mean |x'| + 1e-8) over channels, or of latents mean |x - x'|. The
    // chunk's first frame is compared with the chunk before; where nothing of that was kept, has_previous is false and
    // the values of the first frame mean nothing.
    virtual void motion(int branch, int chunk, std::span<const float> change, bool has_previous);
    // The weights that motion() made, for the observer of a golden case; empty without.
    virtual std::span<const float> weights(int branch, int chunk) const;
    // The chunk takes no further step: what is kept of it may go.
    virtual void finished([[maybe_unused]] int chunk) {}
    void observe(Observer observer) { observer_ = std::move(observer); }

  protected:
    Observer observer_;
};

// NoCache: every chunk is computed wholly in every row. Throws MC_ERROR_SETTINGS for values out of their range.
std::unique_ptr<Policy> make_policy(const AnySettings& settings);

} // namespace mc::cache
