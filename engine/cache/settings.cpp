// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/settings.h"

#include <cmath>
#include <string>

#include "engine/error.h"

namespace mc::cache {
namespace {

[[noreturn]] void refuse(const std::string& what, double value, const std::string& range) {
    std::string text = std::to_string(value);
    if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    throw Error(MC_ERROR_SETTINGS, what + " is " + text + " but must " + range + ".");
}

void share(const char* what, double value, const char* usual) {
    if (!(value >= 0 && value <= 1))
        refuse(what, value, std::string("lie between 0 and 1; ") + usual + " is usual");
}

void count(const char* what, int value, const char* usual) {
    if (value < 0) refuse(what, value, std::string("be 0 or more; ") + usual + " is usual");
}

} // namespace

// By the names that a user sets them under, as far as they have any.
void check(const Settings& settings) {
    if (!(settings.threshold > 0) || !std::isfinite(settings.threshold))
        refuse("cache-threshold", settings.threshold, "be a number above 0; 0.1 is usual");
    for (double coefficient : settings.polynomial.coefficients)
        if (!std::isfinite(coefficient))
            refuse("A coefficient of the cache's polynomial", coefficient,
                   "be a number; take those that were published or calibrated for the model");
    count("cache-warmup", settings.warmup, "4");
    count("cache-coarse-updates", settings.coarse_updates, "6");
    share("cache-weight-floor", settings.weight_floor, "0.6");
    if (settings.vote) share("cache-vote", *settings.vote, "0.5");
    share("cache-min-ratio", settings.min_ratio, "0.4");
    if (!(settings.first_share > 0 && settings.first_share <= 1))
        refuse("cache-first-share", settings.first_share, "lie above 0 and be at most 1; 1 switches it off");
    if (!(settings.noise_power >= 0 && settings.noise_power <= 8))
        refuse("cache-noise-power", settings.noise_power, "lie between 0 and 8; 0 switches it off");
    if (settings.first_frames < 1)
        refuse("The cache's number of first frames", settings.first_frames, "be 1 or more");
    count("The cache's number of chunks", settings.chunks, "0");
    if (!is_path(settings.path))
        throw Error(MC_ERROR_SETTINGS, "The cache's path must go from sigma 1 to sigma 0 with lengths that rise from 0 to 1; "
                                       "calibrate the model again.");
    count("cache-warmup (the number of forced first evaluations)", settings.forced_first, "5");
    count("The cache's number of forced last evaluations", settings.forced_last, "1");
    count("The cache's period of its counter", settings.counter_period, "0");
}

} // namespace mc::cache
