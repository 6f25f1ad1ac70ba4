/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* motioncachemeta.h: what a frame of motioncachegen has cost, and where in the picture.
 *
 * Every buffer of motioncachegen has a GstCustomMeta of the name GST_MOTION_CACHE_META. To read it nothing has to be
 * linked:
 *
 *     GstMotionCacheFacts facts;
 *     if (gst_motion_cache_facts_read (buffer, &facts))
 *       printf ("the top left was computed in %.0f %% of the turns\n", facts.computed[0] / 2.55);
 *
 * From other languages, read the structure: in Python buffer.get_custom_meta ("GstMotionCacheMeta").get_structure ()
 *
 *     chunk, frame        gint64   numbers of chunk and frame in the video, from 0
 *     turns               gint64   of the chunk: denoising steps times guidance branches; of these, those in which
 *     turns-whole         gint64     all tokens were computed,
 *     turns-partial       gint64     some,
 *     turns-reused        gint64     none
 *     passes-extra        gint64   passes for keys and values only
 *     tokens-computed     gint64   in the turns
 *     tokens-reused       gint64
 *     map-width           gint     tokens side by side and
 *     map-height          gint     one above the other; together they are the whole picture, whatever its size is now
 *     computed            GBytes   map-height rows of map-width bytes: in what share of the turns the token was
 *                                  computed; 0: in none, 255: in all
 *     motion              GBytes   as many floats (of the machine's byte order): the weight that its motion gave a
 *                                  token last, in the sense of cache-weights; absent where motion was not measured
 *
 * Where attention is not kv, the chunk of the figures is the whole window.
 *
 * The meta is tagged as video and survives copies, videoconvert, videoscale, videorate, queue, tee, and encoders that
 * keep metas, such as x264enc. It is of the picture as it was generated: behind videocrop or videoflip the map no
 * longer lies where it is seen. Elements that make a picture of several (compositor) drop it.
 */
#ifndef GST_MOTION_CACHE_META_H
#define GST_MOTION_CACHE_META_H

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_MOTION_CACHE_META "GstMotionCacheMeta"

typedef struct
{
  gint64 chunk, frame;
  gint64 turns, turns_whole, turns_partial, turns_reused, passes_extra;
  gint64 tokens_computed, tokens_reused;
  gint map_width, map_height;
  const guint8 *computed;       /* map_height rows of map_width; as long as the buffer's meta lives */
  const gfloat *motion;         /* likewise; NULL: not measured */
} GstMotionCacheFacts;

/* FALSE: the buffer has no such meta, or a malformed one. */
static inline gboolean
gst_motion_cache_facts_read (GstBuffer * buffer, GstMotionCacheFacts * facts)
{
  GstCustomMeta *meta;
  GstStructure *s;
  GBytes *computed = NULL, *motion = NULL;
  gsize tokens, size;

  /* Asking for a name that is not registered would be a programming error. */
  if (gst_meta_get_info (GST_MOTION_CACHE_META) == NULL)
    return FALSE;
  meta = gst_buffer_get_custom_meta (buffer, GST_MOTION_CACHE_META);
  if (meta == NULL)
    return FALSE;
  s = gst_custom_meta_get_structure (meta);
  if (!gst_structure_get (s, "chunk", G_TYPE_INT64, &facts->chunk,
          "frame", G_TYPE_INT64, &facts->frame,
          "turns", G_TYPE_INT64, &facts->turns,
          "turns-whole", G_TYPE_INT64, &facts->turns_whole,
          "turns-partial", G_TYPE_INT64, &facts->turns_partial,
          "turns-reused", G_TYPE_INT64, &facts->turns_reused,
          "passes-extra", G_TYPE_INT64, &facts->passes_extra,
          "tokens-computed", G_TYPE_INT64, &facts->tokens_computed,
          "tokens-reused", G_TYPE_INT64, &facts->tokens_reused,
          "map-width", G_TYPE_INT, &facts->map_width,
          "map-height", G_TYPE_INT, &facts->map_height,
          "computed", G_TYPE_BYTES, &computed, NULL))
    return FALSE;
  /* The structure keeps them. */
  g_bytes_unref (computed);
  facts->motion = NULL;
  if (gst_structure_get (s, "motion", G_TYPE_BYTES, &motion, NULL))
    g_bytes_unref (motion);
  if (facts->map_width < 1 || facts->map_height < 1)
    return FALSE;
  tokens = (gsize) facts->map_width * (gsize) facts->map_height;
  facts->computed = (const guint8 *) g_bytes_get_data (computed, &size);
  if (size != tokens)
    return FALSE;
  if (motion != NULL) {
    facts->motion = (const gfloat *) g_bytes_get_data (motion, &size);
    if (size != tokens * sizeof (gfloat))
      return FALSE;
  }
  return TRUE;
}

G_END_DECLS

#endif
