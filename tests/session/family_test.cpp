// SPDX-License-Identifier: LGPL-2.1-or-later
// The session over a family made for the test: what it does for any family.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/error.h"
#include "engine/session/session.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::session;

namespace {

// Chunks of three frames, each after two steps; the numbers of a chunk are `value`.
struct Counting final : Video {
    Outline outline_{};
    float value;
    int steps = 0, chunks, taken = 0;
    Counting(int chunks, int64_t frames, float value) : value(value), chunks(chunks) {
        outline_.frames = frames;
        outline_.chunks = chunks;
        outline_.forwards = 2 * chunks;
        outline_.seed = 7;
        outline_.bytes = 100;
    }
    const Outline& outline() const override { return outline_; }
    bool step(Meter& meter) override {
        if (steps == 2 * chunks) return false;
        steps++;
        meter.update([](Stats& s) { s.forwards++; });
        return true;
    }
    std::optional<session::FinishedFrames> take(Meter&) override {
        if (steps < 2 * (taken + 1)) return std::nullopt;
        taken++;
        sampler::ChunkCount count;
        count.turns = 2;
        return session::FinishedFrames{at::full({3, 3, 2, 2}, value), count};
    }
    networks::CallCount calls() const override { return {}; }
};

struct Counters final : Family {
    int chunks = 2;
    int64_t frames = 5;
    float value = 3;
    std::unique_ptr<Video> begin(Request request) const override {
        return std::make_unique<Counting>(chunks, frames, value);
    }
    int64_t bytes() const override { return 1000; }
    ModelFamily name() const override { return ModelFamily::MAGI1; }
};

} // namespace

TEST(frames_are_clipped_clamped_and_counted) {
    Session s(std::make_shared<Counters>(), {});
    CHECK_EQ(s.stats().bytes_planned, 1100);
    auto first = s.next(), second = s.next();
    CHECK(first && first->first == 0 && first->pixels.size(1) == 3);
    CHECK(second && second->first == 3 && second->pixels.size(1) == 2); // five of six frames are asked for
    CHECK_EQ(first->pixels.max().item<float>(), 1.0f);
    CHECK(!s.next());
    const Stats stats = s.stats();
    CHECK(stats.seed == 7 && stats.frames == 5 && stats.chunks == 2 && stats.forwards == 4);
    CHECK(s.chunk_stats(1)->first_frame == 3 && s.chunk_stats(1)->frames == 2);
    CHECK(s.chunk_stats(1)->count.turns == 2 && !s.chunk_stats(2));
}

TEST(a_video_that_ends_early_ends_the_session) {
    auto family = std::make_shared<Counters>();
    family->frames = 100;
    Session s(family, {});
    CHECK(s.next() && s.next() && !s.next() && !s.next());
}

TEST(frames_that_are_no_numbers_are_an_error) {
    auto family = std::make_shared<Counters>();
    family->value = NAN;
    Session s(family, {});
    CHECK_ERROR(s.next(), MC_ERROR_NUMBERS, "The VAE produced NaN");
}

TEST(what_the_family_does_not_know_is_refused_before_the_video_and_while_it_is_made) {
    Request r;
    r.shift = 5;
    CHECK_ERROR(Session(std::make_shared<Counters>(), r), MC_ERROR_SETTINGS,
                "shift is for SkyReels-V2, not for MAGI-1: drop it; the noise schedule has a fixed shift there");
    r = {};
    r.end_image.emplace(); // pixels count as well
    CHECK_ERROR(Session(std::make_shared<Counters>(), r), MC_ERROR_SETTINGS,
                "end-image is for SkyReels-V2, not for MAGI-1: drop it; image sets how a video begins");
    Session s(std::make_shared<Counters>(), {});
    Fields change;
    change.negative_prompt = "fog";
    CHECK_ERROR(s.update(change, {}), MC_ERROR_SETTINGS, "negative-prompt is for SkyReels-V2, not for MAGI-1");
}

TEST(the_family_outlives_the_video) {
    auto family = std::make_shared<Counters>();
    std::weak_ptr<Counters> held = family;
    auto s = std::make_unique<Session>(std::move(family), Request{});
    CHECK(!held.expired());
    s.reset();
    CHECK(held.expired());
}

TEST(cancelling_is_noticed_before_a_step) {
    McCancel cancel;
    Request r;
    r.cancel = Cancel(&cancel);
    Session s(std::make_shared<Counters>(), r);
    cancel.set = true;
    CHECK_ERROR(s.next(), MC_CANCELLED, "");
    CHECK_EQ(s.stats().forwards, 0);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
