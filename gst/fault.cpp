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

void post_fault(GstElement* element, const Fault& fault) {
    gst_element_message_full(
        element, GST_MESSAGE_ERROR, fault.domain, fault.code, g_strdup(fault.message.c_str()),
        fault.detail.empty() ? nullptr : g_strdup(fault.detail.c_str()), __FILE__, GST_FUNCTION, __LINE__);
}

} // namespace mc::gst
