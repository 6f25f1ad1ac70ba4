// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// motioncache://?prompt=a%20red%20ball&seed=3 for playbin, uridecodebin and every other application that plays URIs:
// each pair is a property of the element. A URI may come from a stranger, a playlist or a page, so it names no files:
// those properties are refused.
#include <gst/gst.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mc::gst {

// Name and value of each pair, decoded; throws mc::Error, MC_ERROR_SETTINGS, for what is no such URI.
std::vector<std::pair<std::string, std::string>> parse_uri(const std::string& uri);

void implement_uri_handler(gpointer interface, gpointer);

} // namespace mc::gst
