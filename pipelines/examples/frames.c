/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frames PROMPT [FRAMES]: a program in C that takes the frames of motioncachegen from an appsink, as RGB in memory, and
 * prints the time and the mean colour of each. Messages are read in between: progress of loading, warnings, errors. */
#include <gst/app/gstappsink.h>
#include <gst/video/video.h>

static void
mean_colour (GstVideoFrame * frame, double mean[3])
{
  const int width = GST_VIDEO_FRAME_WIDTH (frame), height = GST_VIDEO_FRAME_HEIGHT (frame);
  const int stride = GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0); /* rows may have gaps between them */
  const guint8 *pixels = GST_VIDEO_FRAME_PLANE_DATA (frame, 0);
  for (int c = 0; c < 3; c++) {
    guint64 sum = 0;
    for (int y = 0; y < height; y++)
      for (int x = 0; x < width; x++)
        sum += pixels[y * stride + 3 * x + c];
    mean[c] = sum / (double) (width * height);
  }
}

/* Prints what the pipeline says, without waiting. FALSE: an error. */
static gboolean
read_messages (GstBus * bus)
{
  gboolean good = TRUE;
  GstMessage *message;
  while ((message = gst_bus_pop (bus)) != NULL) {
    GError *error = NULL;
    gchar *code = NULL, *text = NULL;
    switch (GST_MESSAGE_TYPE (message)) {
      case GST_MESSAGE_ERROR:
        gst_message_parse_error (message, &error, NULL);
        g_printerr ("Error: %s\n", error->message);
        good = FALSE;
        break;
      case GST_MESSAGE_WARNING:
        gst_message_parse_warning (message, &error, NULL);
        g_printerr ("Warning: %s\n", error->message);
        break;
      case GST_MESSAGE_PROGRESS:
        gst_message_parse_progress (message, NULL, &code, &text);
        g_printerr ("%s: %s\n", code, text);
        break;
      default:
        break;
    }
    g_clear_error (&error);
    g_free (code);
    g_free (text);
    gst_message_unref (message);
  }
  return good;
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  if (argc < 2 || argc > 3) {
    g_printerr ("usage: %s PROMPT [FRAMES]\n", argv[0]);
    return 2;
  }
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch ("motioncachegen name=gen ! video/x-raw,format=RGB ! "
      "appsink name=sink sync=false max-buffers=4", &error);
  if (!pipeline) {
    g_printerr ("Error: %s\n", error->message);
    return 1;
  }
  GstElement *gen = gst_bin_get_by_name (GST_BIN (pipeline), "gen");
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  GstBus *bus = gst_element_get_bus (pipeline);
  g_object_set (gen, "prompt", argv[1], NULL);
  if (argc > 2)
    gst_util_set_object_arg (G_OBJECT (gen), "num-frames", argv[2]);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gboolean good = TRUE;
  guint frames = 0;
  while (good) {
    /* Waits a moment only, so that errors are seen too. */
    GstSample *sample = gst_app_sink_try_pull_sample (GST_APP_SINK (sink), GST_SECOND / 10);
    good = read_messages (bus);
    if (!sample) {
      if (gst_app_sink_is_eos (GST_APP_SINK (sink)))
        break;
      continue;
    }
    GstVideoInfo info;
    GstVideoFrame frame;
    GstBuffer *buffer = gst_sample_get_buffer (sample);
    if (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)) &&
        gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ)) {
      double mean[3];
      mean_colour (&frame, mean);
      g_print ("%" GST_TIME_FORMAT "  %3.0f %3.0f %3.0f\n", GST_TIME_ARGS (GST_BUFFER_PTS (buffer)), mean[0], mean[1],
          mean[2]);
      gst_video_frame_unmap (&frame);
      frames++;
    }
    gst_sample_unref (sample);
  }
  good = read_messages (bus) && good;
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (sink);
  gst_object_unref (gen);
  gst_object_unref (pipeline);
  g_printerr ("%u frames\n", frames);
  return good && frames ? 0 : 1;
}
