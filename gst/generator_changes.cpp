// SPDX-License-Identifier: LGPL-2.1-or-later
// Changes while a video is made: those that are asked for, and with qos-cache the threshold that follows the clock.
#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/request/c_request.h"
#include "gst/generator.h"

namespace mc::gst {
namespace {

constexpr size_t MOST_WAITING = 1000;
constexpr double MOST_OF_OWN = 4; // qos-cache-max over the request's own threshold; presets are 2 to 3 times apart

} // namespace

void Generator::change(McSession* session, const Update& update) {
    Fields changed = update.changed;
    // What may not change while a video is made is as the video began with it, also when it was set since.
    for (const Field& field : fields())
        if (field.part == Part::CACHE && !field.while_playing) copy_field(field, job_.settings, changed);
    McCacheOptions cache;
    init_c(&cache, sizeof cache);
    write_c(changed, cache);
    McUpdate c;
    init_c(&c, sizeof c);
    write_c(changed, c);
    c.queued = update.frames.has_value();
    c.frames = update.frames.value_or(0);
    if (update.all_of_cache) c.cache = &cache;
    McError error{};
    const gint64 number = engine_->session_update(session, &c, &error);
    if (!number) throw Error(error.status, error.message, error.detail);
    if (!update.all_of_cache) return;
    caches_[number] = changed.cache;
    pace_from_ = number;
    asked_threshold_ = update.changed.cache.threshold;
}

void Generator::change_threshold(McSession* session, double threshold) {
    Update wanted;
    wanted.changed.cache.threshold = threshold;
    change(session, wanted);
}

void Generator::update(const Update& update) {
    std::lock_guard lock(mutex_);
    if (session_ && !update.all_of_cache && update.changed.cache.threshold)
        return ask_threshold(*update.changed.cache.threshold);
    if (session_) return change(session_, update);
    if (waiting_.size() >= MOST_WAITING)
        throw Error(MC_ERROR_SETTINGS, std::to_string(MOST_WAITING) +
                                           " changes wait for the video to begin, and no more can: start the element.");
    waiting_.push_back(update);
}

void Generator::clear_queued() {
    std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [](const auto& update) { return update.frames.has_value(); });
    if (session_) engine_->session_clear_updates(session_);
}

// With qos-cache it is the lower limit of what the clock chooses.
void Generator::ask_threshold(double own) {
    change_threshold(session_, own); // refuses what cannot be
    asked_threshold_ = own;
    if (!pace_) return;
    if (!(most_threshold_ > 0)) told_spent_ = false; // the limit follows it
    pace_->limit(own, most_threshold(own));
    change_threshold(session_, pace_->threshold());
}

// Another cache has begun, with a threshold of its own.
void Generator::limit_pace(const MadeWith& with) {
    pace_from_ = 0, told_spent_ = false;
    const double own = with.cache_threshold > 0 ? asked_threshold_.value_or(with.cache_threshold) : 0;
    pace_->limit(own, most_threshold(own));
    if (own > 0 && pace_->threshold() != with.cache_threshold) change_threshold(session_, pace_->threshold());
}

double Generator::most_threshold(double own) const {
    return most_threshold_ > 0 ? most_threshold_ : MOST_OF_OWN * own;
}

void Generator::limit_threshold(double most) {
    std::lock_guard lock(mutex_);
    most_threshold_ = most;
    told_spent_ = false;
    if (!pace_ || !session_ || pace_from_ || !(pace_->least() > 0)) return; // one that is made later takes it
    const double before = pace_->threshold();
    pace_->limit(pace_->least(), most_threshold(pace_->least()));
    if (pace_->threshold() != before) change_threshold(session_, pace_->threshold());
}

void Generator::tell_spent() {
    told_spent_ = true;
    gchar* text = g_strdup_printf(
        "Generating takes %.2f times as long as the video lasts, although the cache threshold is at its limit, %.3g: "
        "take fewer steps or a smaller picture, or set a higher qos-cache-max, which costs quality.",
        pace_->load(), pace_->threshold());
    const Fault told{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, text, ""};
    outbox_.post(message_of(element_, told, GST_MESSAGE_WARNING));
    g_free(text);
}

// After a chunk that took `seconds` to generate.
void Generator::keep_pace(McSession* session, const McFrames* frames, double seconds) {
    const MadeWith made = made_with(frames);
    const double with = made.cache_threshold;
    const int together = total_of(*engine_, session).window_chunks;
    std::lock_guard lock(mutex_);
    window_chunks_ = together;
    threshold_.now = with;
    if (!job_.qos_cache) return;
    if (!pace_) { // the first chunk, whose time includes the text and, with some schedules, most steps of the others
        const double own = with > 0 ? asked_threshold_.value_or(with) : 0;
        pace_.emplace(own, most_threshold(own));
        if (own <= 0)
            outbox_.post(
                message_of(element_,
                           {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                            "qos-cache has no threshold to change, since this video is made without a cache: choose "
                            "a cache or a cache-preset, or leave qos-cache out.",
                            ""},
                           GST_MESSAGE_WARNING));
        return;
    }
    if (pace_from_ && made.update < pace_from_) return;
    if (pace_from_) return limit_pace(made);
    const double video = double(engine_->frames_count(frames)) * picture_->frame_rate_d / picture_->frame_rate_n;
    const double before = pace_->threshold();
    const bool changed = pace_->chunk(seconds, video, with, together);
    threshold_.load = pace_->load();
    if (pace_->spent() && !told_spent_) tell_spent();
    if (!changed) return;
    change_threshold(session, pace_->threshold());
    post_threshold(before, pace_->threshold(), engine_->frames_first(frames) + engine_->frames_count(frames));
}

// The prompts of the file, then what was asked for before there was a session.
void Generator::queue_waiting(McSession* session) {
    for (size_t i = 0; i < job_.timed_prompts.size(); i++) {
        const TimedPrompt& line = job_.timed_prompts[i];
        const double frames = line.frames ? double(line.frames)
                                          : line.seconds * picture_->frame_rate_n / picture_->frame_rate_d;
        Update wanted;
        if (i) wanted.changed.prompt = line.prompt; // the first one is the request's
        wanted.frames = int(std::clamp(std::round(frames), 1.0, 1e9));
        change(session, wanted);
    }
    for (const Update& waiting : std::exchange(waiting_, {})) try {
            change(session, waiting);
            if (waiting.changed.cache.threshold) asked_threshold_ = waiting.changed.cache.threshold;
        } catch (const Error& e) {
            outbox_.post(message_of(element_, fault_of(e.status, e.what(), e.detail), GST_MESSAGE_WARNING));
        }
}

CacheFields Generator::cache_asked() {
    std::lock_guard lock(mutex_);
    auto at = caches_.upper_bound(update());
    if (at == caches_.begin()) return {}; // does not happen: the request's is there
    caches_.erase(caches_.begin(), --at);
    return at->second;
}

} // namespace mc::gst
