// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/check.h"
#include "tools/calibrate/presets.h"

using namespace mc;
using namespace mc::calibrate;

namespace {

Trial level(double share, double psnr, double speedup, double ssim = 0.99, double partial = 0.3) {
    cache::MotionCacheSettings s;
    s.threshold = 1 / share;
    return {s, psnr, ssim, share, partial, speedup};
}

std::vector<Trial> levels() {
    return {level(0.35, 41, 2), level(0.28, 39, 2.5), level(0.22, 37, 3), level(0.18, 36, 3.5),
            level(0.15, 34, 4), level(0.12, 32, 5),   level(0.10, 30, 6), level(0.08, 28, 7)};
}

} // namespace

TEST(each_preset_is_the_fastest_that_reaches_its_goal) {
    const Choice c = choose_presets(levels());
    CHECK_EQ(c.presets[0].share, 0.28);
    CHECK_EQ(c.presets[1].share, 0.15);
    CHECK_EQ(c.presets[2].share, 0.10);
    CHECK_EQ(c.notes.size(), size_t(0));
}

TEST(what_prompts_leave_uncertain_is_not_promised) {
    std::vector<Trial> list = levels();
    for (Trial& t : list) t.error = 1.2;
    CHECK_NEAR(list[0].stated(), 39.8, 1e-12);
    const Choice c = choose_presets(list);
    CHECK_EQ(c.presets[0].share, 0.35); // 39 dB may be less with other prompts
    CHECK_EQ(c.presets[1].share, 0.18); // 36 - 1.2 reaches 34
    CHECK_EQ(c.presets[2].share, 0.12);
}

TEST(what_is_blurred_is_no_preset) {
    std::vector<Trial> list = levels();
    list[4].ssim = 0.91; // of balanced
    list[6].ssim = 0.87; // of fast
    const Choice c = choose_presets(list);
    CHECK_EQ(c.presets[1].share, 0.18);
    CHECK_EQ(c.presets[2].share, 0.12);
}

TEST(a_level_that_computes_whole_chunks_or_nothing_of_them_is_a_level) {
    std::vector<Trial> list = levels();
    for (Trial& t : list) t.partial = 0;
    CHECK_EQ(choose_presets(list).presets[1].share, 0.15);
}

TEST(a_model_that_caches_well_still_has_three_presets) {
    std::vector<Trial> list = levels();
    for (Trial& t : list) t.psnr = 50;
    const Choice c = choose_presets(list);
    CHECK_EQ(c.presets[2].share, 0.08);
    CHECK_EQ(c.presets[1].share, 0.10);
    CHECK_EQ(c.presets[0].share, 0.12);
}

TEST(missed_goals_fall_back_to_shares_and_say_so) {
    std::vector<Trial> list = levels();
    for (Trial& t : list) t.psnr = 20;
    const Choice c = choose_presets(list);
    CHECK_EQ(c.presets[0].share, 0.35);
    CHECK_EQ(c.presets[1].share, 0.22);
    CHECK_EQ(c.presets[2].share, 0.12);
    CHECK_EQ(c.notes.size(), size_t(3));
    CHECK(c.notes[0].find("quality") != std::string::npos);
}

TEST(speedups_rise_from_preset_to_preset) {
    std::vector<Trial> list = levels();
    for (Trial& t : list) t.psnr = 20;
    list[2].speedup = 1.9; // a hiccup of the machine at the level that balanced would take
    const Choice c = choose_presets(list);
    CHECK(c.presets[0].speedup < c.presets[1].speedup);
    CHECK(c.presets[1].speedup < c.presets[2].speedup);
    for (size_t i = 0; i < list.size(); i++) list[i].speedup = 1 - 0.01 * double(i);
    CHECK_EQ(choose_presets(list).notes.size(), size_t(4)); // and the clock's
}

TEST(three_levels_are_enough) {
    const std::vector<Trial> list = {level(0.35, 20, 2), level(0.22, 35, 3), level(0.12, 20, 4)};
    const Choice c = choose_presets(list);
    CHECK_EQ(c.presets[0].share, 0.35);
    CHECK_EQ(c.presets[1].share, 0.22);
    CHECK_EQ(c.presets[2].share, 0.12);
}
