// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/read_error.h"

namespace mc::model {

std::string in_quotes(std::string_view name) {
    constexpr size_t most = 80;
    std::string text = "'";
    for (char c : name.substr(0, most)) text += c >= 0x20 && c < 0x7f && c != '\'' ? c : '?';
    return text + (name.size() > most ? "...'" : "'");
}

Error read_error(const std::string& file, const std::string& what, const std::string& remedy,
                 const std::string& detail) {
    return Error(MC_ERROR_READ, file + ": " + what + "; " + remedy + ".", detail);
}

Error not_found(const std::string& path, const std::string& what, const std::string& remedy) {
    return Error(MC_ERROR_NOT_FOUND, path + ": " + what + "; " + remedy + ".");
}

} // namespace mc::model
