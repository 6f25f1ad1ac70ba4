// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/cuda/picture_kernels.h"

#include "kernels/pixel.h"

namespace mc::kernels::cuda {

namespace {

// 32 threads along a row, so that a warp reads neighbouring floats.
constexpr unsigned COLUMNS = 32, ROWS = 8;

dim3 grid_of(size_t width, size_t height) {
    return {static_cast<unsigned>((width + COLUMNS - 1) / COLUMNS),
            static_cast<unsigned>((height + ROWS - 1) / ROWS)};
}

pixel::Planes planes_of(const Picture& p) {
    return {p.rgb, p.plane_stride, p.width};
}

__global__ void rgb_pixels(pixel::Planes in, size_t width, size_t height, pixel::Packed out) {
    const size_t x = blockIdx.x * COLUMNS + threadIdx.x, y = blockIdx.y * ROWS + threadIdx.y;
    if (x < width && y < height) pixel::write_rgb(in, x, y, out);
}

__global__ void yuv_blocks(pixel::Planes in, size_t width, size_t height, pixel::Subsampled out) {
    const size_t i = blockIdx.x * COLUMNS + threadIdx.x, j = blockIdx.y * ROWS + threadIdx.y;
    if (i < width / 2 && j < height / 2) pixel::write_block(in, i, j, out);
}

cudaError_t to_yuv(const Picture& p, const pixel::Subsampled& out, cudaStream_t stream) {
    MC_LAUNCH(yuv_blocks, grid_of(p.width / 2, p.height / 2), dim3(COLUMNS, ROWS), stream, planes_of(p), p.width,
              p.height, out);
    return cudaGetLastError();
}

} // namespace

cudaError_t picture_to_rgb(const Picture& p, uint8_t* rgb, size_t stride, cudaStream_t stream) {
    MC_LAUNCH(rgb_pixels, grid_of(p.width, p.height), dim3(COLUMNS, ROWS), stream, planes_of(p), p.width, p.height,
              pixel::Packed{rgb, stride});
    return cudaGetLastError();
}

cudaError_t picture_to_i420(const Picture& p, uint8_t* const planes[3], const size_t strides[3],
                            cudaStream_t stream) {
    return to_yuv(p, {planes[0], planes[1], planes[2], strides[0], strides[1], strides[2], 1}, stream);
}

cudaError_t picture_to_nv12(const Picture& p, uint8_t* const planes[2], const size_t strides[2],
                            cudaStream_t stream) {
    return to_yuv(p, {planes[0], planes[1], planes[1] + 1, strides[0], strides[1], strides[1], 2}, stream);
}

} // namespace mc::kernels::cuda
