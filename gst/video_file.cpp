// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/video_file.h"

#include <gst/video/video.h>

#include <atomic>
#include <deque>

#include "engine/error.h"

namespace mc::gst {
namespace {

constexpr GstClockTime PATIENCE = 50 * GST_MSECOND; // between two looks at errors and give_up

// filesrc ! decodebin, whose first video goes through the converters to an appsink. Its actions are called by name, so
// that no library beside GStreamer's own is needed.
class Reader {
  public:
    Reader(const std::string& path, int rate_n, int rate_d) {
        const std::string rest = "videoconvert name=first ! videoscale ! videorate ! video/x-raw,format=RGB,"
                                 "pixel-aspect-ratio=1/1,framerate=" +
                                 std::to_string(rate_n) + "/" + std::to_string(rate_d) +
                                 " ! appsink name=sink sync=false max-buffers=4";
        GError* error = nullptr;
        pipeline_ = gst_parse_launch(("filesrc name=file ! decodebin name=decoder  " + rest).c_str(), &error);
        if (error) {
            const std::string reason = error->message;
            g_clear_error(&error);
            g_clear_object(&pipeline_);
            throw Error(MC_ERROR_READ,
                        "prefix-video needs GStreamer's base plugins: install gstreamer1.0-plugins-base.",
                        reason);
        }
        GstElement* file = gst_bin_get_by_name(GST_BIN(pipeline_), "file");
        g_object_set(file, "location", path.c_str(), nullptr);
        gst_object_unref(file);
        GstElement* decoder = gst_bin_get_by_name(GST_BIN(pipeline_), "decoder");
        g_signal_connect(decoder, "pad-added", G_CALLBACK(on_pad), this);
        g_signal_connect(decoder, "no-more-pads", G_CALLBACK(on_last_pad), this);
        gst_object_unref(decoder);
        sink_ = gst_bin_get_by_name(GST_BIN(pipeline_), "sink");
        bus_ = gst_element_get_bus(pipeline_);
        gst_element_set_state(pipeline_, GST_STATE_PLAYING);
    }
    ~Reader() {
        if (!pipeline_) return;
        gst_element_set_state(pipeline_, GST_STATE_NULL);
        gst_object_unref(sink_);
        gst_object_unref(bus_);
        gst_object_unref(pipeline_);
    }
    Reader(const Reader&) = delete;

    GstSample* pull() { // null: none yet, or none any more
        GstSample* sample = nullptr;
        g_signal_emit_by_name(sink_, "try-pull-sample", PATIENCE, &sample);
        return sample;
    }
    bool ended() const {
        gboolean eos = FALSE;
        g_object_get(sink_, "eos", &eos, nullptr);
        return eos;
    }
    // decodebin has given all streams of the file, or some and then an error, since nothing is linked to sound.
    bool has_no_video(bool failed) const { return !linked_ && (complete_ || (failed && others_)); }
    GstMessage* error() { return gst_bus_pop_filtered(bus_, GST_MESSAGE_ERROR); }

  private:
    static void on_pad(GstElement*, GstPad* pad, gpointer user) {
        auto* self = static_cast<Reader*>(user);
        GstCaps* caps = gst_pad_get_current_caps(pad);
        if (!caps) caps = gst_pad_query_caps(pad, nullptr);
        const bool video =
            gst_caps_get_size(caps) > 0 &&
            g_str_has_prefix(gst_structure_get_name(gst_caps_get_structure(caps, 0)), "video/");
        gst_caps_unref(caps);
        if (!video) {
            self->others_ = true;
            return;
        }
        GstElement* first = gst_bin_get_by_name(GST_BIN(self->pipeline_), "first");
        GstPad* into = gst_element_get_static_pad(first, "sink");
        if (!gst_pad_is_linked(into) && GST_PAD_LINK_SUCCESSFUL(gst_pad_link(pad, into)))
            self->linked_ = true;
        gst_object_unref(into);
        gst_object_unref(first);
    }
    static void on_last_pad(GstElement*, gpointer user) { static_cast<Reader*>(user)->complete_ = true; }
    GstElement *pipeline_ = nullptr, *sink_ = nullptr;
    GstBus* bus_ = nullptr;
    std::atomic<bool> linked_{false}, others_{false}, complete_{false};
};

std::vector<uint8_t> pixels_of(GstSample* sample, GstVideoInfo& info) {
    std::vector<uint8_t> rgb;
    GstVideoFrame frame;
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) ||
        !gst_video_frame_map(&frame, &info, gst_sample_get_buffer(sample), GST_MAP_READ))
        return rgb;
    const size_t row = size_t(3) * info.width;
    for (int y = 0; y < info.height; y++) {
        const auto* from = static_cast<const uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(&frame, 0)) +
                           size_t(y) * GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0);
        rgb.insert(rgb.end(), from, from + row);
    }
    gst_video_frame_unmap(&frame);
    return rgb;
}

[[noreturn]] void tell(GstMessage* message, const std::string& named) {
    GError* error = nullptr;
    gchar* debug = nullptr;
    gst_message_parse_error(message, &error, &debug);
    const bool unknown = g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_CODEC_NOT_FOUND) ||
                         g_error_matches(error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN);
    const bool other = g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_TYPE_NOT_FOUND) ||
                       g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE);
    const std::string detail = std::string(error->message) + (debug ? std::string("\n") + debug : "");
    g_error_free(error);
    g_free(debug);
    gst_message_unref(message);
    throw Error(
        MC_ERROR_READ,
        named +
            (unknown
                 ? " needs a decoder that is not installed: install GStreamer's plugin for it, or convert the video."
             : other ? " is not a video that can be read: give one that gst-play-1.0 shows."
                     : " cannot be decoded: give a video that gst-play-1.0 shows to its end."),
        detail);
}

} // namespace

VideoFile read_video_file(const std::string& path, const char* property, int rate_n, int rate_d, size_t most,
                          const std::function<bool()>& give_up) {
    const std::string named = std::string(property) + "=" + path;
    if (!g_file_test(path.c_str(), G_FILE_TEST_EXISTS))
        throw Error(MC_ERROR_NOT_FOUND, named + " does not exist: give the path of a video.");
    if (!g_file_test(path.c_str(), G_FILE_TEST_IS_REGULAR)) // opening a pipe would wait for its writer
        throw Error(MC_ERROR_READ, named + " is not a regular file: give a video file.");
    Reader reader(path, rate_n, rate_d);
    VideoFile video;
    video.frame_rate_n = rate_n, video.frame_rate_d = rate_d;
    std::deque<std::vector<uint8_t>> frames;
    while (!give_up()) {
        GstSample* sample = reader.pull();
        if (!sample) {
            GstMessage* message = reader.error();
            if (reader.has_no_video(message)) {
                if (message) gst_message_unref(message);
                throw Error(MC_ERROR_READ, named + " has no pictures in it: give a video.");
            }
            if (message) tell(message, named);
            if (reader.ended()) break;
            continue;
        }
        GstVideoInfo info;
        std::vector<uint8_t> pixels = pixels_of(sample, info);
        gst_sample_unref(sample);
        if (pixels.empty()) continue;
        if (info.width != video.width || info.height != video.height)
            frames.clear(); // the file goes on in another size
        video.width = info.width, video.height = info.height;
        frames.push_back(std::move(pixels));
        if (frames.size() > most) frames.pop_front();
    }
    if (give_up()) return video;
    if (frames.empty()) throw Error(MC_ERROR_READ, named + " has no frames: give a video of at least 4 frames.");
    video.frames = int(frames.size());
    for (const auto& frame : frames) video.rgb.insert(video.rgb.end(), frame.begin(), frame.end());
    return video;
}

} // namespace mc::gst
