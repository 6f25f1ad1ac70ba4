// SPDX-License-Identifier: LGPL-2.1-or-later
// What an application may do where the element calls it (a sync handler of the bus, a handler of notify, a log
// function): anything, stopping and dropping the pipeline included. Nothing hangs, neither the call nor what the
// application does afterwards.
#include <atomic>
#include <future>
#include <utility>

#include "tests/element/player.h"

namespace {

constexpr double SOON = 10; // generous on a busy machine; a hang lasts for ever

// Runs `what` in a thread of its own: it has to end.
template <class F> void must_end(const char* name, F what) {
    std::packaged_task<void()> task(what);
    auto done = task.get_future();
    std::thread thread(std::move(task));
    const bool ended = done.wait_for(std::chrono::duration<double>(SOON)) == std::future_status::ready;
    if (ended)
        thread.join();
    else
        thread.detach();
    fail_unless(ended, "%s hangs", name);
}

// Calls `what` once, at the first message or notification that `place` names.
class Application {
  public:
    GstElement *pipeline, *gen;
    std::atomic<int> calls{0}, late{0};
    std::atomic<bool> entered{false}, left{false}, stopped{false};

    Application(const std::string& settings, std::string place, std::function<void(Application&)> what)
        : place_(std::move(place)), what_(std::move(what)) {
        GError* error = nullptr;
        pipeline = gst_parse_launch(
            ("motioncachegen name=gen " + settings + " ! fakesink name=sink sync=false").c_str(), &error);
        fail_unless(pipeline && !error, "%s", error ? error->message : "");
        gen = gst_bin_get_by_name(GST_BIN(pipeline), "gen");
        if (GstElement* filter = gst_bin_get_by_name(GST_BIN(pipeline), "filter")) { // once linked it cannot work
            gst_util_set_object_arg(G_OBJECT(filter), "caps", "video/x-raw,format=I420,width=850");
            gst_object_unref(filter);
        }
        bus_ = gst_element_get_bus(pipeline);
        gst_bus_set_sync_handler(bus_, on_message, this, nullptr);
        g_signal_connect(gen, "notify::seed-used", G_CALLBACK(on_notify), this);
    }
    ~Application() {
        if (pipeline) gst_element_set_state(pipeline, GST_STATE_NULL);
        gst_bus_set_sync_handler(bus_, nullptr, nullptr, nullptr);
        g_signal_handlers_disconnect_by_data(gen, this);
        gst_object_unref(bus_);
        gst_object_unref(gen);
        if (pipeline) gst_object_unref(pipeline);
    }
    bool wait(const std::atomic<bool>& flag) {
        for (int i = 0; i < SOON * 200 && !flag; i++) sleep_ms(5);
        return flag;
    }

  private:
    static std::string name_of(GstMessage* message) {
        switch (GST_MESSAGE_TYPE(message)) {
        case GST_MESSAGE_ERROR:
            return "error";
        case GST_MESSAGE_WARNING:
            return "warning";
        case GST_MESSAGE_PROGRESS: {
            GstProgressType type;
            gst_message_parse_progress(message, &type, nullptr, nullptr);
            return type == GST_PROGRESS_TYPE_START      ? "start"
                   : type == GST_PROGRESS_TYPE_CONTINUE ? "continue"
                   : type == GST_PROGRESS_TYPE_COMPLETE ? "complete"
                                                        : "progress end";
        }
        case GST_MESSAGE_ELEMENT:
            return "chunk";
        default:
            return "";
        }
    }
    void at(const std::string& name) {
        if (stopped) late++;
        if (name != place_ || calls++) return;
        entered = true;
        what_(*this);
        left = true;
    }
    static GstBusSyncReply on_message(GstBus*, GstMessage* message, gpointer user) {
        auto* self = static_cast<Application*>(user);
        if (GST_MESSAGE_SRC(message) == GST_OBJECT(self->gen)) self->at(name_of(message));
        gst_message_unref(message);
        return GST_BUS_DROP;
    }
    static void on_notify(GObject*, GParamSpec*, gpointer user) { static_cast<Application*>(user)->at("seed-used"); }

    const std::string place_;
    const std::function<void(Application&)> what_;
    GstBus* bus_;
};

struct Occasion {
    const char *name, *knobs, *settings;
};
// Everything that the element tells of its own accord, each with a way to bring it about.
const Occasion occasions[] = {
    {"start", "load-ms=50", ""},
    {"continue", "load-ms=50", ""},
    {"complete", "load-ms=50", ""},
    {"seed-used", "step-ms=20", ""},
    {"chunk", "step-ms=5", ""},
    {"warning", "load-ms=50", ""},         // that this is a test pattern
    {"error", "fail=load,load-ms=20", ""}, // of the worker
    {"error", "fail=next:1", ""},
    {"progress end", "fail=load", ""},
    {"error", "", "steps=0"},                  // of the state change
    {"error", "", "! capsfilter name=filter"}, // of the streaming thread
};

void everywhere(const std::function<void(Application&)>& what,
                const std::function<void(Application&)>& afterwards = {}) {
    for (const Occasion& p : occasions) {
        use_testpattern(p.knobs);
        must_end(p.name, [&] {
            Application app(std::string("prompt=ball steps=3 ") + p.settings, p.name, what);
            gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
            fail_unless(app.wait(app.entered), "no %s (%s)", p.name, p.knobs);
            fail_unless(app.wait(app.left), "the handler of %s hangs (%s)", p.name, p.knobs);
            if (afterwards) afterwards(app);
        });
    }
}

} // namespace

GST_START_TEST(test_stopping) {
    for (GstState state : {GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED})
        everywhere([=](Application& app) { gst_element_set_state(app.pipeline, state); },
                   [](Application& app) {
                       // It is not worn out by it.
                       fail_unless_equals_int(gst_element_set_state(app.pipeline, GST_STATE_NULL),
                                              GST_STATE_CHANGE_SUCCESS);
                       gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
                       gst_element_set_state(app.pipeline, GST_STATE_NULL);
                   });
}
GST_END_TEST

GST_START_TEST(test_stopping_and_dropping_the_pipeline) {
    everywhere([](Application& app) {
        gst_element_set_state(app.pipeline, GST_STATE_NULL);
        gst_object_unref(std::exchange(app.pipeline, nullptr));
    });
}
GST_END_TEST

GST_START_TEST(test_starting_again) {
    everywhere([](Application& app) {
        gst_element_set_state(app.pipeline, GST_STATE_NULL);
        g_object_set(app.gen, "num-frames", 5, nullptr);
        gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
    });
}
GST_END_TEST

GST_START_TEST(test_asking) {
    everywhere([](Application& app) {
        gst_element_get_state(app.pipeline, nullptr, nullptr, GST_SECOND);
        gst_element_get_state(app.gen, nullptr, nullptr, GST_SECOND);
        gint64 time = 0;
        gst_element_query_duration(app.pipeline, GST_FORMAT_TIME, &time);
        gst_element_query_position(app.pipeline, GST_FORMAT_TIME, &time);
        guint count = 0;
        GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(app.gen), &count);
        for (guint i = 0; i < count; i++) {
            if (!(specs[i]->flags & G_PARAM_READABLE)) continue;
            GValue value = G_VALUE_INIT;
            g_value_init(&value, specs[i]->value_type);
            g_object_get_property(G_OBJECT(app.gen), specs[i]->name, &value);
            g_value_unset(&value);
        }
        g_free(specs);
    });
}
GST_END_TEST

// The pipeline cannot get to PAUSED before a frame comes, and the frame comes after the message.
GST_START_TEST(test_waiting_for_the_state) {
    use_testpattern();
    for (const char* place : {"complete", "seed-used", "chunk"})
        must_end(place, [=] {
            Application app("prompt=ball steps=3", place, [](Application& app) {
                fail_unless_equals_int(gst_element_get_state(app.pipeline, nullptr, nullptr, GST_CLOCK_TIME_NONE),
                                       GST_STATE_CHANGE_SUCCESS);
            });
            gst_element_set_state(app.pipeline, GST_STATE_PAUSED);
            fail_unless(app.wait(app.left), "the handler of %s hangs", place);
        });
}
GST_END_TEST

GST_START_TEST(test_setting_and_ending) {
    everywhere([](Application& app) {
        g_object_set(app.gen, "prompt", "boat", "steps", 2, "cache", 1, "guidance-scale", 3.0, nullptr);
        gst_element_send_event(app.pipeline, gst_event_new_eos());
    });
}
GST_END_TEST

// A handler that waits for a lock which the thread that stops the pipeline
// holds, and one that has another thread stop it.
GST_START_TEST(test_waiting_for_another_thread) {
    for (const Occasion& p : occasions) {
        use_testpattern(p.knobs);
        must_end(p.name, [&] {
            std::mutex ours;
            Application app(std::string("prompt=ball steps=3 ") + p.settings, p.name,
                            [&](Application&) { std::lock_guard lock(ours); });
            {
                std::lock_guard lock(ours);
                gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
                fail_unless(app.wait(app.entered), "no %s", p.name);
                gst_element_set_state(app.pipeline, GST_STATE_NULL);
            }
            fail_unless(app.wait(app.left));
        });
        must_end(p.name, [&] {
            Application app(std::string("prompt=ball steps=3 ") + p.settings, p.name, [](Application& app) {
                std::thread([&] { gst_element_set_state(app.pipeline, GST_STATE_NULL); }).join();
            });
            gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
            fail_unless(app.wait(app.left), "the handler of %s hangs", p.name);
        });
    }
}
GST_END_TEST

// What a handler is given may be gone once the pipeline has stopped.
GST_START_TEST(test_nothing_is_heard_after_the_stop) {
    use_testpattern("load-ms=5");
    for (int i = 0; i < 30; i++) {
        Application app("prompt=ball steps=1", "", [](Application&) {});
        gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
        sleep_ms(i);
        gst_element_set_state(app.pipeline, GST_STATE_NULL);
        app.stopped = true;
        sleep_ms(5);
        fail_unless_equals_int(app.late, 0);
    }
}
GST_END_TEST

static std::atomic<int> logged{0};
static void stop_in_log(GstDebugCategory* category, GstDebugLevel, const gchar*, const gchar*, gint, GObject* object,
                        GstDebugMessage* message, gpointer) {
    // Lines of the streaming thread and of state changes are GStreamer's to worry about.
    const std::string text = gst_debug_message_get(message);
    if (!object || (std::string(gst_debug_category_get_name(category)) != "motioncache-engine" &&
                    !text.starts_with("seed ")))
        return;
    if (logged++) return;
    auto* pipeline = GST_ELEMENT(gst_object_get_parent(GST_OBJECT(object)));
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    logged += 100;
}

GST_START_TEST(test_stopping_in_a_log_function) {
    use_testpattern("step-ms=50");
    gst_debug_set_active(TRUE);
    gst_debug_remove_log_function(nullptr);
    gst_debug_add_log_function(stop_in_log, nullptr, nullptr);
    for (const char* category : {"motioncachegen", "motioncache-engine"}) {
        gst_debug_set_threshold_for_name(category, GST_LEVEL_INFO);
        logged = 0;
        must_end(category, [] {
            Application app("prompt=ball", "", [](Application&) {});
            gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
            for (int i = 0; i < SOON * 200 && logged < 100; i++) sleep_ms(5);
            fail_unless(logged >= 100, "not logged, or the log function hangs");
        });
        gst_debug_set_threshold_for_name(category, GST_LEVEL_NONE);
    }
    gst_debug_remove_log_function(stop_in_log);
}
GST_END_TEST

static Suite* callbacks_suite(void) {
    Suite* suite = suite_create("callbacks");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_stopping);
    tcase_add_test(tests, test_stopping_and_dropping_the_pipeline);
    tcase_add_test(tests, test_starting_again);
    tcase_add_test(tests, test_asking);
    tcase_add_test(tests, test_waiting_for_the_state);
    tcase_add_test(tests, test_setting_and_ending);
    tcase_add_test(tests, test_waiting_for_another_thread);
    tcase_add_test(tests, test_nothing_is_heard_after_the_stop);
    tcase_add_test(tests, test_stopping_in_a_log_function);
    return suite;
}

GST_CHECK_MAIN(callbacks)
