// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What is free, and the refusal that says both numbers.
#include <cstdint>
#include <string>

namespace mc::session {

// Bytes that this process can still take: the least of the system's available memory, what its control groups leave
// (cgroup 2 and 1, up to the root) and what a limit on its address space leaves. root: where /proc and /sys are.
int64_t free_memory(const std::string& root = "");

std::string gibibytes(int64_t bytes); // "1.50 GiB"

// Throws MC_ERROR_MEMORY when `needed` is more than is free. what: "The model", ...; remedy: a sentence.
void check_memory(int64_t needed, const std::string& what, const std::string& remedy);

} // namespace mc::session
