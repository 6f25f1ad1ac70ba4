// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/stats.h"

#include <algorithm>

#include "engine/request/c_request.h"

namespace mc::gst {

McStats total_of(const EngineLibrary& engine, McSession* session) {
    McStats total{};
    total.struct_size = sizeof total;
    engine.session_stats(session, &total);
    return total;
}

Stats stats_of(const EngineLibrary& engine, McSession* session) {
    Stats stats{total_of(engine, session), {}};
    McChunkStats chunk{};
    chunk.struct_size = sizeof chunk;
    // Only the last ones are kept.
    const int64_t first = std::max<int64_t>(0, stats.total.chunks - MC_CHUNKS_KEPT);
    while (engine.session_chunk_stats(session, first + int64_t(stats.chunks.size()), &chunk))
        stats.chunks.push_back(chunk);
    return stats;
}

static void put(GstStructure* s, const char* field, int64_t value) {
    gst_structure_set(s, field, G_TYPE_INT64, gint64(value), nullptr);
}
static void put(GstStructure* s, const char* field, double value) {
    gst_structure_set(s, field, G_TYPE_DOUBLE, value, nullptr);
}
void put_work(GstStructure* s, const McWork& work) {
    put(s, "turns", work.turns);
    put(s, "turns-whole", work.turns_whole);
    put(s, "turns-partial", work.turns_partial);
    put(s, "turns-reused", work.turns_reused);
    put(s, "passes-extra", work.passes_extra);
    put(s, "tokens-computed", work.tokens_computed);
    put(s, "tokens-reused", work.tokens_reused);
}

GstStructure* structure_of(const Stats& stats) {
    const McStats& t = stats.total;
    GstStructure* s =
        gst_structure_new("motioncachegen-stats", "cache", G_TYPE_STRING, mc::text_of(t.cache), nullptr);
    put(s, "seed", t.seed);
    put(s, "frames", t.frames);
    put(s, "frames-total", t.frames_total);
    put(s, "forwards", t.forwards);
    put(s, "forwards-total", t.forwards_total);
    put_work(s, t.work);
    put(s, "seconds-text", t.seconds_text);
    put(s, "seconds-transformer", t.seconds_transformer);
    put(s, "seconds-cache", t.seconds_cache);
    put(s, "seconds-schedule", t.seconds_schedule);
    put(s, "seconds-vae", t.seconds_vae);
    put(s, "flop-transformer", t.flop_transformer);
    put(s, "flop-text", t.flop_text);
    put(s, "flop-vae", t.flop_vae);
    put(s, "bytes-weights", t.bytes_weights);
    put(s, "bytes-planned", t.bytes_planned);
    put(s, "bytes-keys-values", t.bytes_keys_values);
    put(s, "bytes-cache", t.bytes_cache);

    // A GValueArray, as GStreamer's own statistics have: other lists cannot be read from Python.
    G_GNUC_BEGIN_IGNORE_DEPRECATIONS
    GValueArray* list = g_value_array_new(guint(stats.chunks.size()));
    for (const McChunkStats& chunk : stats.chunks) {
        GstStructure* c = gst_structure_new_empty("chunk");
        put(c, "first-frame", chunk.first_frame);
        put(c, "frames", chunk.frames);
        put_work(c, chunk.work);
        GValue value = G_VALUE_INIT;
        g_value_init(&value, GST_TYPE_STRUCTURE);
        g_value_take_boxed(&value, c);
        g_value_array_append(list, &value);
        g_value_unset(&value);
    }
    GValue value = G_VALUE_INIT;
    g_value_init(&value, g_value_array_get_type());
    G_GNUC_END_IGNORE_DEPRECATIONS
    g_value_take_boxed(&value, list);
    gst_structure_take_value(s, "chunks", &value);
    return s;
}

} // namespace mc::gst
