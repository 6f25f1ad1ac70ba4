// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The error sentences of this module: "FILE: what is wrong; the remedy."
#include <string>
#include <string_view>

#include "engine/error.h"

namespace mc::model {

// A name out of an untrusted file, in quotes and fit to print: at most 80 characters, others than printable
// ASCII as '?'.
std::string in_quotes(std::string_view name);

inline constexpr const char* DOWNLOAD_AGAIN =
    "download it again and compare its checksum with the publisher's";

// MC_ERROR_READ for a file that is damaged or not what it should be.
Error read_error(const std::string& file, const std::string& what, const std::string& remedy = DOWNLOAD_AGAIN,
                 const std::string& detail = {});
// MC_ERROR_NOT_FOUND.
Error not_found(const std::string& path, const std::string& what, const std::string& remedy);

} // namespace mc::model
