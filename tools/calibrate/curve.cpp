// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/curve.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/cache/polynomial_check.h"

namespace mc::calibrate {
namespace {

constexpr int N = 5;
using Row = std::array<double, N>;
constexpr double BINOMIAL[N] = {1, 4, 6, 4, 1};

// What increment j of the coefficients adds at t: every basis polynomial from the j-th on.
Row increments_at(double t) {
    Row row;
    double sum = 0;
    for (int i = N - 1; i >= 0; i--) {
        sum += BINOMIAL[i] * std::pow(t, i) * std::pow(1 - t, N - 1 - i);
        row[size_t(i)] = sum;
    }
    return row;
}

// Normal equations of the chosen unknowns by elimination; false where they do not determine them.
bool solve(const std::array<Row, N>& matrix, const Row& right, unsigned chosen, Row& solution) {
    std::array<std::array<double, N + 1>, N> m{};
    int unknown[N], n = 0;
    for (int i = 0; i < N; i++)
        if (chosen >> i & 1) unknown[n++] = i;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) m[size_t(i)][size_t(j)] = matrix[size_t(unknown[i])][size_t(unknown[j])];
        m[size_t(i)][size_t(n)] = right[size_t(unknown[i])];
    }
    double largest = 0;
    for (int i = 0; i < n; i++) largest = std::max(largest, m[size_t(i)][size_t(i)]);
    for (int column = 0; column < n; column++) {
        int pivot = column;
        for (int i = column + 1; i < n; i++)
            if (std::fabs(m[size_t(i)][size_t(column)]) > std::fabs(m[size_t(pivot)][size_t(column)]))
                pivot = i;
        std::swap(m[size_t(column)], m[size_t(pivot)]);
        if (!(std::fabs(m[size_t(column)][size_t(column)]) > 1e-14 * largest)) return false;
        for (int i = 0; i < n; i++) {
            if (i == column) continue;
            const double factor = m[size_t(i)][size_t(column)] / m[size_t(column)][size_t(column)];
            for (int j = column; j <= n; j++)
                m[size_t(i)][size_t(j)] -= factor * m[size_t(column)][size_t(j)];
        }
    }
    solution = {};
    for (int i = 0; i < n; i++)
        solution[size_t(unknown[i])] = m[size_t(i)][size_t(n)] / m[size_t(i)][size_t(i)];
    return true;
}

} // namespace

std::array<double, 5> fit_rising(std::span<const Point> points, double least, double most) {
    std::array<Row, N> matrix{};
    Row right{};
    std::vector<Row> rows;
    for (const Point& p : points) {
        rows.push_back(increments_at((p.x - least) / (most - least)));
        for (size_t i = 0; i < N; i++) {
            right[i] += rows.back()[i] * p.y;
            for (size_t j = 0; j < N; j++) matrix[i][j] += rows.back()[i] * rows.back()[j];
        }
    }
    // Increments that must not be negative: the best fit is the plain one of those that are not 0. Five
    // unknowns have few enough sets of them to try each.
    Row best{};
    double best_error = 0;
    for (const Point& p : points) best_error += p.y * p.y;
    for (unsigned chosen = 1; chosen < 1u << N; chosen++) {
        Row increments;
        if (!solve(matrix, right, chosen, increments)) continue;
        const double size = *std::max_element(increments.begin(), increments.end());
        bool allowed = true;
        for (double& d : increments) {
            allowed &= d >= -1e-12 * size;
            d = std::max(d, 0.0);
        }
        if (!allowed) continue;
        double error = 0;
        for (size_t k = 0; k < rows.size(); k++) {
            double y = 0;
            for (size_t i = 0; i < N; i++) y += rows[k][i] * increments[i];
            error += (y - points[k].y) * (y - points[k].y);
        }
        if (error < best_error) best_error = error, best = increments;
    }
    for (size_t i = 1; i < N; i++) best[i] += best[i - 1];
    return best;
}

cache::Polynomial in_powers(const std::array<double, 5>& b, double least, double most) {
    // In powers of t first, then t = (x - least) / width put in, the highest power first (Horner).
    Row in_t{};
    for (size_t k = 0; k < N; k++) {
        double choose = 1; // binomial(k, i)
        for (size_t i = 0; i <= k; i++) {
            in_t[k] += BINOMIAL[k] * choose * b[i] * ((k - i) % 2 ? -1 : 1);
            choose = choose * double(k - i) / double(i + 1);
        }
    }
    const double width = most - least;
    Row in_x{}; // the lowest power first
    for (size_t k = N; k-- > 0;) {
        Row next{};
        for (size_t i = 0; i < N; i++) {
            if (i + 1 < N) next[i + 1] += in_x[i] / width;
            next[i] -= in_x[i] * least / width;
        }
        next[0] += in_t[k];
        in_x = next;
    }
    cache::Polynomial p;
    std::reverse_copy(in_x.begin(), in_x.end(), p.coefficients.begin());
    return p;
}

std::optional<Curve> fit_curve(std::span<const Point> points) {
    if (points.empty()) return {};
    const auto [low, high] = std::minmax_element(points.begin(), points.end(),
                                                 [](const Point& a, const Point& b) { return a.x < b.x; });
    const double least = low->x, most = high->x;
    if (!(most > least)) return {};
    const std::array<double, 5> b = fit_rising(points, least, most);
    if (!(b[4] > 0) || !(b[4] - b[0] > 1e-3 * b[4])) return {};
    // Where it is flat, rounding in powers of x can let it fall: a trace of slope keeps it from that.
    for (double slope : {0.0, 1e-9, 1e-6, 1e-3}) {
        std::array<double, 5> tilted = b;
        for (size_t i = 0; i < N; i++) tilted[i] += slope * b[4] * double(i) / (N - 1);
        const Curve curve{in_powers(tilted, least, most), least, most};
        if (cache::rises(curve.polynomial, least, most)) return curve;
    }
    return {};
}

} // namespace mc::calibrate
