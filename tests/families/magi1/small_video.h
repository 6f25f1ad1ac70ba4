// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Small MAGI-1 models of random weights behind the session, and what they make.
#include <ATen/ATen.h>
#include <memory>
#include <string>
#include <vector>

#include "engine/families/magi1/model.h"
#include "engine/session/session.h"
#include "tests/check.h"
#include "tests/model/small_magi1.h"

// GCC 12 takes the members of an empty optional for ones that are read.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace mc::test {

using magi1::Model;
using session::Request;
using session::Session;

inline session::LoadOptions options() {
    session::LoadOptions o;
    o.device = "cpu";
    o.threads = 1; // on a machine that builds something else, two would wait for each other
    o.precision = Precision::FLOAT32;
    return o;
}

struct Opened {
    TemporaryFolder folder;
    std::string config;
    std::shared_ptr<const Model> model;
    explicit Opened(const SmallMagi1& kind = {})
        : config(write_small_magi1(folder.path, kind)), model(Model::open(config, options())) {}
};

// Written and loaded once.
inline const Opened& distilled() {
    static const Opened opened;
    return opened;
}
inline const Opened& base() {
    static const Opened opened({.distilled = false});
    return opened;
}

inline Request small(int frames = 60) {
    Request r;
    r.prompt = "a red ball bouncing over green hills";
    r.seed = 5;
    r.width = 48, r.height = 32;
    r.num_frames = frames;
    r.cache.kind = CacheKind::NONE;
    return r;
}

struct Made {
    std::vector<at::Tensor> chunks;
    session::Stats stats;
};

inline Made make(const Opened& opened, const Request& request, int most = 1000) {
    Session session(opened.model, request);
    Made made;
    while (most-- > 0) {
        auto frames = session.next();
        if (!frames) break;
        made.chunks.push_back(frames->pixels);
    }
    made.stats = session.stats();
    return made;
}

inline std::vector<int64_t> lengths(const Made& made) {
    std::vector<int64_t> list;
    for (const at::Tensor& chunk : made.chunks) list.push_back(chunk.size(1));
    return list;
}

inline at::Tensor whole(const Made& made) {
    return at::cat(made.chunks, 1);
}

} // namespace mc::test
