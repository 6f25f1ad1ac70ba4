#pragma once
// Debug categories: the element's own, and the engine's log as it comes.
#include <gst/gst.h>

GST_DEBUG_CATEGORY_EXTERN(motioncachegen_debug);
GST_DEBUG_CATEGORY_EXTERN(motioncache_engine_debug);
