// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What is free, and the refusal that says both numbers.
#include <c10/core/Device.h>
#include <cstdint>
#include <functional>
#include <string>

namespace mc::session {

// Bytes that this process can still take: the least of the system's available memory, what its control groups leave
// (cgroup 2 and 1, up to the root) and what a limit on its address space leaves. root: where /proc and /sys are.
int64_t free_memory(const std::string& root = "");

// What this process holds of the computer's memory, and the most that it has held.
struct Resident {
    int64_t now = 0, most = 0; // bytes
};
Resident resident_memory();

std::string gibibytes(int64_t bytes); // "1.50 GiB"

int64_t free_memory(at::Device device); // of the CPU as above, or of a device

// Throws MC_ERROR_MEMORY when `needed` is more than is free. what: "The model", ...; remedy: a sentence.
// free: bytes; the remedy may say what fits into them.
using Remedy = std::function<std::string(int64_t free)>;
void check_memory(int64_t needed, const std::string& what, const Remedy& remedy, at::Device device);
void check_memory(int64_t needed, const std::string& what, const std::string& remedy);
// The same with what another process says that it has.
void check_memory(int64_t needed, int64_t free, const std::string& what, const Remedy& remedy, at::Device device);

} // namespace mc::session
