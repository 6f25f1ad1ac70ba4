// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/common_settings.h"

#include <cmath>

#include "engine/error.h"

namespace mc::cache {

void refuse_value(const std::string& what, double value, const std::string& range) {
    std::string text = std::to_string(value);
    if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    throw Error(MC_ERROR_SETTINGS, what + " is " + text + " but must " + range + ".");
}

void check_share(const char* what, double value, const char* usual) {
    if (!(value >= 0 && value <= 1))
        refuse_value(what, value, std::string("lie between 0 and 1; ") + usual + " is usual");
}

void check_count(const char* what, int value, const char* usual) {
    if (value < 0) refuse_value(what, value, std::string("be 0 or more; ") + usual + " is usual");
}

void check_common(const CommonSettings& settings) {
    if (!(settings.threshold > 0) || !std::isfinite(settings.threshold))
        refuse_value("cache-threshold", settings.threshold, "be a number above 0; 0.1 is usual");
    for (double coefficient : settings.polynomial.coefficients)
        if (!std::isfinite(coefficient))
            refuse_value("A coefficient of the cache's polynomial", coefficient,
                         "be a number; take those that were published or calibrated for the model");
}

} // namespace mc::cache
