// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Frames in the memory of an NVIDIA GPU, which encoders there take without a copy. All of it that needs GStreamer's
// library for CUDA is in a module (gst/cuda_frames), opened when another element asks for such frames or for their
// context.
#include <gst/video/video.h>

#include <mutex>
#include <optional>
#include <string>

namespace mc::gst {

class GpuFrames {
  public:
    explicit GpuFrames(GstElement* element) : element_(element) {} // whose contexts are looked at
    ~GpuFrames() { close(); }
    GpuFrames(const GpuFrames&) = delete;

    // ---- from any thread ----
    // Opens the module and the GPU that the property `device` names; auto is the first one. False: why_not() says why.
    // What is open stays so until close(); what failed is tried again.
    bool open(const std::optional<std::string>& device);
    bool is_open() const;
    std::string why_not() const; // part of a sentence: "... is not installed"
    // Answers a neighbour's query for the context, which an encoder sends before this element is READY.
    bool answer(GstQuery* query, const std::optional<std::string>& device);
    void close();

    // ---- streaming thread, while it is open ----
    int device() const;
    // (transfer full) For frames in that GPU's memory: `offered`, which may be null, where it suits, else a new one.
    GstBufferPool* pool(GstBufferPool* offered) const;
    // Added to GST_MAP_WRITE they map the buffer to addresses of the GPU; 0: it lies elsewhere.
    guint map_flags(GstBuffer* buffer) const;

  private:
    struct Module;
    static const Module& load(); // throws mc::Error
    void close_locked();

    GstElement* const element_;
    mutable std::mutex mutex_; // guards what follows
    const Module* module_ = nullptr;
    GstObject* context_ = nullptr;
    int device_ = -1;
    std::string why_not_;
};

bool names_gpu_memory(const GstCaps* caps); // in one of its structures
bool is_gpu_memory(const GstCapsFeatures* features);
GstCaps* without_gpu_memory(GstCaps* caps); // (transfer full) in and out

} // namespace mc::gst
