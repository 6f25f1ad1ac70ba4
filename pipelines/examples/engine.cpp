// SPDX-License-Identifier: LGPL-2.1-or-later
// engine MODEL PROMPT [FRAMES] >video.y4m: a program in C++ with the engine alone, without GStreamer. It writes
// YUV4MPEG2, which ffmpeg, mpv and encoders read; Ctrl-C cancels, within a layer of a network.
#include <motioncache.h>

#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace {

template <auto F> struct Call {
    template <class T> void operator()(T* object) const { F(object); }
};
using Cancel = std::unique_ptr<McCancel, Call<mc_cancel_free>>;
using Model = std::unique_ptr<McModel, Call<mc_model_free>>;
using Session = std::unique_ptr<McSession, Call<mc_session_free>>;
using Frames = std::unique_ptr<McFrames, Call<mc_frames_free>>;

McCancel* interrupted; // for the signal handler

int fail(const McError& error) {
    std::fprintf(stderr, "%s\n", error.message);
    return error.status == MC_CANCELLED ? 130 : 1;
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 3 || argc > 4) {
        std::fprintf(stderr, "usage: %s MODEL PROMPT [FRAMES] >video.y4m\n", argv[0]);
        return 2;
    }
    const Cancel cancel(mc_cancel_new());
    interrupted = cancel.get();
    std::signal(SIGINT, [](int) { mc_cancel_set(interrupted); });

    McError error;
    McModelOptions options;
    mc_model_options_init(&options, sizeof options);
    options.path = argv[1];
    options.cancel = cancel.get();
    options.progress = [](void*, double fraction, const char* what) {
        std::fprintf(stderr, "\rloading %3.0f %% (%s)   ", 100 * fraction, what);
    };
    const Model model(mc_model_open(&options, &error));
    std::fprintf(stderr, "\n");
    if (!model) return fail(error);

    McRequest request;
    mc_request_init(&request, sizeof request);
    request.prompt = argv[2];
    if (argc > 3) request.num_frames = std::atoi(argv[3]);
    request.cancel = cancel.get();
    const Session session(mc_session_new(model.get(), &request, &error));
    if (!session) return fail(error);

    McStats stats;
    stats.struct_size = sizeof stats;
    mc_session_stats(session.get(), &stats); // the size that the model has chosen
    const int width = stats.width, height = stats.height;
    std::vector<uint8_t> picture(size_t(width) * height * 3 / 2);
    uint8_t* const planes[3] = {picture.data(), picture.data() + size_t(width) * height,
                                picture.data() + size_t(width) * height * 5 / 4};
    const int strides[3] = {width, width / 2, width / 2};
    std::printf("YUV4MPEG2 W%d H%d F24:1 Ip A1:1 C420mpeg2\n", width, height);
    while (const Frames frames{mc_session_next(session.get(), &error)}) { // a chunk, as soon as it is done
        for (int i = 0; i < mc_frames_count(frames.get()); i++) {
            mc_frames_write(frames.get(), i, MC_I420, planes, strides);
            std::fputs("FRAME\n", stdout);
            if (std::fwrite(picture.data(), 1, picture.size(), stdout) != picture.size()) {
                std::perror("standard output");
                return 1;
            }
        }
        mc_session_stats(session.get(), &stats);
        const auto tokens = double(stats.work.tokens_computed + stats.work.tokens_reused);
        std::fprintf(stderr, "\r%" PRId64 " of %" PRId64 " frames, %.0f %% of the tokens reused   ", stats.frames,
                     stats.frames_total, 100 * double(stats.work.tokens_reused) / tokens);
    }
    std::fprintf(stderr, "\n");
    return error.status == MC_OK ? 0 : fail(error);
}
