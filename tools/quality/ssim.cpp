// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/quality/ssim.h"

#include <array>
#include <cmath>
#include <vector>

namespace mc::quality {

namespace {

constexpr size_t RADIUS = SSIM_WINDOW / 2;
constexpr double C1 = 0.01 * 255 * 0.01 * 255, C2 = 0.03 * 255 * 0.03 * 255;

// The window is the product of a column and a row of these: [i] for the two taps at i from the middle.
using Weights = std::array<double, RADIUS + 1>;
Weights gaussian() {
    constexpr double sigma = 1.5;
    Weights weights;
    double sum = 0;
    for (size_t i = 0; i <= RADIUS; i++) {
        weights[i] = std::exp(-0.5 * double(i * i) / (sigma * sigma));
        sum += i ? 2 * weights[i] : weights[i];
    }
    for (double& w : weights) w /= sum;
    return weights;
}

// Weighted sums of what the taps point to, and of the `size` - 1 values behind each.
using Taps = std::array<const double*, SSIM_WINDOW>;
void blur(const Taps& taps, const Weights& weights, double* __restrict out, size_t size) {
    const auto [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10] = taps;
    const auto [w0, w1, w2, w3, w4, w5] = weights;
    for (size_t i = 0; i < size; i++)
        out[i] = t5[i] * w0 + (t4[i] + t6[i]) * w1 + (t3[i] + t7[i]) * w2 + (t2[i] + t8[i]) * w3 +
                 (t1[i] + t9[i]) * w4 + (t0[i] + t10[i]) * w5;
}

} // namespace

double ssim(const double* x, const double* y, size_t width, size_t height) {
    // Four local means say it all, of x, d = x - y, xy and dd: the difference of the means is mean(d), and
    // the sum of the variances is that of d and twice the covariance. So both fractions of SSIM are p / (p +
    // q) where q is 0 for equal planes, and small differences are not what is left of large numbers.
    enum { X, D, XY, DD, MEANS };
    const Weights weights = gaussian();
    const size_t columns = width - 2 * RADIUS;
    std::vector<double> row(MEANS * width), lines(SSIM_WINDOW * MEANS * columns), mean(MEANS * columns);
    // The last 11 lines, blurred along the line, are kept; from them comes one line of local means.
    const auto kept = [&](size_t line) { return lines.data() + line % SSIM_WINDOW * MEANS * columns; };
    Taps taps;
    double sum = 0;
    for (size_t line = 0; line < height; line++, x += width, y += width) {
        for (size_t i = 0; i < width; i++) {
            const double d = x[i] - y[i];
            row[X * width + i] = x[i];
            row[D * width + i] = d;
            row[XY * width + i] = x[i] * y[i];
            row[DD * width + i] = d * d;
        }
        for (size_t m = X; m < MEANS; m++) {
            for (size_t t = 0; t < SSIM_WINDOW; t++) taps[t] = row.data() + m * width + t;
            blur(taps, weights, kept(line) + m * columns, columns);
        }
        if (line + 1 < SSIM_WINDOW) continue;

        for (size_t t = 0; t < SSIM_WINDOW; t++) taps[t] = kept(line + 1 + t);
        blur(taps, weights, mean.data(), MEANS * columns);
        for (size_t i = 0; i < columns; i++) {
            const double mx = mean[X * columns + i], md = mean[D * columns + i],
                         mean_product = mx * (mx - md);
            const double p1 = 2 * mean_product + C1, q1 = md * md;
            const double p2 = 2 * (mean[XY * columns + i] - mean_product) + C2,
                         q2 = mean[DD * columns + i] - q1;
            row[i] = p1 * p2 / ((p1 + q1) * (p2 + q2));
        }
        for (size_t i = 0; i < columns; i++) sum += row[i];
    }
    return sum / double(columns * (height - 2 * RADIUS));
}

} // namespace mc::quality
