// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
#include <gst/base/gstpushsrc.h>

G_BEGIN_DECLS

#define GST_TYPE_MOTIONCACHE_GEN (gst_motioncache_gen_get_type())
G_DECLARE_FINAL_TYPE(GstMotionCacheGen, gst_motioncache_gen, GST, MOTIONCACHE_GEN, GstPushSrc)
GST_ELEMENT_REGISTER_DECLARE(motioncachegen);

G_END_DECLS
