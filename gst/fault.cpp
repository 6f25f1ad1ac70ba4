// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/fault.h"

namespace mc::gst {

Fault fault_of(McStatus status, std::string message, std::string detail) {
    auto fault = [&](GQuark domain, int code) {
        return Fault{domain, code, std::move(message), std::move(detail)};
    };
    switch (status) {
    case MC_ERROR_SETTINGS:
        return fault(GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
    case MC_ERROR_NOT_FOUND:
        return fault(GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND);
    case MC_ERROR_READ:
        return fault(GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ);
    case MC_ERROR_MEMORY:
        return fault(GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT);
    case MC_ERROR_DEVICE:
        return fault(GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT);
    case MC_ERROR_NUMBERS:
        return fault(GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED);
    default:
        return fault(GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED);
    }
}

GstMessage* message_of(GstElement* element, const Fault& fault, GstMessageType type) {
    GError* error = g_error_new_literal(fault.domain, fault.code, fault.message.c_str());
    gchar* path = gst_object_get_path_string(GST_OBJECT(element));
    const std::string debug = std::string(path) + (fault.detail.empty() ? "" : ":\n") + fault.detail;
    GstMessage* message = type == GST_MESSAGE_WARNING
                              ? gst_message_new_warning(GST_OBJECT(element), error, debug.c_str())
                              : gst_message_new_error(GST_OBJECT(element), error, debug.c_str());
    g_free(path);
    g_error_free(error);
    return message;
}

} // namespace mc::gst
