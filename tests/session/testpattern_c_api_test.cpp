// SPDX-License-Identifier: LGPL-2.1-or-later
// What motioncache.h says of structs is true of the library that the element is tested with, as of the engine's
// (c_api_test.cpp).
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "tests/check.h"
#include "tests/session/c_request.h"

using namespace mc;

namespace {

const size_t FOREIGN[] = {0, 4096, SIZE_MAX}; // not initialised, or of a newer header

McModelOptions model_options() {
    McModelOptions options;
    mc_model_options_init(&options, sizeof options);
    options.path = "any";
    return options;
}

} // namespace

TEST(options_that_are_not_ours_are_refused) {
    test::CRequest request;
    request.prompt = "a ball";
    for (const size_t size : FOREIGN) {
        McModelOptions options = model_options();
        options.struct_size = size;
        McPlan plan{};
        plan.struct_size = sizeof plan;
        McError error;
        const auto refused = [&](bool done) {
            CHECK(!done && error.status == MC_ERROR_SETTINGS);
            CHECK(std::strstr(error.message, "mc_model_options_init") != nullptr);
        };
        McModel* model = mc_model_open(&options, &error);
        refused(model);
        mc_model_free(model);
        refused(mc_request_check(&options, request.whole(), &error));
        refused(mc_plan(&options, request.whole(), &plan, &error));
    }
}

TEST(a_request_that_is_not_ours_is_refused) {
    McError error;
    const McModelOptions options = model_options();
    McModel* model = mc_model_open(&options, &error);
    CHECK(model != nullptr);
    if (!model) return;
    for (const size_t size : FOREIGN) {
        test::CRequest request;
        request.prompt = "a ball";
        request.struct_size = size;
        CHECK(mc_session_new(model, request.whole(), &error) == nullptr);
        CHECK(std::strstr(error.message, "mc_request_init") != nullptr);
        CHECK(!mc_request_check(&options, request.whole(), &error));
    }
    mc_model_free(model);
}

int main(int argc, char** argv) {
    return test::run_tests(argc, argv);
}
