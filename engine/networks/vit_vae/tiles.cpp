// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/vit_vae/tiles.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <algorithm>

namespace mc::vit_vae {
namespace {

// The first entries of `tile` along `axis` pass over from the last ones of `before`.
void blend(const at::Tensor& before, const at::Tensor& tile, int64_t axis, int64_t extent) {
    extent = std::min({extent, before.size(axis), tile.size(axis)});
    if (extent == 0) return;
    std::vector<int64_t> along(static_cast<size_t>(tile.dim()), 1);
    along[static_cast<size_t>(axis)] = extent;
    const at::Tensor part = (at::arange(extent, tile.options()) / static_cast<double>(extent)).view(along);
    const at::Tensor own = tile.narrow(axis, 0, extent);
    own.copy_(before.narrow(axis, before.size(axis) - extent, extent) * (1 - part) + own * part);
}

} // namespace

void join_tiles(const Blend& how, const std::function<at::Tensor(int64_t, int64_t)>& made,
                const at::Tensor& into) {
    constexpr int64_t ROWS = 2, COLUMNS = 3;
    std::vector<at::Tensor> above(static_cast<size_t>(how.columns.count()));
    for (int64_t i = 0; i < how.rows.count(); i++) {
        at::Tensor left;
        for (int64_t j = 0; j < how.columns.count(); j++) {
            const at::Tensor own = made(i, j);
            const at::Tensor tile = how.with_blended ? own : own.clone();
            if (i > 0) blend(above[static_cast<size_t>(j)], tile, ROWS, how.extent_rows);
            if (j > 0) blend(left, tile, COLUMNS, how.extent_columns);
            above[static_cast<size_t>(j)] = left = own;
            const int64_t rows = std::min(tile.size(ROWS), how.rows.stride),
                          columns = std::min(tile.size(COLUMNS), how.columns.stride);
            into.narrow(ROWS, how.rows.begin(i), rows)
                .narrow(COLUMNS, how.columns.begin(j), columns)
                .copy_(tile.narrow(ROWS, 0, rows).narrow(COLUMNS, 0, columns));
        }
    }
}

} // namespace mc::vit_vae
