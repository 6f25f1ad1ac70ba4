// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What cases say about the compression of keys.
#include "engine/families/magi1/compression.h"
#include "tests/golden/runner.h"

namespace mc::golden {

magi1::CompressionSettings compression_of(const Json& settings);

} // namespace mc::golden
