#pragma once
// What is free, and the refusal that says both numbers.
#include <cstdint>
#include <string>

namespace mc::session {

// Bytes that this process can still take: the system's available memory, or what its control group leaves.
int64_t free_memory();

// Throws MC_ERROR_MEMORY when `needed` is more than is free. what: "The model", ...; remedy: a sentence.
void check_memory(int64_t needed, const std::string& what, const std::string& remedy);

} // namespace mc::session
