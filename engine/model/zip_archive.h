// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Zip archives as torch.save writes them: entries stored, not compressed; zip64 where they are big. Checksums
// are not compared: that would read every byte of the weights, and torch.save may be told to leave them out.
#include <map>
#include <string>

#include "engine/model/data_file.h"

namespace mc::model {

struct ZipEntry {
    uint64_t at, size; // of its bytes in the file
    bool compressed;
};

// The entries of an archive by name; of their bytes none is read. Entries that overlap, lie outside the file, are
// encrypted, or have the name of another one throw MC_ERROR_READ.
std::map<std::string, ZipEntry> parse_zip(const DataFile& file);

} // namespace mc::model
