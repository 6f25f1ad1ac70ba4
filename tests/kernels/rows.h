// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The row kernels of devices against the plain versions, whether one thread runs a row or a warp.
#include <limits>

#include "kernels/rows/rows.h"
#include "tests/kernels/fuzz.h"

namespace mc::kernels::test {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

struct RowSizes {
    Store store;
    size_t rows, width, gap;
};
// Rows that fill a block and such that do not; widths of one lane, of published models and beside what a warp takes at
// once.
inline void each_size(const std::function<void(const RowSizes&, Random&)>& body, size_t most_width) {
    for (Store store : {Store::F32, Store::BF16})
        for (size_t width : {8, 32, 192, 256, 264, 1536, 2048, 5120})
            for (uint64_t seed = 0; seed < 3 && width <= most_width; seed++) {
                Random random(seed + width);
                body({store, random.size(1, width > 300 ? 3 : 9), width, 8 * random.size(0, 2)}, random);
            }
}

inline void compare_rows(const char* what, const Activations& got, const Activations& want, Store store,
                         float size) {
    // Sums of a row's width, then a few operations on numbers of about `size`, in float32.
    const bool exact = store == Store::F32;
    compare(
        what, want.size(), [&](size_t i) { return got.at(i); }, [&](size_t i) { return want.at(i); },
        [&](size_t i) { return (exact ? 32 * ulp : bf16_ulp) * (size + std::fabs(want.at(i))); }, !exact);
}

inline void fuzz_residual_norm(const rows::Launchers& launch, size_t most_width) {
    each_size(
        [&](const RowSizes& s, Random& random) {
            const size_t stride = s.width + s.gap, groups = 3;
            const bool with_delta = random.coin() || random.coin(), with_gate = random.coin(),
                       grouped = random.coin(), with_out = !with_delta || random.coin() || random.coin();
            Activations x(random.normals(s.rows * stride, 1, 0.3f), s.store),
                plain_x = x, delta(random.normals(s.rows * stride), s.store),
                out(std::vector<float>(s.rows * stride, not_a_number), s.store), plain_out = out;
            const size_t table = 6 * s.width;
            std::vector<float> tables = random.normals(groups * table);
            std::vector<int32_t> group(s.rows);
            for (int32_t& g : group) g = int32_t(random.size(0, groups - 1));
            std::vector<float> plus = tables, wide(s.rows * stride);
            for (float& m : plus) m += 1;
            for (size_t i = 0; i < wide.size(); i++) wide[i] = delta.at(i);
            if (s.rows > 2) { // in one row alone
                std::vector<float> odd(wide);
                odd[stride + 3] = std::numeric_limits<float>::infinity();
                delta = Activations(odd, s.store), wide = odd;
            }
            rows::ResidualNorm a{};
            a.x = x.data();
            a.delta = with_delta ? delta.data() : nullptr;
            a.gate = with_gate ? tables.data() + 2 * s.width : nullptr;
            a.mult = tables.data() + s.width, a.add = tables.data();
            a.group = group.data();
            a.out = with_out ? out.data() : nullptr;
            a.rows = s.rows, a.width = s.width, a.x_stride = a.delta_stride = a.out_stride = stride;
            a.gate_stride = table, a.norm_stride = grouped ? table : 0;
            a.base = 1, a.eps = 1e-6f, a.store = s.store;
            launch.residual_norm(a);
            ResidualNorm p{};
            p.x = plain_x.data();
            p.delta = with_delta ? wide.data() : nullptr;
            p.gate = a.gate;
            p.mult = plus.data() + s.width, p.add = a.add;
            p.group = group.data(), p.group_norm = grouped ? group.data() : nullptr;
            p.group_stride = table;
            p.out = with_out ? plain_out.data() : nullptr;
            p.rows = s.rows, p.width = s.width, p.x_stride = p.delta_stride = p.out_stride = stride;
            p.eps = a.eps, p.store = s.store;
            plain::residual_norm(p);
            compare_rows("residual_norm x", x, plain_x, s.store, 4);
            compare_rows("residual_norm out", out, plain_out, s.store, 8);
        },
        most_width);
}

// Queries in place, keys and values to slots of a memory.
inline void fuzz_project(const rows::Launchers& launch, size_t most_width) {
    each_size(
        [&](const RowSizes& s, Random& random) {
            const size_t in_stride = 3 * s.width + s.gap, slots = 2 * s.rows + 3,
                         head = s.width % 128 == 0  ? 128
                                : s.width % 48 == 0 ? 48
                                                    : 8,
                         positions = s.rows + 2;
            Activations in(random.normals(s.rows * in_stride), s.store),
                plain_in = in, memory(std::vector<float>(slots * s.width, not_a_number), s.store),
                plain_memory = memory;
            const std::vector<float> gain = random.normals(s.width, 0.3f, 1),
                                     cosine = random.normals(positions * head / 2),
                                     sine = random.normals(positions * head / 2);
            std::vector<int32_t> position(s.rows), key(s.rows), value(s.rows);
            for (size_t r = 0; r < s.rows; r++)
                position[r] = int32_t(random.size(0, positions - 1)), key[r] = int32_t(s.rows - r),
                value[r] = int32_t(slots - 1 - r);
            const size_t bytes = element_bytes(s.store);
            rows::Projection a{};
            a.parts = 3, a.rows = s.rows;
            for (size_t p = 0; p < 3; p++) {
                rows::RmsRope& part = a.part[p];
                part.in = static_cast<char*>(in.data()) + p * s.width * bytes;
                part.gain = p < 2 ? gain.data() : nullptr;
                if (p < 2) part.cosine = cosine.data(), part.sine = sine.data();
                part.position = position.data();
                part.slot = p == 0 ? nullptr : p == 1 ? key.data() : value.data();
                part.out = p ? memory.data() : in.data();
                part.width = s.width, part.head = head, part.in_stride = in_stride;
                part.out_stride = p ? s.width : in_stride;
                part.eps = 1e-6f, part.store = s.store;
            }
            launch.project(a);
            for (size_t r = 0; r < s.rows; r++)
                for (size_t p = 0; p < 3; p++) {
                    std::vector<float> row(s.width);
                    for (size_t i = 0; i < s.width; i++)
                        row[i] = plain_in.at(r * in_stride + p * s.width + i);
                    void* to = p ? element(plain_memory.data(), (p == 1 ? key : value)[r] * s.width, s.store)
                                 : element(plain_in.data(), r * in_stride, s.store);
                    if (p == 2) {
                        for (size_t i = 0; i < s.width; i++) put(row[i], to, i, s.store);
                        continue;
                    }
                    RmsRope q{};
                    q.in = row.data(), q.gain = gain.data(), q.cosine = cosine.data(), q.sine = sine.data();
                    q.position = &position[r], q.out = to;
                    q.rows = 1, q.width = s.width, q.head = head, q.in_stride = q.out_stride = s.width;
                    q.eps = 1e-6f, q.store = s.store;
                    plain::rms_rope(q);
                }
            compare_rows("project q", in, plain_in, s.store, 8);
            compare_rows("project keys and values", memory, plain_memory, s.store, 8);
        },
        most_width);
}

// kind: 0 keeps nothing, 1 repeats, 2 extrapolates.
inline void fuzz_reuse(const rows::Launchers& launch, size_t most_width) {
    each_size(
        [&](const RowSizes& s, Random& random) {
            for (int kind = 0; kind < 3; kind++) {
                const size_t n = s.rows * s.width;
                Activations in(random.normals(n), s.store), x(random.normals(n), s.store),
                    residual(random.normals(n), s.store), slope(random.normals(n), s.store),
                    out(std::vector<float>(n, not_a_number), s.store), plain_residual = residual,
                                                                       plain_slope = slope, plain_out = out;
                std::vector<int32_t> row(s.rows);
                std::vector<float> level(s.rows);
                int32_t computed = 0;
                for (size_t t = 0; t < s.rows; t++) {
                    const bool here = kind == 0 || random.coin();
                    row[t] = here ? computed++ : -1;
                    const size_t before = random.size(0, 5); // 0: never computed, 1: at this level
                    level[t] = before == 0 && here ? not_a_number
                               : before == 1       ? 0.5f
                                                   : 0.5f + 0.1f * float(before);
                }
                std::vector<float> plain_level = level;
                Reuse a{};
                a.in = in.data(), a.x = x.data(), a.row = row.data();
                a.residual = kind ? residual.data() : nullptr, a.slope = kind == 2 ? slope.data() : nullptr;
                a.level = kind == 2 ? level.data() : nullptr, a.level_now = 0.5f;
                a.out = out.data(), a.rows = s.rows, a.width = s.width, a.store = s.store;
                Reuse p = a;
                if (kind) p.residual = plain_residual.data();
                if (kind == 2) p.slope = plain_slope.data(), p.level = plain_level.data();
                p.out = plain_out.data();
                launch.reuse(a);
                plain::reuse(p);
                compare_rows("reuse out", out, plain_out, s.store, 4);
                compare_rows("reuse residual", residual, plain_residual, s.store, 1);
                compare_rows("reuse slope", slope, plain_slope, s.store, 40);
                compare(
                    "reuse level", s.rows, [&](size_t i) { return level[i]; },
                    [&](size_t i) { return plain_level[i]; }, [](size_t) { return 0.; });
            }
        },
        most_width);
}

inline void fuzz_change(const rows::Launchers& launch, size_t most_width) {
    each_size(
        [&](const RowSizes& s, Random& random) {
            const size_t stride = s.width + s.gap;
            Activations x(random.normals(s.rows * stride), s.store),
                y(random.normals(s.rows * stride), s.store);
            std::vector<float> change(s.rows + 2, 7), want = change;
            launch.change({x.data(), y.data(), change.data() + 1, s.rows, s.width, stride, stride, s.store});
            plain::frame_change(x.data(), stride, y.data(), stride, s.rows, s.width, s.store,
                                want.data() + 1);
            compare(
                "change", want.size(), [&](size_t i) { return change[i]; }, [&](size_t i) { return want[i]; },
                [&](size_t i) { return 32 * ulp * want[i]; });
        },
        most_width);
}

// There and back, a group apart in ulp of its largest element at most; what is not in a slot stays.
inline void fuzz_codes(const rows::Launchers& launch, size_t most_width) {
    each_size(
        [&](const RowSizes& s, Random& random) {
            const size_t slots = s.rows + 2,
                         group = s.width % 128 == 0 ? 128
                                 : s.width == 192   ? 48
                                                    : 8,
                         groups = s.width / group;
            std::vector<float> values = random.normals(slots * s.width);
            const size_t odd = group * random.size(0, s.rows * groups - 1); // of one group
            values[odd + 3] = random.coin() ? not_a_number : std::numeric_limits<float>::infinity();
            if (groups > 1)
                for (size_t i = 0; i < group; i++) values[(odd + group) % values.size() + i] = 0;
            Activations rows(values, s.store), back(std::vector<float>(slots * s.width, 7), s.store);
            std::vector<int8_t> code(slots * s.width, 77);
            std::vector<float> scale(slots * groups, 7);
            std::vector<int32_t> slot(s.rows);
            for (size_t r = 0; r < s.rows; r++) slot[r] = int32_t(s.rows - r); // 1 to rows
            rows::Codes a{rows.data(), code.data(), scale.data(), slot.data(),
                          s.rows,      s.width,     group,        s.store};
            launch.quantize(a);
            a.rows = back.data();
            launch.restore(a);
            for (size_t at = 0; at < slots; at++)
                for (size_t g = 0; g < groups; g++) {
                    const size_t first = at * s.width + g * group;
                    if (at == 0 || at > s.rows) {
                        CHECK_EQ(scale[at * groups + g], 7);
                        for (size_t i = 0; i < group; i++)
                            CHECK(code[first + i] == 77 && back.at(first + i) == 7);
                        continue;
                    }
                    float most = 0;
                    bool finite = true;
                    for (size_t i = 0; i < group; i++)
                        most = std::max(most, std::fabs(rows.at(first + i))),
                        finite &= std::isfinite(rows.at(first + i));
                    // Half a step, and what the product is rounded by.
                    const float apart = most * (0.5f / 127 + (s.store == Store::F32 ? 8 * ulp : bf16_ulp));
                    size_t off = 0;
                    for (size_t i = 0; i < group; i++) {
                        const float got = back.at(first + i);
                        off += !(finite ? std::fabs(got - rows.at(first + i)) <= apart : std::isnan(got));
                    }
                    CHECK_EQ(off, size_t(0));
                }
        },
        most_width);
}

inline void fuzz_rows(const rows::Launchers& launch, size_t most_width) {
    fuzz_residual_norm(launch, most_width);
    fuzz_project(launch, most_width);
    fuzz_reuse(launch, most_width);
    fuzz_change(launch, most_width);
    fuzz_codes(launch, most_width);
}

} // namespace mc::kernels::test
