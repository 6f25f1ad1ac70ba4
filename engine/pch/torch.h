// SPDX-License-Identifier: LGPL-2.1-or-later
// Precompiled: LibTorch's headers are most of what a file of the engine costs to compile.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
