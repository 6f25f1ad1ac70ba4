// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the parts of the element share: its state, and the virtual functions that stand in files of their own
// (negotiation.cpp, frames.cpp).
#include <gst/base/gstpushsrc.h>
#include <gst/video/video.h>

#include <atomic>
#include <optional>
#include <set>

#include "engine/request/field.h"
#include "gst/generator.h"
#include "gst/gpu_frames.h"
#include "gst/live_clock.h"
#include "gst/motioncachegen.h"
#include "gst/outbox.h"
#include "gst/pacing.h"
#include "gst/stream_settings.h"
#include "gst/video_caps.h"

namespace mc::gst {
struct State;
}

struct _GstMotionCacheGen {
    GstPushSrc parent;
    mc::gst::State* state; // GObject only zero-fills its instances: C++ members need a constructor
};

namespace mc::gst {

struct State {
    explicit State(GstMotionCacheGen* self);

    // OBJECT_LOCK
    mc::Fields settings;
    StreamSettings stream;
    gint64 seed_used = -1;
    std::optional<ModelSizes> sizes; // from start to stop
    std::optional<PictureFormat> picture; // from the first set_caps to stop
    int num_frames = 0;              // with sizes
    bool started = false;            // from start to stop; that video runs with a copy of the settings
    std::optional<std::string> device; // of that video
    std::string uri;                 // empty: none was set
    std::set<GParamSpec*> set_by_uri;
    std::set<guint> told_later;      // properties changed meanwhile for which the warning was posted

    // STREAM_LOCK
    GstVideoInfo info{};
    bool on_gpu = false;             // frames are to lie in its memory
    bool given = false;              // create() gave out the generator's frame
    GstBuffer* last_frame = nullptr; // to be repeated
    gint64 told_update = -1;         // MadeWith::update that the application was told of last
    MadeWith told;                   // what the application was told with it
    CacheFields told_cache;          // likewise, of what is asked of the cache

    // Since GStreamer 1.24 the base class throws away what create() returns while it is interrupted: it is given again.
    std::atomic<bool> pushed{false}, interrupted{false};

    Outbox outbox;
    Generator generator;
    GpuFrames gpu;
    LiveClock clock;
    Pacing pacing;
};

class ObjectLock {
  public:
    explicit ObjectLock(gpointer object) : object_(object) { GST_OBJECT_LOCK(object_); }
    ~ObjectLock() { GST_OBJECT_UNLOCK(object_); }
    ObjectLock(const ObjectLock&) = delete;

  private:
    gpointer object_;
};

inline State& state_of(gpointer self) {
    return *static_cast<GstMotionCacheGen*>(self)->state;
}
inline GstBaseSrcClass* base_class() { // to chain up
    return GST_BASE_SRC_CLASS(g_type_class_peek(GST_TYPE_PUSH_SRC));
}

void install_negotiation(GstBaseSrcClass* klass);
void install_frames(GstPushSrcClass* klass);
void install_prompts(GstElementClass* klass);
// After a property was changed while a video is made: true if it may change then. A refused value is told of in a
// warning.
bool change_while_playing(GstElement* element, guint id);
// Before the generator's frame is pushed as this buffer: says what it was made with, where that is new.
void tell_settings(GstElement* element, GstBuffer* buffer);
void watch_pushes(GstPad* pad, State& state); // tells create() which frames were pushed

} // namespace mc::gst
