// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The demo model and a request small enough for a test; check.h behind Torch's headers, as it must be.
#include <ATen/ATen.h>

#include "engine/families/skyreels_v2/model.h"
#include "engine/session/session.h"
#include "tests/check.h"

namespace mc::test {

inline std::string root; // of the source tree: the first argument

inline std::shared_ptr<const skyreels_v2::Model> demo(int threads = 1,
                                                      Precision precision = Precision::FLOAT32) {
    session::LoadOptions o;
    o.device = "cpu";
    o.threads = threads;
    o.precision = precision;
    return skyreels_v2::Model::open(root + "/models/demo", o);
}

// Two chunks at 64 x 48, three steps.
inline session::Request small() {
    session::Request r;
    r.prompt = "a red ball bouncing over green hills";
    r.seed = 5;
    r.width = 64;
    r.height = 48;
    r.num_frames = 17;
    r.steps = 3;
    r.ar_step = 1;
    return r;
}

// All of it, [3, T, H, W].
inline at::Tensor video(std::shared_ptr<const session::Family> model, session::Request request,
                        session::Stats* stats = nullptr) {
    session::Session s(std::move(model), std::move(request));
    std::vector<at::Tensor> pieces;
    while (auto frames = s.next()) pieces.push_back(frames->pixels.clone());
    if (stats) *stats = s.stats();
    return at::cat(pieces, 1);
}

} // namespace mc::test
