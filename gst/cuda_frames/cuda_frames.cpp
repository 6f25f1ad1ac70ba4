// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/cuda_frames/cuda_frames.h"

#include <dlfcn.h>
#include <gst/cuda/gstcudabufferpool.h>
#include <gst/cuda/gstcudautils.h>

#include <cstdio>
#include <map>
#include <mutex>
#include <string>

namespace {

std::string text_of(CUresult result) {
    const char* text = nullptr;
    if (CuGetErrorString(result, &text) != CUDA_SUCCESS || !text) return "error " + std::to_string(result);
    return text;
}

// GStreamer's library loads most of the driver's functions, and not this one.
CUresult retain_primary(CUcontext* context, CUdevice device) {
    static const auto retain = [] {
        void* driver = dlopen("libcuda.so.1", RTLD_NOW);
        return driver ? reinterpret_cast<decltype(&cuDevicePrimaryCtxRetain)>(dlsym(driver, "cuDevicePrimaryCtxRetain"))
                      : nullptr;
    }();
    return retain ? retain(context, device) : CUDA_ERROR_NOT_FOUND;
}

// Kept until the process ends, as LibTorch keeps the primary context: all elements share one.
GstCudaContext* context_of(int index, std::string& why_not) {
    static std::mutex mutex;
    static std::map<int, GstCudaContext*> contexts;
    const std::lock_guard lock(mutex);
    if (const auto found = contexts.find(index); found != contexts.end()) return found->second;
    if (!gst_cuda_load_library()) {
        why_not = "NVIDIA's driver (libcuda.so.1) is not installed";
        return nullptr;
    }
    CUdevice device;
    CUcontext primary;
    const auto failed = [&](CUresult result, const char* what) {
        if (result == CUDA_SUCCESS) return false;
        why_not = std::string(what) + " (" + text_of(result) + ")";
        return true;
    };
    if (failed(CuInit(0), "NVIDIA's driver offers no GPU") ||
        failed(CuDeviceGet(&device, index), "there is no such GPU") ||
        failed(retain_primary(&primary, device), "the GPU cannot be used"))
        return nullptr;
    gst_cuda_memory_init_once();
    GstCudaContext* context = gst_cuda_context_new_wrapped(primary, device);
    if (!context) {
        why_not = "GStreamer's library for CUDA refuses the GPU (see the log with GST_DEBUG=cuda*:5)";
        return nullptr;
    }
    GST_OBJECT_FLAG_SET(context, GST_OBJECT_FLAG_MAY_BE_LEAKED);
    return contexts[index] = context;
}

// What the application or a neighbour gave to the element. (transfer full)
GstCudaContext* given_to(GstElement* element, int device) {
    GstContext* given = gst_element_get_context(element, MC_CUDA_CONTEXT);
    GstCudaContext* context = nullptr;
    if (given) {
        gst_cuda_handle_set_context(element, given, device, &context);
        gst_context_unref(given);
    }
    return context;
}

} // namespace

GstObject* mc_cuda_frames_open(GstElement* element, int device, char* message, size_t size) {
    std::string why_not;
    GstCudaContext* ours = context_of(device, why_not);
    if (!ours) {
        std::snprintf(message, size, "%s", why_not.c_str());
        return nullptr;
    }
    if (GstCudaContext* given = given_to(element, device)) {
        if (gst_cuda_context_get_handle(given) == gst_cuda_context_get_handle(ours)) return GST_OBJECT(given);
        gst_object_unref(given);
    }
    return GST_OBJECT(gst_object_ref(ours));
}

gboolean mc_cuda_frames_answer(GstObject* context, GstElement* element, GstQuery* query) {
    return gst_cuda_handle_context_query(element, query, GST_CUDA_CONTEXT(context));
}

GstBufferPool* mc_cuda_frames_pool(GstObject* context, GstBufferPool* offered) {
    if (offered && GST_IS_CUDA_BUFFER_POOL(offered) &&
        GST_CUDA_BUFFER_POOL(offered)->context == GST_CUDA_CONTEXT(context))
        return GST_BUFFER_POOL(gst_object_ref(offered));
    return gst_cuda_buffer_pool_new(GST_CUDA_CONTEXT(context));
}

guint mc_cuda_frames_map_flags(GstObject* context, GstBuffer* buffer) {
    GstMemory* memory = gst_buffer_n_memory(buffer) == 1 ? gst_buffer_peek_memory(buffer, 0) : nullptr;
    const bool ours = memory && gst_is_cuda_memory(memory) &&
                      GST_CUDA_MEMORY_CAST(memory)->context == GST_CUDA_CONTEXT(context);
    return ours ? guint(GST_MAP_CUDA) : 0;
}
