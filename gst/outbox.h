#pragma once
// What the element tells the application while it runs: messages, notifications and lines of the log, in order, in a
// thread of GStreamer's own (gst_element_call_async). The application's code runs in it (a sync handler of the bus, a
// handler of notify, a log function) and may do what it likes, take the pipeline to NULL and drop it too: neither the
// worker nor the streaming thread ever runs such code, and whoever waits for what was put in waits for a moment only.
#include <gst/gst.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace mc::gst {

class Outbox {
  public:
    // `post` brings a message to the bus.
    Outbox(GstElement* element, std::function<void(GstMessage*)> post);

    // ---- state changes ----
    void open();
    // What was not delivered never will be, but for a last word. It, and a delivery that runs in another thread, are
    // waited for, for a moment, so that an application that has stopped the element hears nothing more of it.
    void close(GstMessage* last, std::function<bool()> still_due);
    // From any thread: await() returns at once while it is set.
    void set_flushing(bool flushing);

    // ---- any thread; each returns at once ----
    // (transfer full) Of errors only the first since open(), as the base class follows up each of ours. still_due: asked
    // when its turn comes.
    void post(GstMessage* message, std::function<bool()> still_due = {});
    void notify(const char* property);
    void log(GstDebugCategory* category, GstDebugLevel level, const std::string& text);

    bool failed(); // an error was put in since open()
    // Until all that was put in has been delivered, but no longer than a moment: an application that waits in its handler,
    // for a state change perhaps, must not be waited for. From within a handler it returns at once.
    void await();

  private:
    struct Letters; // of the time from open() to close(): a handler that never returns holds up its own run only
    bool claim(const GstMessage* message); // false: an error that follows another
    using Letter = std::function<void(GstElement*)>;
    Letter letter_of(GstMessage* message, std::function<bool()> still_due);
    void put(Letter letter);
    static void put(GstElement* element, const std::shared_ptr<Letters>& letters, Letter letter);
    std::shared_ptr<Letters> letters();
    static void deliver_all(GstElement* element, gpointer letters);

    GstElement* const element_;
    const std::function<void(GstMessage*)> post_;
    std::mutex mutex_; // guards what follows
    std::shared_ptr<Letters> letters_;
    bool error_claimed_ = false;
    bool flushing_ = false;
};

} // namespace mc::gst
