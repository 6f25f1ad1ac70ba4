// SPDX-License-Identifier: LGPL-2.1-or-later
// The fake device's kernels: the arithmetic of kernels/rows, one thread a row, and of pictures, on the shadow of the
// device's memory.
#include <set>

#include "engine/device_kernels.h"
#include "kernels/bf16.h"
#include "kernels/rows/one_by_one.h"
#include "tests/fake/memory.h"

namespace mc::fake {

namespace {

namespace rows = kernels::rows;

// Replaces a pointer by where the CPU reaches it.
template <class T>
void bring(T*& p, bool write = false) {
    p = static_cast<T*>(Memory::get().reach(p, write));
}
int64_t bytes_of(size_t elements, kernels::Store store) {
    return int64_t(elements * kernels::element_bytes(store));
}

void residual_norm(const rows::ResidualNorm& given) {
    if (!given.rows) return;
    counts.kernels++;
    rows::ResidualNorm a = given;
    bring(a.x, a.delta != nullptr), bring(a.delta), bring(a.gate), bring(a.mult), bring(a.add),
        bring(a.group);
    bring(a.out, true);
    rows::residual_norm(a);
    std::set<int32_t> groups{0};
    if (a.group) groups = {a.group, a.group + a.rows};
    const size_t times = 1 + (a.delta ? 2 : 0) + (a.out ? 1 : 0), tables = (a.gate ? 1 : 0) + (a.out ? 2 : 0);
    add_bytes("residual_norm", bytes_of(times * a.rows * a.width, a.store) +
                                   bytes_of(tables * groups.size() * a.width, kernels::Store::F32));
}

void project(const rows::Projection& given) {
    if (!given.rows) return;
    counts.kernels++;
    rows::Projection a = given;
    for (size_t p = 0; p < a.parts; p++) {
        rows::RmsRope& part = a.part[p];
        bring(part.in), bring(part.gain), bring(part.cosine), bring(part.sine), bring(part.position),
            bring(part.slot);
        bring(part.out, true);
        add_bytes("project", bytes_of(2 * a.rows * part.width, part.store) +
                                 (part.cosine ? bytes_of(a.rows * part.head, kernels::Store::F32) : 0));
    }
    rows::project(a);
}

void reuse(const kernels::Reuse& given) {
    if (!given.rows) return;
    counts.kernels++;
    kernels::Reuse a = given;
    bring(a.in), bring(a.x), bring(a.row), bring(a.residual, true), bring(a.slope, true),
        bring(a.level, true);
    bring(a.out, true);
    rows::reuse(a);
    size_t times = 0;
    for (size_t t = 0; t < a.rows; t++)
        times += a.row[t] < 0 ? (a.slope ? 4 : 3) : !a.residual ? 2 : a.slope ? 6 : 4;
    add_bytes("reuse", bytes_of(times * a.width, a.store));
}

void change(const rows::Change& given) {
    if (!given.rows) return;
    counts.kernels++;
    rows::Change a = given;
    bring(a.x), bring(a.y), bring(a.change, true);
    rows::change(a);
    add_bytes("change", bytes_of(2 * a.rows * a.width, a.store));
}

void quantize(const rows::Codes& given) {
    if (!given.count) return;
    counts.kernels++;
    rows::Codes a = given;
    bring(a.rows), bring(a.code, true), bring(a.scale, true), bring(a.slot);
    rows::quantize(a);
    const size_t n = a.count * a.width;
    add_bytes("quantize", bytes_of(n, a.store) + int64_t(n + 4 * n / a.group));
}
void restore(const rows::Codes& given) {
    if (!given.count) return;
    counts.kernels++;
    rows::Codes a = given;
    bring(a.rows, true), bring(a.code), bring(a.scale), bring(a.slot);
    rows::restore(a);
    const size_t n = a.count * a.width;
    add_bytes("restore", bytes_of(n, a.store) + int64_t(n + 4 * n / a.group));
}

void picture(const kernels::PictureTo& given) {
    counts.kernels++;
    kernels::PictureTo a = given;
    bring(a.from.rgb);
    for (uint8_t*& plane : a.planes) bring(plane, true);
    if (a.format == kernels::PictureTo::I420) kernels::picture_to_i420(a.from, a.planes, a.strides);
    if (a.format == kernels::PictureTo::NV12) kernels::picture_to_nv12(a.from, a.planes, a.strides);
    if (a.format == kernels::PictureTo::RGB) kernels::picture_to_rgb(a.from, a.planes[0], a.strides[0]);
}

const kernels::Launchers launchers{{true, residual_norm, project, reuse, change, quantize, restore}, picture};
const bool registered = (use_kernels(true), true);

} // namespace

void use_kernels(bool use) {
    register_kernels(KIND, use ? &launchers : nullptr);
}

} // namespace mc::fake
