// SPDX-License-Identifier: LGPL-2.1-or-later
// ThreadSanitizer sees what GLib's locks order. They are made of atomics in a library that is not built with it; these
// functions, which the program exports, stand before GLib's, call them and say what they do.
#include <dlfcn.h>
#include <gst/gst.h>
#include <sanitizer/tsan_interface.h>

template <class F>
static F* real(F*, const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}
#define REAL(name) (static_cast<void>(0), []() { static auto* const f = real(&name, #name); return f; }())

#pragma GCC visibility push(default) // to be found by GLib and the plugin
extern "C" {

void g_mutex_lock(GMutex* mutex) {
    __tsan_mutex_pre_lock(mutex, 0);
    REAL(g_mutex_lock)(mutex);
    __tsan_mutex_post_lock(mutex, 0, 0);
}
gboolean g_mutex_trylock(GMutex* mutex) {
    __tsan_mutex_pre_lock(mutex, __tsan_mutex_try_lock);
    const gboolean locked = REAL(g_mutex_trylock)(mutex);
    __tsan_mutex_post_lock(mutex, __tsan_mutex_try_lock | (locked ? 0 : __tsan_mutex_try_lock_failed), 0);
    return locked;
}
void g_mutex_unlock(GMutex* mutex) {
    __tsan_mutex_pre_unlock(mutex, 0);
    REAL(g_mutex_unlock)(mutex);
    __tsan_mutex_post_unlock(mutex, 0);
}
void g_mutex_clear(GMutex* mutex) {
    __tsan_mutex_destroy(mutex, 0);
    REAL(g_mutex_clear)(mutex);
}
void g_cond_wait(GCond* cond, GMutex* mutex) {
    __tsan_mutex_pre_unlock(mutex, 0);
    __tsan_mutex_post_unlock(mutex, 0);
    REAL(g_cond_wait)(cond, mutex);
    __tsan_mutex_pre_lock(mutex, 0);
    __tsan_mutex_post_lock(mutex, 0, 0);
}
gboolean g_cond_wait_until(GCond* cond, GMutex* mutex, gint64 end) {
    __tsan_mutex_pre_unlock(mutex, 0);
    __tsan_mutex_post_unlock(mutex, 0);
    const gboolean signalled = REAL(g_cond_wait_until)(cond, mutex, end);
    __tsan_mutex_pre_lock(mutex, 0);
    __tsan_mutex_post_lock(mutex, 0, 0);
    return signalled;
}

// What is handed to a thread of a pool was written before.
struct Call {
    GstElementCallAsyncFunc func;
    gpointer user;
    GDestroyNotify destroy;
};
void gst_element_call_async(GstElement* element, GstElementCallAsyncFunc func, gpointer user, GDestroyNotify destroy) {
    auto* call = new Call{func, user, destroy};
    __tsan_release(call);
    REAL(gst_element_call_async)(
        element,
        [](GstElement* e, gpointer p) {
            __tsan_acquire(p);
            static_cast<Call*>(p)->func(e, static_cast<Call*>(p)->user);
        },
        call,
        [](gpointer p) {
            auto* call = static_cast<Call*>(p);
            if (call->destroy) call->destroy(call->user);
            delete call;
        });
}

} // extern "C"
#pragma GCC visibility pop
