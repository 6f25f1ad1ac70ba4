// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The engine's C API without a model: a moving pattern, with delays and faults on request, so that the
// element is tested in seconds. The element takes it only when MOTIONCACHE_ENGINE=testpattern says so.
//
// MOTIONCACHE_TESTPATTERN holds its settings, "name=value,name=value":
//
//   load-ms=N    loading takes N milliseconds                                       default 0
//   first-ms=N   so does what comes before the first step (the text encoder)        default 0
//   step-ms=N    and each denoising step                                            default 0
//   saves=P      a step takes P percent less with twice the cache threshold of 0.1; four times, P percent less again
//                                                                                   default 0
//   busy=K:L:P   from chunk K on and before chunk L steps take P percent of that    default 0:0:100
//   window=N     the first of each N chunks takes the steps of all of them          default 1
//   warn=1       mc_model_open warns through its log
//   reuse=1      the ball is computed in every turn, what is around it in each fourth; else all is
//   gpu=1        frames say that they lie on GPU 0, whose memory is the host's own: see tests/gpu_frames
//   fail=WHERE   one of
//                  check       mc_request_check: MC_ERROR_SETTINGS
//                  load        mc_model_open:    MC_ERROR_READ, half way through
//                  device      mc_model_open:    MC_ERROR_DEVICE
//                  session     mc_session_new:   MC_ERROR_SETTINGS
//                  memory      mc_session_new:   MC_ERROR_MEMORY
//                  numbers:K   mc_session_next:  MC_ERROR_NUMBERS in chunk K (from 0)
//                  next:K      mc_session_next:  MC_ERROR_INTERNAL in chunk K
//                  write       mc_frames_write_device: MC_ERROR_DEVICE
//
// Chunks are as long as the model's would be: causal_block_size latent frames (here 3 when unset), of which
// the very first one decodes to one frame and each other to four. A step counts as two forwards, one without
// guidance. An image is answered by painting it into the first frame's corner, so that a test sees it arrive. The
// lowest eighth of the picture has a colour of the prompt, so that a test sees a change arrive; a transition between
// two prompts blends their colours. A chunk starts when the one before it is done.
#include <cstdint>
#include <string>

#include "engine/error.h"

namespace mc::testpattern {

enum class Fault { NONE, CHECK, LOAD, DEVICE, SESSION, MEMORY, NUMBERS, NEXT, WRITE };

struct Knobs {
    int load_ms = 0, first_ms = 0, step_ms = 0;
    int saves = 0, window = 1;                               // percent; chunks
    int busy_first = 0, busy_end = 0, busy_percent = 100;    // chunks
    bool warn = false, reuse = false, gpu = false;
    Fault fault = Fault::NONE;
    int fault_chunk = 0;
};
// Throws MC_ERROR_SETTINGS for what it does not know.
Knobs parse_knobs(const char* text); // may be null
// How long a step of a chunk takes. threshold 0: nothing is cached.
double step_milliseconds(const Knobs& knobs, int64_t chunk, double threshold);

// One 8-bit picture, a function of its arguments alone.
struct Rgb {
    uint8_t r, g, b;
};
struct Pattern {
    uint64_t seed;
    int width, height;
    int64_t frame;
    Rgb strip; // the lowest eighth
};
// A function of the text alone.
Rgb colour_of(const std::string& prompt);
Rgb pixel(const Pattern& pattern, int x, int y);
bool in_ball(const Pattern& pattern, int x, int y);

} // namespace mc::testpattern
