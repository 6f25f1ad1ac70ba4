// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// An error on its way to the bus. `message` is one sentence with cause and remedy, `detail` is for a bug report.
#include <gst/gst.h>

#include <string>

#include "engine/error.h"

namespace mc::gst {

struct Fault {
    GQuark domain;
    int code;
    std::string message, detail;
};

Fault fault_of(McStatus status, std::string message, std::string detail = {});
GstMessage* message_of(GstElement* element, const Fault& fault, GstMessageType type = GST_MESSAGE_ERROR); // or WARNING

} // namespace mc::gst
