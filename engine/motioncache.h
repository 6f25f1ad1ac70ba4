/* clang-format off */
/* motioncache.h: the C face of the engine, laid out as GLib lays out C.
 *
 *     McCancel *cancel = mc_cancel_new ();
 *     McModelOptions mo; mc_model_options_init (&mo); mo.path = "models/demo"; mo.cancel = cancel;
 *     McError error;
 *     McModel *model = mc_model_open (&mo, &error);              // NULL: see error.message
 *     McRequest rq; mc_request_init (&rq); rq.prompt = "a white boat moving left on the sea"; rq.cancel = cancel;
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

#define MC_ABI_VERSION 3

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
/* level: 1 error, 2 warning, 4 info, 5 debug, 6 log (the numbers of GStreamer's levels). A warning is for whoever asked
 * for the video: what was asked for is done, but not wholly (a GPU that device "auto" could not take, a prompt longer than
 * the model reads). */
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

/* full: every latent frame of a window sees every other. causal: a chunk sees itself and the chunks before it. kv: the
 * same, with the keys and values of earlier chunks kept instead of computed again in every step. */
typedef enum { MC_ATTENTION_AUTO = 0, MC_ATTENTION_FULL, MC_ATTENTION_CAUSAL, MC_ATTENTION_KV } McAttention;
typedef enum { MC_LONG_VIDEO_AUTO = 0, MC_LONG_VIDEO_PIXEL, MC_LONG_VIDEO_LATENT } McLongVideo;

/* ---- caching ----
 * What of the transformer's work is reused from step to step. teacache: whole rows of the schedule, any attention;
 * flowcache: whole chunks; motioncache: tokens, those that move computed more often. The last two need attention kv.
 * auto: motioncache where attention is kv and something is known about the model, else none. */
typedef enum { MC_CACHE_AUTO = 0, MC_CACHE_NONE, MC_CACHE_TEACACHE, MC_CACHE_FLOWCACHE, MC_CACHE_MOTIONCACHE } McCache;
/* Settings of motioncache that motioncache-calibrate measured for the model, or that were published for it. auto:
 * balanced. custom: the published run's, to be changed by the fields below, each of which changes any preset. */
typedef enum {
    MC_CACHE_PRESET_AUTO = 0,
    MC_CACHE_PRESET_QUALITY,
    MC_CACHE_PRESET_BALANCED,
    MC_CACHE_PRESET_FAST,
    MC_CACHE_PRESET_CUSTOM
} McCachePreset;
/* How motion (the change of a token against the latent frame before) becomes its weight: divided by the frame's mean or
 * largest, or rescaled to floor..1. */
typedef enum {
    MC_CACHE_WEIGHTS_AUTO = 0,
    MC_CACHE_WEIGHTS_NONE,
    MC_CACHE_WEIGHTS_MEAN,
    MC_CACHE_WEIGHTS_MAX,
    MC_CACHE_WEIGHTS_MAX_RESCALE
} McCacheWeights;
typedef enum { MC_CACHE_DISTANCE_AUTO = 0, MC_CACHE_DISTANCE_GLOBAL, MC_CACHE_DISTANCE_TOKEN } McCacheDistance;
/* repeat: a reused token's residual is what it last was; taylor: extrapolated to first order over the noise
   level; solver: the solver goes over the reused steps in one, from where the token was last computed. */
typedef enum {
    MC_CACHE_REUSE_AUTO = 0,
    MC_CACHE_REUSE_REPEAT,
    MC_CACHE_REUSE_TAYLOR,
    MC_CACHE_REUSE_SOLVER
} McCacheReuse;
/* With attention kv, what later chunks see of a finished one. frozen (auto): its last, still noisy step, as the
 * reference; refreshed: one more pass without noise. */
typedef enum { MC_FINISHED_AUTO = 0, MC_FINISHED_FROZEN, MC_FINISHED_REFRESHED } McFinished;
#define MC_NO_VOTE (-2.0)

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
  McCache cache;
  McCachePreset cache_preset;
  double cache_threshold;      /* NAN: unset; > 0: summed distance at which to compute again; higher is faster and coarser */
  int32_t cache_warmup;        /* >= 0: evaluations of a chunk computed wholly at first */
  int32_t cache_coarse_updates; /* >= 0: computations of a whole chunk before motion weights begin */
  McCacheWeights cache_weights;
  double cache_weight_floor;   /* NAN: unset; 0..1: weight of a token that does not move */
  McCacheDistance cache_distance;
  double cache_vote;           /* NAN: unset; 0..1: a position is computed in all frames of a chunk when more than this
                                  share wants it; MC_NO_VOTE: each token for itself */
  double cache_min_ratio;      /* NAN: unset; 0..1: a smaller share of tokens is put off */
  double cache_first_share;    /* NAN: unset; above 0 up to 1: threshold of a window's first chunk where nothing is
                                  given before it, as a share of cache_threshold; 1 as published */
  double cache_noise_power;    /* NAN: unset; 0..8: distances count sigma to this power; 0 as published */
  McCacheReuse cache_reuse;
  McFinished finished_chunks;
  int32_t reference_windows;   /* nonzero: overlaps as the reference of motioncache, which computes prefix chunks after the
                                  first in every step and compares the first motion with the window before */
} McRequest;

typedef struct McSession McSession;
MC_API void mc_request_init (McRequest *request);
/* Before mc_model_open, which may take minutes: 0, and the error, when the two would be refused for settings that
 * contradict each other or the model (told before any weight file is opened), for a device or a file that is not there, or
 * for memory that the weights and the request take at least. Reads JSON files and headers. 1 promises nothing, as
 * mc_model_open and mc_session_new look again. Does not call `progress`. */
MC_API int mc_request_check (const McModelOptions *options, const McRequest *request, McError *error);
/* Checks the request against the model and against the free memory; allocates nothing big before that. */
MC_API McSession *mc_session_new (McModel *model, const McRequest *request, McError *error);
MC_API void mc_session_free (McSession *session);

/* ---- frames ---- */
/* I420 and NV12: BT.709, limited range, chroma between the lines' left samples (mpeg2). */
typedef enum { MC_I420 = 0, MC_NV12, MC_RGB } McPixelFormat;

typedef struct McFrames McFrames;
/* The frames of the next finished chunk, in order. NULL with error->status MC_OK: all frames were delivered. */
MC_API McFrames *mc_session_next (McSession *session, McError *error);
MC_API int mc_frames_count (const McFrames *frames);
MC_API int64_t mc_frames_first (const McFrames *frames); /* index of the first one in the video */
MC_API void mc_frames_write (const McFrames *frames, int index, McPixelFormat format,
                             uint8_t *const planes[3], const int strides[3]);
MC_API void mc_frames_unref (McFrames *frames);

/* ---- statistics ---- */
/* What was computed and what reused. A turn: a chunk takes part in a step, a guidance branch each; where attention is
 * not kv the whole window is one chunk. */
typedef struct {
  int64_t turns, turns_whole, turns_partial, turns_reused; /* all tokens computed, some, none; together the turns */
  int64_t passes_extra;                          /* for keys and values alone: prefixes, refreshed chunks */
  int64_t tokens_computed, tokens_reused;        /* in turns */
} McWork;

typedef struct {
  size_t struct_size;     /* set by the caller */
  int64_t seed;           /* the one used */
  int64_t frames;         /* delivered so far */
  int64_t frames_total;
  int64_t chunks, chunks_total;
  int64_t forwards, forwards_total; /* of the transformer: steps of the schedule, every guidance branch counted */
  double seconds_text, seconds_transformer, seconds_schedule, seconds_vae;
  int64_t flop_transformer, flop_text, flop_vae; /* counted from the shapes that were run */
  int64_t bytes_weights, bytes_planned;           /* bytes_planned: what the request was checked for, weights included */
  int width, height;
  McCache cache;          /* the one in use: never auto */
  McWork work;            /* so far */
  double seconds_cache;   /* deciding and measuring motion; not in seconds_transformer */
  int64_t bytes_keys_values, bytes_cache;         /* of bytes_planned: kept keys and values; residuals */
} McStats;
/* May be called from any thread. */
MC_API void mc_session_stats (McSession *session, McStats *stats);

typedef struct {
  size_t struct_size;     /* set by the caller */
  int64_t first_frame, frames;
  McWork work;
} McChunkStats;
/* Of delivered chunk `index`, from 0; 0 when it is not delivered yet. May be called from any thread. */
MC_API int mc_session_chunk_stats (McSession *session, int64_t index, McChunkStats *stats);

MC_API uint32_t mc_abi_version (void); /* MC_ABI_VERSION of the library */

#ifdef __cplusplus
}
#endif
#endif
