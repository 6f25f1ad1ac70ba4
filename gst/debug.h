// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Debug categories: one for the element, one for the engine's log.
#include <gst/gst.h>

GST_DEBUG_CATEGORY_EXTERN(motioncachegen_debug);
GST_DEBUG_CATEGORY_EXTERN(motioncache_engine_debug);
