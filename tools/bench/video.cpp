// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/bench/video.h"

#include <ATen/ATen.h>

#include <chrono>

#include "engine/families/skyreels_v2/model.h"
#include "engine/families/skyreels_v2/settings.h"
#include "kernels/kernels.h"

namespace mc::bench {

Video make_video(const std::shared_ptr<const session::Family>& model, session::Request request) {
    Video video;
    const session::Request asked = request;
    int64_t decisions = 0, warm = 0;
    request.decisions = [&](const cache::Decision& d) {
        decisions++;
        warm += d.kind == cache::Decision::Kind::WARMUP || d.kind == cache::Decision::Kind::FIRST_AFTER_WARMUP;
    };
    const auto start = std::chrono::steady_clock::now();
    session::Session session(model, std::move(request));
    while (auto frames = session.next()) {
        const at::Tensor pixels = frames->pixels.contiguous(); // [3, n, H, W]
        video.height = size_t(pixels.size(2)), video.width = size_t(pixels.size(3));
        const size_t frame = video.width * video.height;
        for (int64_t i = 0; i < pixels.size(1); i++) {
            video.rgb.resize(video.rgb.size() + 3 * frame);
            kernels::picture_to_rgb({pixels.const_data_ptr<float>() + i * int64_t(frame),
                                     size_t(pixels.stride(0)), video.width, video.height},
                                    video.rgb.data() + video.rgb.size() - 3 * frame, 3 * video.width);
        }
    }
    video.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    video.stats = session.stats();
    // One decision for each turn, or for both branches with CacheReuse::SOLVER; none where nothing is decided.
    const int64_t turns = video.stats.count.turns;
    video.turns_after_warmup = decisions ? turns / decisions * (decisions - warm) : turns;
    const auto* windows = dynamic_cast<const skyreels_v2::Model*>(model.get());
    if (!windows) return video;
    const skyreels_v2::VideoSettings settings = skyreels_v2::complete(asked, *windows);
    int64_t frames = 0;
    for (size_t i = 0; i < settings.length.windows.size(); i++) {
        frames += 4 * settings.length.windows[i] - 3 - (i ? settings.overlap_history : 0);
        video.window_ends.push_back(frames);
    }
    return video;
}

} // namespace mc::bench
