/* motioncache.h: the C face of the engine.
 *
 *     McCancel *cancel = mc_cancel_new ();
 *     McModelOptions mo; mc_model_options_init (&mo); mo.path = "models/demo"; mo.cancel = cancel;
 *     McError error;
 *     McModel *model = mc_model_open (&mo, &error);              // NULL: see error.message
 *     McRequest rq; mc_request_init (&rq); rq.prompt = "a red ball bouncing over green hills"; rq.cancel = cancel;
 *     McSession *session = mc_session_new (model, &rq, &error);
 *     McFrames *frames;
 *     while ((frames = mc_session_next (session, &error)) != NULL) {   // the frames of the next finished chunk
 *         for (int i = 0; i < mc_frames_count (frames); i++) mc_frames_write (frames, i, MC_I420, planes, strides);
 *         mc_frames_unref (frames);
 *     }                                                          // NULL with MC_OK: the end
 *     mc_session_free (session); mc_model_unref (model); mc_cancel_free (cancel);
 *
 * Threads. A model may be shared by sessions, one of which samples at a time. A session belongs to one
 * thread at a time. mc_cancel_set and everything on McFrames may be called from any thread at any time.
 * No function lets an exception out; every failure is an McError whose message is one sentence that names
 * the cause and the remedy.
 *
 * Strings are UTF-8 and are copied. Sizes are in pixels, lengths in frames unless said otherwise.
 */
#ifndef MOTIONCACHE_H
#define MOTIONCACHE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MC_ABI_VERSION 1

#if defined(__GNUC__)
#define MC_API __attribute__((visibility("default")))
#else
#define MC_API
#endif

typedef enum {
  MC_OK = 0,
  MC_CANCELLED,        /* the cancel token was set */
  MC_ERROR_SETTINGS,   /* a setting or a combination that cannot work */
  MC_ERROR_NOT_FOUND,  /* a file, folder or device that is not there */
  MC_ERROR_READ,       /* a file that cannot be read, is damaged, or is not what it should be */
  MC_ERROR_MEMORY,     /* more memory needed than is free; the message has both numbers */
  MC_ERROR_DEVICE,     /* the device or a library that it needs cannot be used */
  MC_ERROR_NUMBERS,    /* the model produced NaN or infinity */
  MC_ERROR_INTERNAL    /* a fault of this program */
} McStatus;

typedef struct {
  McStatus status;
  char message[1024];  /* one sentence: cause and remedy */
  char detail[2048];   /* for a bug report: path, tensor, library text; may be empty */
} McError;

/* ---- cancelling ----
 * Setting the token makes the call that runs with it (mc_model_open, mc_session_new, mc_session_next) return
 * with MC_CANCELLED after at most one layer of a network or one tensor of a file. */
typedef struct McCancel McCancel;
MC_API McCancel *mc_cancel_new (void);
MC_API void mc_cancel_set (McCancel *cancel);
MC_API void mc_cancel_free (McCancel *cancel); /* when no call runs with it any more */

/* ---- model ---- */

/* fraction: 0..1 of the bytes loaded; part: "text encoder", "transformer", "vae", static string. */
typedef void (*McProgress) (void *user, double fraction, const char *part);
/* level: 1 error, 2 warning, 4 info, 5 debug, 6 log (the numbers of GStreamer's levels). */
typedef void (*McLog) (void *user, int level, const char *text);

typedef enum { MC_PRECISION_AUTO = 0, MC_PRECISION_FLOAT32, MC_PRECISION_BFLOAT16 } McPrecision;

typedef struct {
  size_t struct_size;    /* set by mc_model_options_init */
  const char *path;      /* model folder, original or Diffusers layout */
  const char *device;    /* "auto" (default), "cpu", "cuda:N" */
  McPrecision precision; /* auto: float32 on the CPU, bfloat16 on CUDA */
  int threads;           /* CPU threads, 0 (default): as many as processors */
  McCancel *cancel;      /* may be NULL */
  McProgress progress;   /* may be NULL; called from the calling thread */
  McLog log;             /* may be NULL; called from any thread of the engine */
  void *user;            /* for both callbacks */
} McModelOptions;

typedef struct McModel McModel;
MC_API void mc_model_options_init (McModelOptions *options);
MC_API McModel *mc_model_open (const McModelOptions *options, McError *error);
MC_API void mc_model_unref (McModel *model); /* a session keeps its model alive */

/* ---- request ----
 * mc_request_init sets every field to "unset"; an unset one takes the model's generation_config.json, else
 * the published defaults of the model's series. */
#define MC_UNSET INT32_MIN

typedef enum { MC_ATTENTION_AUTO = 0, MC_ATTENTION_FULL, MC_ATTENTION_CAUSAL } McAttention;
typedef enum { MC_LONG_VIDEO_AUTO = 0, MC_LONG_VIDEO_PIXEL, MC_LONG_VIDEO_LATENT } McLongVideo;

typedef struct {
  const uint8_t *rgb; /* height x width x 3, 8 bit; NULL: no image */
  int width, height;
  size_t stride;      /* bytes from row to row */
} McImage;

typedef struct {
  size_t struct_size;          /* set by mc_request_init */
  const char *prompt;          /* required */
  const char *negative_prompt; /* NULL: unset */
  int64_t seed;                /* >= 0; -1 (default): random, see McStats.seed */
  int32_t width, height;       /* pixels; multiples of the model's step (16) */
  int32_t frame_rate_n, frame_rate_d;
  int32_t num_frames;          /* any positive number; the next legal length is sampled, exactly this many delivered */
  int32_t steps;               /* denoising steps, 1..1000 */
  double guidance_scale;       /* NAN: unset; 1 or less: no guidance, one forward a row */
  double shift;                /* NAN: unset; > 0 */
  int32_t causal_block_size;   /* latent frames of a chunk */
  int32_t ar_step;             /* rows by which a chunk runs behind the one before; 0: all together */
  int32_t base_num_frames;     /* frames of a window */
  int32_t overlap_history;     /* frames that a window takes over from the one before */
  McLongVideo long_video;      /* how they are taken over: decoded and encoded again, or as latents */
  int32_t addnoise_condition;  /* 0..999: timestep to which the prefix of a window is noised */
  McAttention attention;
  McImage image, end_image;    /* first and last picture; need causal_block_size 1 */
  McCancel *cancel;            /* may be NULL */
} McRequest;

typedef struct McSession McSession;
MC_API void mc_request_init (McRequest *request);
/* Checks the request against the model and against the free memory; allocates nothing big before that. */
MC_API McSession *mc_session_new (McModel *model, const McRequest *request, McError *error);
MC_API void mc_session_free (McSession *session);

/* ---- frames ---- */
typedef enum { MC_I420 = 0, MC_NV12, MC_RGB } McPixelFormat; /* I420 and NV12: BT.709, limited range, chroma between the lines' left samples (mpeg2) */

typedef struct McFrames McFrames;
/* The frames of the next finished chunk, in order. NULL with error->status MC_OK: all frames were delivered. */
MC_API McFrames *mc_session_next (McSession *session, McError *error);
MC_API int mc_frames_count (const McFrames *frames);
MC_API int64_t mc_frames_first (const McFrames *frames); /* index of the first one in the video */
MC_API void mc_frames_write (const McFrames *frames, int index, McPixelFormat format, uint8_t *const planes[3], const int strides[3]);
MC_API void mc_frames_unref (McFrames *frames);

/* ---- statistics ---- */
typedef struct {
  size_t struct_size;     /* set by the caller */
  int64_t seed;           /* the one used */
  int64_t frames;         /* delivered so far */
  int64_t frames_total;
  int64_t chunks, chunks_total;
  int64_t forwards, forwards_total; /* of the transformer, every guidance branch counted */
  double seconds_text, seconds_transformer, seconds_schedule, seconds_vae;
  int64_t flop_transformer, flop_text, flop_vae; /* counted from the shapes that were run */
  int64_t bytes_weights, bytes_planned;           /* bytes_planned: what the request was checked for, weights included */
  int width, height;
} McStats;
/* May be called from any thread. */
MC_API void mc_session_stats (McSession *session, McStats *stats);

MC_API uint32_t mc_abi_version (void); /* MC_ABI_VERSION of the library */

#ifdef __cplusplus
}
#endif
#endif
