// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Delivers messages, notifications and log lines to the application, in order, in a thread of GStreamer's own
// (gst_element_call_async). The application's code runs in that thread (sync handlers of the bus, notify handlers, log
// functions) and may do anything, including setting the pipeline to NULL and dropping it: neither the worker nor the
// streaming thread ever runs such code, and both wait for a delivery for a moment (A_MOMENT) only.
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
    // `post` posts a message on the bus.
    Outbox(GstElement* element, std::function<void(GstMessage*)> post);

    // ---- state changes ----
    void open();
    // Discards what was not delivered yet, and delivers one last message. Waits a moment for it, and for a delivery
    // that is running in another thread, so that an application that has stopped the element hears nothing more of it.
    void close(GstMessage* last, std::function<bool()> still_due);
    // From any thread. While set, await() returns at once.
    void set_flushing(bool flushing);

    // ---- any thread; each returns at once ----
    // (transfer full) Drops all errors but the first since open(), as the base class adds one of its own to each of
    // ours. still_due: asked right before delivery; false drops the message.
    void post(GstMessage* message, std::function<bool()> still_due = {});
    void notify(const char* property);
    void log(GstDebugCategory* category, GstDebugLevel level, const std::string& text);

    bool failed(); // an error was posted since open()
    // Waits until everything queued so far has been delivered, but no longer than a moment: a handler may itself be
    // waiting, for a state change perhaps. Called from within a handler it returns at once.
    void await();

  private:
    struct Letters; // queue of one run, from open() to close(): a handler that never returns blocks its own run only
    bool claim(const GstMessage* message); // false for every error but the first
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
