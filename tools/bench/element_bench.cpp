// SPDX-License-Identifier: LGPL-2.1-or-later
// One run of the element into a fakesink, for what it costs over a bare session. Prints one line of JSON:
//
//     motioncache-element-bench [--encode | --stream] PROPERTIES...
//     e.g. model-path=models/demo precision=float32 threads=2 seed=0
//
// --encode: through x264enc speed-preset=medium; --stream: as README.md's live lines have it. seconds: wall-clock from
// the end of loading to the end of the stream, in I420; first_frame: to the first buffer; thresholds: frame, threshold
// and load of each change by qos-cache; quarters: the seconds when a quarter, a half, ... of the frames had left (of
// num-buffers, or else num-frames), the underruns by then, and what the process had in memory, in bytes.
#include <gst/gst.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <unistd.h>
#include <vector>

using Clock = std::chrono::steady_clock;

namespace {

struct Times {
    Clock::time_point loaded, first;
    int64_t frames = 0, quarter = 0; // quarter: of the frames that there will be
    GstElement* source = nullptr;
    nlohmann::json quarters = nlohmann::json::array();
    std::mutex mutex; // guards what follows
    nlohmann::json thresholds = nlohmann::json::array();
};

// Statistics that are numbers, of the element.
nlohmann::json stats_of(GstElement* source) {
    GstStructure* stats = nullptr;
    g_object_get(source, "stats", &stats, nullptr);
    nlohmann::json numbers;
    gint64 whole = 0;
    for (const char* name : {"underruns", "tokens-computed", "tokens-reused"})
        if (gst_structure_get_int64(stats, name, &whole)) numbers[name] = whole;
    gdouble real = 0;
    for (const char* name : {"cache-threshold", "qos-load", "real-time-factor"})
        if (gst_structure_get_double(stats, name, &real)) numbers[name] = real;
    gst_structure_free(stats);
    return numbers;
}

int64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    int64_t all = 0, resident = 0;
    file >> all >> resident;
    return resident * sysconf(_SC_PAGESIZE);
}

double between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

void on_frame(GstElement*, GstBuffer*, GstPad*, gpointer user) {
    auto* times = static_cast<Times*>(user);
    if (times->frames++ == 0) times->first = Clock::now();
    if (times->quarter && times->frames % times->quarter == 0)
        times->quarters.push_back({{"seconds", between(times->loaded, Clock::now())},
                                   {"underruns", stats_of(times->source)["underruns"]},
                                   {"bytes", resident_bytes()}});
}

// In the thread that posts it: waiting for the main thread would be counted as work of the element.
GstBusSyncReply on_message(GstBus*, GstMessage* message, gpointer user) {
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_PROGRESS) {
        GstProgressType type;
        gst_message_parse_progress(message, &type, nullptr, nullptr);
        if (type == GST_PROGRESS_TYPE_COMPLETE) static_cast<Times*>(user)->loaded = Clock::now();
    }
    const GstStructure* s = gst_message_get_structure(message);
    if (s && gst_structure_has_name(s, "motioncache-qos")) {
        gint64 frame = 0;
        double threshold = 0, load = 0;
        gst_structure_get(s, "frame", G_TYPE_INT64, &frame, "cache-threshold", G_TYPE_DOUBLE, &threshold,
                          "load", G_TYPE_DOUBLE, &load, nullptr);
        auto* times = static_cast<Times*>(user);
        const std::lock_guard lock(times->mutex);
        times->thresholds.push_back({frame, threshold, load});
    }
    return GST_BUS_PASS;
}

} // namespace

int main(int argc, char** argv) {
    gst_init(nullptr, nullptr);
    GstElement* source = gst_element_factory_make("motioncachegen", nullptr);
    GstElement* filter = gst_element_factory_make("capsfilter", nullptr);
    GstElement* sink = gst_element_factory_make("fakesink", nullptr);
    const std::string how = argc > 1 ? argv[1] : "";
    const bool encode = how == "--encode" || how == "--stream";
    GstElement* encoder = gst_element_factory_make(encode ? "x264enc" : "identity", nullptr);
    if (!encoder) {
        std::cerr << "no element x264enc: install gstreamer1.0-plugins-ugly\n";
        return 1;
    }
    const auto set = [&](const char* name, const char* value) {
        gst_util_set_object_arg(G_OBJECT(encoder), name, value);
    };
    if (encode) set("speed-preset", how == "--encode" ? "medium" : "veryfast");
    if (how == "--stream") set("tune", "zerolatency"), set("key-int-max", "48");
    if (!source || !filter || !sink) {
        std::cerr << "no element motioncachegen: start it with pipelines/benchmark.sh\n";
        return 1;
    }
    for (int i = encode ? 2 : 1; i < argc; i++) {
        const std::string text = argv[i];
        const size_t equals = text.find('=');
        if (equals == std::string::npos) {
            std::cerr << text << " is not NAME=VALUE\n";
            return 1;
        }
        gst_util_set_object_arg(G_OBJECT(source), text.substr(0, equals).c_str(), text.c_str() + equals + 1);
    }
    gst_util_set_object_arg(G_OBJECT(filter), "caps", "video/x-raw,format=I420");
    Times times;
    times.source = source;
    gint frames = 0, buffers = 0;
    g_object_get(source, "num-frames", &frames, "num-buffers", &buffers, nullptr);
    times.quarter = std::max(buffers > 0 ? buffers : frames, 0) / 4;
    g_object_set(sink, "signal-handoffs", TRUE, "sync", FALSE, nullptr);
    g_signal_connect(sink, "handoff", G_CALLBACK(on_frame), &times);

    GstElement* pipeline = gst_pipeline_new(nullptr);
    gst_bin_add_many(GST_BIN(pipeline), source, filter, encoder, sink, nullptr);
    if (!gst_element_link_many(source, filter, encoder, sink, nullptr)) {
        std::cerr << "the elements do not link\n";
        return 1;
    }
    GstBus* bus = gst_element_get_bus(pipeline);
    gst_bus_set_sync_handler(bus, on_message, &times, nullptr);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage* message = gst_bus_timed_pop_filtered(
        bus, GST_CLOCK_TIME_NONE, GstMessageType(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
    const Clock::time_point end = Clock::now();
    const bool failed = GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR;
    if (failed) {
        GError* error = nullptr;
        gst_message_parse_error(message, &error, nullptr);
        std::cerr << error->message << "\n";
        g_error_free(error);
    } else {
        nlohmann::json out = {{"seconds", between(times.loaded, end)},
                              {"first_frame", between(times.loaded, times.first)},
                              {"frames", times.frames},
                              {"quarters", times.quarters},
                              {"thresholds", times.thresholds}};
        out["stats"] = stats_of(source);
        std::cout << out << std::endl;
    }
    gst_message_unref(message);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    return failed;
}
