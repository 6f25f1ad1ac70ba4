// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request of the C API together with its cache options: a value that may be copied, unlike the struct, which
// points to them.
#include "engine/motioncache.h"

namespace mc::test {

struct CRequest : McRequest {
    McCacheOptions caching;
    CRequest() {
        mc_request_init(static_cast<McRequest*>(this), sizeof(McRequest));
        mc_cache_options_init(&caching, sizeof caching);
    }
    const McRequest* whole() {
        cache = &caching;
        return this;
    }
};

} // namespace mc::test
