// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Memory that ends anywhere. Behind Torch's headers, as check.h must be.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/own_stream.h"
#include "tests/check.h"
#include "tests/fake/fake_device.h"

namespace mc::fake {

struct Places {
    size_t all = 0, pinned = 0; // pinned: of memory that the host shares
};

// Every place in turn at which `make` allocates, as it is first come by, but for those that an earlier call has made
// fail: one error, nothing stays held, and `make` can be called again.
inline Places each_place_fails(const std::string& what, const std::function<void()>& make) {
    const auto held = [] {
        clear_workspaces(device()); // of work that came as far as its products
        return use().used;
    };
    make(); // what the process takes once
    const size_t before = held();
    watch_places();
    make();
    const std::vector<int64_t> found = places();
    Places failed;
    for (int64_t place : found) {
        // Each way of telling it, in turn.
        fail(failed.all++ % 3 ? Failure::ALLOCATOR : Failure::LIBRARY, place);
        std::string said;
        try {
            make();
        } catch (const Error& e) {
            CHECK_EQ(int(e.status), int(MC_ERROR_MEMORY));
            said = e.what();
        }
        failed.pinned += failed_pinned();
        const std::vector of_host{"MiB of main memory", "ulimit -l"},
            of_device{"ran out of memory: ", "'s 64.00 GiB are free; "};
        for (const char* words : failed_pinned() ? of_host : of_device)
            if (said.find(words) == std::string::npos)
                test::fail(what.c_str(), int(failed.all), "\"" + said + "\" lacks " + words);
        CHECK_EQ(held(), before);
    }
    fail(Failure::NONE, 0);
    make();
    std::printf("     %s: %zu places that allocate, each made to fail\n", what.c_str(), failed.all);
    std::fflush(stdout);
    return failed;
}

} // namespace mc::fake
