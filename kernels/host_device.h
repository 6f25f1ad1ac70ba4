// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// For functions of which host and device have one source.
#ifdef __CUDACC__
#define MC_HOST_DEVICE __host__ __device__
#else
#define MC_HOST_DEVICE
#endif
