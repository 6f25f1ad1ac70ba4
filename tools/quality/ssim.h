// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// SSIM of two planes (Wang et al. 2004), as scikit-image computes it with gaussian_weights=True, sigma=1.5,
// use_sample_covariance=False, data_range=255: a Gaussian window of 11 x 11 taps (cut off at 3.5 sigma),
// K1 = 0.01, K2 = 0.03. The mean is over the pixels whose window lies within the plane. The 5 at each border
// are left out of it by scikit-image, too, which crops them; so what it fills its windows with never counts.
#include <cstddef>

namespace mc::quality {

constexpr size_t SSIM_WINDOW = 11; // no side of a plane may be shorter

// Planes of 0 to 255, row after row without gaps. Equal planes give 1, exactly.
double ssim(const double* x, const double* y, size_t width, size_t height);

} // namespace mc::quality
