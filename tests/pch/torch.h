// SPDX-License-Identifier: LGPL-2.1-or-later
// Precompiled for test programs of several files: LibTorch's and the JSON library's headers.
#include <ATen/ATen.h>
#include <nlohmann/json.hpp>
