// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/gpu_frames.h"

#include <dlfcn.h>

#include <charconv>
#include <cstring>

#include "engine/error.h"
#include "gst/cuda_frames/cuda_frames.h"
#include "gst/debug.h"
#include "gst/engine_library.h"

#define GST_CAT_DEFAULT motioncachegen_debug

namespace mc::gst {
namespace {

const char* const MODULE = "libmotioncache-cuda-frames.so";

// The number of the GPU that `device` names.
std::optional<int> number_of(const std::optional<std::string>& device) {
    const std::string name = device.value_or("auto");
    if (name == "auto" || name == "cuda") return 0;
    int number = -1;
    if (name.rfind("cuda:", 0) == 0) std::from_chars(name.data() + 5, name.data() + name.size(), number);
    return number >= 0 ? std::optional(number) : std::nullopt;
}

} // namespace

struct GpuFrames::Module {
    decltype(&mc_cuda_frames_open) open;
    decltype(&mc_cuda_frames_answer) answer;
    decltype(&mc_cuda_frames_pool) pool;
    decltype(&mc_cuda_frames_map_flags) map_flags;
};

// Never closed: GStreamer keeps the types that the library registers until the process ends.
const GpuFrames::Module& GpuFrames::load() {
    static std::mutex mutex;
    static std::optional<Module> loaded;
    const std::lock_guard lock(mutex);
    if (loaded) return *loaded;
    const auto path = find_in_engine_folders(MODULE);
    if (!path)
        throw Error(MC_ERROR_DEVICE,
                    std::string(MODULE) +
                        " is not there (this program was built without it: that takes gstreamer-cuda-1.0, in "
                        "Debian's libgstreamer-plugins-bad1.0-dev, the CUDA toolkit's headers, and "
                        "-Dgpu_frames=enabled)");
    void* library = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) throw Error(MC_ERROR_DEVICE, std::string("a library is missing (") + dlerror() + ")");
    Module m{};
    const auto resolve = [&](const char* name, auto& function) {
        function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
        if (!function) throw Error(MC_ERROR_DEVICE, *path + " is of another version of this program");
    };
    resolve("mc_cuda_frames_open", m.open);
    resolve("mc_cuda_frames_answer", m.answer);
    resolve("mc_cuda_frames_pool", m.pool);
    resolve("mc_cuda_frames_map_flags", m.map_flags);
    return loaded.emplace(m);
}

bool GpuFrames::open(const std::optional<std::string>& device) {
    const std::lock_guard lock(mutex_);
    const auto number = number_of(device);
    if (context_ && number == device_) return true;
    close_locked();
    if (!number) {
        why_not_ = "device=" + *device +
                   (*device == "cpu" ? " keeps frames in main memory" : " is no GPU (cuda:N is one)");
        return false;
    }
    try {
        module_ = &load();
        char message[512] = "";
        context_ = module_->open(element_, *number, message, sizeof message);
        why_not_ = message;
    } catch (const Error& e) {
        why_not_ = e.what();
    }
    device_ = *number;
    if (!context_) GST_INFO_OBJECT(element_, "no frames on GPU %d: %s", device_, why_not_.c_str());
    return context_ != nullptr;
}

bool GpuFrames::is_open() const {
    const std::lock_guard lock(mutex_);
    return context_ != nullptr;
}

std::string GpuFrames::why_not() const {
    const std::lock_guard lock(mutex_);
    return why_not_;
}

bool GpuFrames::answer(GstQuery* query, const std::optional<std::string>& device) {
    const gchar* type = nullptr;
    gst_query_parse_context_type(query, &type);
    if (!type || std::strcmp(type, MC_CUDA_CONTEXT) != 0 || !open(device)) return false;
    const std::lock_guard lock(mutex_);
    return context_ && module_->answer(context_, element_, query);
}

void GpuFrames::close() {
    const std::lock_guard lock(mutex_);
    close_locked();
}

void GpuFrames::close_locked() {
    gst_clear_object(&context_);
    why_not_.clear();
}

int GpuFrames::device() const {
    const std::lock_guard lock(mutex_);
    return device_;
}

GstBufferPool* GpuFrames::pool(GstBufferPool* offered) const {
    const std::lock_guard lock(mutex_);
    return module_->pool(context_, offered);
}

guint GpuFrames::map_flags(GstBuffer* buffer) const {
    const std::lock_guard lock(mutex_);
    return context_ ? module_->map_flags(context_, buffer) : 0;
}

bool is_gpu_memory(const GstCapsFeatures* features) {
    return features && !gst_caps_features_is_any(features) && gst_caps_features_contains(features, MC_CUDA_MEMORY);
}

bool names_gpu_memory(const GstCaps* caps) {
    for (guint i = 0; i < gst_caps_get_size(caps); i++)
        if (is_gpu_memory(gst_caps_get_features(caps, i))) return true;
    return false;
}

GstCaps* without_gpu_memory(GstCaps* caps) {
    caps = gst_caps_make_writable(caps);
    for (guint i = gst_caps_get_size(caps); i-- > 0;)
        if (is_gpu_memory(gst_caps_get_features(caps, i))) gst_caps_remove_structure(caps, i);
    return caps;
}

} // namespace mc::gst
