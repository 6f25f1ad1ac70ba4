#pragma once
// Zip archives as torch.save writes them: entries stored, not compressed; zip64 where they are big. Checksums
// are not compared: that would read every byte of the weights, and torch.save may be told to leave them out.
#include <cstddef>
#include <map>
#include <string>

namespace mc::model {

struct ZipEntry {
    const std::byte* data;
    size_t size;
};

// The entries of an archive that lies at `data`, by name. `file` is named in messages. Entries that overlap,
// lie outside the file, are compressed or encrypted, or have the name of another one throw MC_ERROR_READ.
std::map<std::string, ZipEntry> parse_zip(const std::byte* data, size_t size, const std::string& file);

} // namespace mc::model
