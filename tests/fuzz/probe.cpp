// SPDX-License-Identifier: LGPL-2.1-or-later
// Links when this clang has libFuzzer.
#include <cstddef>
#include <cstdint>
extern "C" int LLVMFuzzerTestOneInput(const uint8_t*, size_t) {
    return 0;
}
