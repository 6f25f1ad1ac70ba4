// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
#include <gst/video/gstvideofilter.h>

G_BEGIN_DECLS

#define GST_TYPE_MOTIONCACHE_OVERLAY (gst_motioncache_overlay_get_type())
G_DECLARE_FINAL_TYPE(GstMotionCacheOverlay, gst_motioncache_overlay, GST, MOTIONCACHE_OVERLAY, GstVideoFilter)
GST_ELEMENT_REGISTER_DECLARE(motioncacheoverlay);

G_END_DECLS
