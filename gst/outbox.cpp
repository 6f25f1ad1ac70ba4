// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/outbox.h"

#include <utility>

#include "gst/debug.h"

#define GST_CAT_DEFAULT motioncachegen_debug

namespace mc::gst {

namespace {
constexpr std::chrono::seconds A_MOMENT{1};
}

struct Outbox::Letters { // a letter is one delivery: a message, a notification or a log line
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Letter> waiting;
    bool at_work = false; // a thread is delivering, or about to
    bool delivering = false;
    std::thread::id thread; // while delivering
    bool closed = false, flushing = false;
    uint64_t put = 0, delivered = 0;

    bool in_handler() const { return delivering && thread == std::this_thread::get_id(); }
};

Outbox::Outbox(GstElement* element, std::function<void(GstMessage*)> post)
    : element_(element), post_(std::move(post)), letters_(std::make_shared<Letters>()) {}

std::shared_ptr<Outbox::Letters> Outbox::letters() {
    std::lock_guard lock(mutex_);
    return letters_;
}

void Outbox::open() {
    std::lock_guard lock(mutex_);
    letters_ = std::make_shared<Letters>();
    letters_->flushing = flushing_;
    error_claimed_ = false;
}

void Outbox::close(GstMessage* last, std::function<bool()> still_due) {
    const std::shared_ptr<Letters> mine = letters();
    std::deque<Letter> unheard; // destroyed without the lock
    std::unique_lock lock(mine->mutex);
    unheard.swap(mine->waiting);
    put(element_, mine, letter_of(last, std::move(still_due)));
    mine->closed = true;
    mine->changed.notify_all();
    if (mine->in_handler()) return;
    mine->changed.wait_for(lock, A_MOMENT, [&] { return mine->waiting.empty() && !mine->delivering; });
}

void Outbox::set_flushing(bool flushing) {
    std::lock_guard outer(mutex_);
    flushing_ = flushing;
    std::lock_guard lock(letters_->mutex);
    letters_->flushing = flushing;
    letters_->changed.notify_all();
}

bool Outbox::claim(const GstMessage* message) {
    if (GST_MESSAGE_TYPE(message) != GST_MESSAGE_ERROR) return true;
    std::lock_guard lock(mutex_);
    return !std::exchange(error_claimed_, true);
}

bool Outbox::failed() {
    std::lock_guard lock(mutex_);
    return error_claimed_;
}

Outbox::Letter Outbox::letter_of(GstMessage* message, std::function<bool()> still_due) {
    // A std::function must be copyable: the message is released with its last copy.
    std::shared_ptr<GstMessage> held(message, [](GstMessage* m) { gst_message_unref(m); });
    return [this, held, still_due = std::move(still_due)](GstElement*) {
        if (!still_due || still_due()) post_(gst_message_ref(held.get()));
    };
}

void Outbox::post(GstMessage* message, std::function<bool()> still_due) {
    if (claim(message)) {
        put(letter_of(message, std::move(still_due)));
        return;
    }
    log(GST_CAT_DEFAULT, GST_LEVEL_DEBUG, "an error was posted already, dropping a later one");
    gst_message_unref(message);
}

void Outbox::notify(const char* property) {
    put([property](GstElement* element) { g_object_notify(G_OBJECT(element), property); });
}

void Outbox::log(GstDebugCategory* category, GstDebugLevel level, const std::string& text) {
    if (gst_debug_category_get_threshold(category) < level) return;
    put([category, level, text](GstElement* element) {
        GST_CAT_LEVEL_LOG(category, level, element, "%s", text.c_str());
    });
}

void Outbox::put(Letter letter) {
    const std::shared_ptr<Letters> mine = letters();
    std::lock_guard lock(mine->mutex);
    if (!mine->closed) put(element_, mine, std::move(letter));
}

void Outbox::put(GstElement* element, const std::shared_ptr<Letters>& letters, Letter letter) {
    letters->waiting.push_back(std::move(letter));
    letters->put++;
    if (std::exchange(letters->at_work, true)) return;
    // The call keeps the element, and its outbox with it, alive.
    gst_element_call_async(element, deliver_all, new std::shared_ptr<Letters>(letters),
                           [](gpointer p) { delete static_cast<std::shared_ptr<Letters>*>(p); });
}

void Outbox::deliver_all(GstElement* element, gpointer user) {
    const std::shared_ptr<Letters> letters = *static_cast<std::shared_ptr<Letters>*>(user);
    std::unique_lock lock(letters->mutex);
    letters->thread = std::this_thread::get_id();
    while (!letters->waiting.empty()) {
        Letter letter = std::move(letters->waiting.front());
        letters->waiting.pop_front();
        letters->delivering = true;
        lock.unlock();
        letter(element);
        letter = nullptr;
        lock.lock();
        letters->delivering = false;
        letters->delivered++;
        letters->changed.notify_all();
    }
    letters->at_work = false;
}

void Outbox::await() {
    const std::shared_ptr<Letters> mine = letters();
    std::unique_lock lock(mine->mutex);
    if (mine->in_handler()) return;
    const uint64_t all = mine->put;
    mine->changed.wait_for(lock, A_MOMENT,
                           [&] { return mine->delivered >= all || mine->flushing || mine->closed; });
}

} // namespace mc::gst
