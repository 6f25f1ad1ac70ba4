// SPDX-License-Identifier: LGPL-2.1-or-later
// Stands in for libmotioncache-cuda-frames.so where there is no GPU: its memory has a side "over there" and a side for
// the host, each brought up to date from the other when it is mapped, as GstCudaMemory has. Both lie in main memory, so
// that the test pattern with gpu=1 can write over there. Counts what is done.
#include "tests/gpu_frames/fake_gpu.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "gst/cuda_frames/cuda_frames.h"

static FakeGpuCounts counts;
FakeGpuCounts* fake_gpu_counts() {
    return &counts;
}

// ---- memory ----

struct FakeMemory {
    GstMemory memory;
    std::vector<uint8_t> here, there;
    bool here_is_new, there_is_new;
};

struct FakeAllocator { // the context as well
    GstAllocator parent;
};
struct FakeAllocatorClass {
    GstAllocatorClass parent;
};
G_DEFINE_TYPE(FakeAllocator, fake_allocator, GST_TYPE_ALLOCATOR)

static constexpr guint MAP_THERE = GST_MAP_FLAG_LAST << 1;

static FakeMemory* of(GstMemory* memory) {
    return reinterpret_cast<FakeMemory*>(memory);
}

static gpointer map_full(GstMemory* memory, GstMapInfo* info, gsize) {
    FakeMemory& m = *of(memory);
    const bool there = info->flags & MAP_THERE;
    if (there && std::exchange(m.here_is_new, false)) {
        counts.uploads++;
        m.there = m.here;
    }
    if (!there && std::exchange(m.there_is_new, false)) {
        counts.downloads++;
        m.here = m.there;
    }
    if (info->flags & GST_MAP_WRITE) {
        (there ? counts.written_there : counts.written_here)++;
        (there ? m.there_is_new : m.here_is_new) = true;
    }
    return there ? m.there.data() : m.here.data();
}

static GstMemory* alloc(GstAllocator* allocator, gsize size, GstAllocationParams*) {
    auto* m = new FakeMemory{{}, std::vector<uint8_t>(size), std::vector<uint8_t>(size), false, false};
    gst_memory_init(&m->memory, GST_MEMORY_FLAG_NO_SHARE, allocator, nullptr, size, 0, 0, size);
    return &m->memory;
}

static void free_memory(GstAllocator*, GstMemory* memory) {
    delete of(memory);
}

static GstMemory* copy(GstMemory* memory, gssize, gssize) {
    GstMemory* to = alloc(memory->allocator, memory->size, nullptr);
    of(to)->here = of(memory)->here, of(to)->there = of(memory)->there;
    of(to)->here_is_new = of(memory)->here_is_new, of(to)->there_is_new = of(memory)->there_is_new;
    return to;
}

static void fake_allocator_class_init(FakeAllocatorClass* klass) {
    klass->parent.alloc = alloc;
    klass->parent.free = free_memory;
}
static void fake_allocator_init(FakeAllocator* self) {
    GstAllocator& a = self->parent;
    a.mem_type = "FakeGpuMemory";
    a.mem_map_full = map_full;
    a.mem_unmap_full = [](GstMemory*, GstMapInfo*) {};
    a.mem_copy = copy;
    GST_OBJECT_FLAG_SET(self, GST_ALLOCATOR_FLAG_CUSTOM_ALLOC);
}

// ---- pool ----

struct FakePool {
    GstBufferPool parent;
    GstObject* context;
    GstVideoInfo info;
};
struct FakePoolClass {
    GstBufferPoolClass parent;
};
G_DEFINE_TYPE(FakePool, fake_pool, GST_TYPE_BUFFER_POOL)

// As a GPU's: rows begin at multiples of 256 bytes, and an allocator from outside is refused.
static gboolean set_config(GstBufferPool* pool, GstStructure* config) {
    auto* self = reinterpret_cast<FakePool*>(pool);
    GstCaps* caps = nullptr;
    guint least = 0, most = 0;
    GstAllocator* allocator = nullptr;
    gst_buffer_pool_config_get_allocator(config, &allocator, nullptr);
    if (allocator || !gst_buffer_pool_config_get_params(config, &caps, nullptr, &least, &most) ||
        !gst_video_info_from_caps(&self->info, caps))
        return FALSE;
    GstVideoInfo& i = self->info;
    i.stride[0] = i.stride[1] = (i.width + 255) / 256 * 256;
    i.offset[1] = gsize(i.stride[0]) * i.height;
    i.size = i.offset[1] * 3 / 2;
    gst_buffer_pool_config_set_params(config, caps, guint(i.size), least, most);
    return GST_BUFFER_POOL_CLASS(fake_pool_parent_class)->set_config(pool, config);
}

static GstFlowReturn alloc_buffer(GstBufferPool* pool, GstBuffer** buffer, GstBufferPoolAcquireParams*) {
    auto* self = reinterpret_cast<FakePool*>(pool);
    GstVideoInfo& i = self->info;
    *buffer = gst_buffer_new();
    gst_buffer_append_memory(*buffer, alloc(GST_ALLOCATOR(self->context), i.size, nullptr));
    gst_buffer_add_video_meta_full(*buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT(&i), guint(i.width),
                                   guint(i.height), 2, i.offset, i.stride);
    return GST_FLOW_OK;
}

static void fake_pool_class_init(FakePoolClass* klass) {
    klass->parent.set_config = set_config;
    klass->parent.alloc_buffer = alloc_buffer;
}
static void fake_pool_init(FakePool*) {}

// ---- the module's interface ----

GstObject* mc_cuda_frames_open(GstElement*, int device, char* message, size_t size) {
    static auto* context =
        static_cast<GstObject*>(gst_object_ref_sink(g_object_new(fake_allocator_get_type(), nullptr)));
    counts.opened++;
    counts.device = device;
    if (device > 0) {
        std::snprintf(message, size, "there is no such GPU (as the test has it)");
        return nullptr;
    }
    return GST_OBJECT(gst_object_ref(context));
}

gboolean mc_cuda_frames_answer(GstObject* context, GstElement*, GstQuery* query) {
    GstContext* answer = gst_context_new(MC_CUDA_CONTEXT, TRUE);
    gst_structure_set(gst_context_writable_structure(answer), "context", GST_TYPE_OBJECT, context, nullptr);
    gst_query_set_context(query, answer);
    gst_context_unref(answer);
    return TRUE;
}

GstBufferPool* mc_cuda_frames_pool(GstObject* context, GstBufferPool* offered) {
    if (offered && G_OBJECT_TYPE(offered) == fake_pool_get_type()) return GST_BUFFER_POOL(gst_object_ref(offered));
    auto* pool = static_cast<FakePool*>(gst_object_ref_sink(g_object_new(fake_pool_get_type(), nullptr)));
    pool->context = context;
    counts.pools++;
    return GST_BUFFER_POOL(pool);
}

guint mc_cuda_frames_map_flags(GstObject*, GstBuffer* buffer) {
    return gst_memory_is_type(gst_buffer_peek_memory(buffer, 0), "FakeGpuMemory") ? MAP_THERE : 0;
}
