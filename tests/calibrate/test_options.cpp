// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include "engine/error.h"
#include "tests/check.h"
#include "tools/calibrate/options.h"
#include "tools/calibrate/prompts.h"

using namespace mc;
using namespace mc::calibrate;

static Options parsed(std::vector<const char*> arguments) {
    return parse_options(arguments);
}

TEST(options_are_read) {
    const Options o = parsed({"models/demo/", "--steps", "20", "--frames", "17", "--dtype", "bfloat16",
                              "--quick", "--seed", "7", "--output", "x.json"});
    CHECK_EQ(o.model, "models/demo");
    CHECK(o.steps == 20);
    CHECK_EQ(*o.frames, 17);
    CHECK(!o.width && o.quick && o.precision == Precision::BFLOAT16);
    CHECK_EQ(o.seed, 7);
    CHECK_EQ(o.output, "x.json");
    CHECK(!parsed({"m"}).steps);
    CHECK(parsed({"--help"}).help);
}

TEST(options_that_cannot_be_are_refused) {
    CHECK_ERROR(parsed({}), MC_ERROR_SETTINGS, "folder of a model");
    CHECK_ERROR(parsed({"a", "b"}), MC_ERROR_SETTINGS, "Two model folders");
    CHECK_ERROR(parsed({"a", "--step", "9"}), MC_ERROR_SETTINGS, "no option --step");
    CHECK_ERROR(parsed({"a", "--steps"}), MC_ERROR_SETTINGS, "--steps lacks its value");
    CHECK_ERROR(parsed({"a", "--steps", "4"}), MC_ERROR_SETTINGS, "from 5 to 1000");
    CHECK_ERROR(parsed({"a", "--frames", "ten"}), MC_ERROR_SETTINGS, "must be a number");
    CHECK_ERROR(parsed({"a", "--dtype", "int8"}), MC_ERROR_SETTINGS, "float32 or bfloat16");
}

TEST(prompts_come_from_a_file_or_are_built_in) {
    CHECK(built_in_prompts().size() >= 6);
    const std::string file =
        std::filesystem::temp_directory_path() / ("mc-prompts-" + std::to_string(getpid()));
    std::ofstream(file) << "# comment\n\na cat\r\n  \na dog";
    const std::vector<std::string> prompts = read_prompts(file);
    CHECK_EQ(prompts.size(), size_t(2));
    CHECK_EQ(prompts[0], "a cat");
    CHECK_EQ(prompts[1], "a dog");
    std::ofstream(file) << "# nothing\n";
    CHECK_ERROR(read_prompts(file), MC_ERROR_SETTINGS, "holds no prompt");
    std::filesystem::remove(file);
    CHECK_ERROR(read_prompts(file), MC_ERROR_NOT_FOUND, "cannot be read");
}
