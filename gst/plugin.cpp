// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/motioncachegen.h"
#include "gst/motioncacheoverlay.h"

static gboolean plugin_init(GstPlugin* plugin) {
    return GST_ELEMENT_REGISTER(motioncachegen, plugin) && GST_ELEMENT_REGISTER(motioncacheoverlay, plugin);
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, motioncache, "Video from a prompt", plugin_init,
                  VERSION, "LGPL", PACKAGE, "https://gstreamer.freedesktop.org/")
