// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/report.h"

#include <chrono>
#include <cstdarg>
#include <cstdio>

#include "tools/calibrate/presets.h"

namespace mc::calibrate {

void progress(const char* format, ...) {
    static const auto start = std::chrono::steady_clock::now();
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(stderr, "%3lld:%02lld  ", static_cast<long long>(seconds / 60),
                 static_cast<long long>(seconds % 60));
    va_list arguments;
    va_start(arguments, format);
    std::vfprintf(stderr, format, arguments);
    va_end(arguments);
    std::fputc('\n', stderr);
}

std::string text_of(const cache::MotionCacheSettings& s) {
    const char* const reuse[] = {"repeat", "taylor", "solver"};
    char text[256];
    std::snprintf(text, sizeof text,
                  "reuse %s, first share %g of %d frames, warmup %d, coarse updates %d, weight floor %g, "
                  "min ratio %g, ",
                  reuse[int(s.reuse)], s.first_share, s.first_frames, s.warmup, s.coarse_updates,
                  s.weight_floor, s.min_ratio);
    std::string line = text;
    if (s.vote)
        std::snprintf(text, sizeof text, "vote %g", *s.vote), line += text;
    else
        line += "no vote";
    if (!s.path.empty())
        std::snprintf(text, sizeof text, ", %.0f and %.0f %% of the path behind it at sigma 0.9 and 0.5",
                      100 * s.path.at(0.9), 100 * s.path.at(0.5)),
            line += text;
    return line;
}

void print_table(std::span<const Trial> trials, const Choice& choice) {
    std::printf("%-9s %9s %9s %9s %14s %9s %9s %8s\n", "preset", "threshold", "computed", "in part", "PSNR",
                "elsewhere", "SSIM", "faster");
    for (const Trial& t : trials) {
        const char* name = "";
        std::string elsewhere = "-"; // presets alone are looked at elsewhere
        for (size_t g = 0; g < GOALS.size(); g++) {
            if (choice.presets[g].settings != t.settings) continue;
            name = GOALS[g].name;
            char text[32];
            std::snprintf(text, sizeof text, "%.2f", choice.presets[g].elsewhere);
            elsewhere = text;
        }
        std::printf("%-9s %9.5f %7.1f %% %7.1f %% %8.2f +-%4.2f %9s %9.4f %7.2fx\n", name, t.settings.threshold,
                    100 * t.share, 100 * t.partial, t.psnr, t.error, elsewhere.c_str(), t.ssim, t.speedup);
    }
    for (const std::string& note : choice.notes) std::printf("%s\n", note.c_str());
}

} // namespace mc::calibrate
