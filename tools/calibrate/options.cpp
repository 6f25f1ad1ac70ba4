// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/options.h"

#include <charconv>

#include "engine/error.h"

namespace mc::calibrate {

const char* const usage =
    R"(motioncache-calibrate MODEL [options]

Measures what MotionCache can leave out with the SkyReels-V2 model in the folder MODEL and writes
motioncache.json there: path, distance polynomial, and the presets quality, balanced and fast. It generates
videos without a cache, with many settings and for many requests, which takes as long as two hundred videos
without a cache; do it once, on an idle machine.

  --output FILE     where to write; default MODEL/motioncache.json
  --prompts FILE    one prompt per line; default: eight built-in ones
  --steps N         denoising steps; default: the model's
  --frames N        length of each video; default: the model's
  --width N         default: the model's
  --height N        default: the model's
  --device NAME     auto, cpu or cuda:N; default auto
   --threads N       default: one per processor
   --dtype TYPE      float32 or bfloat16; default: that of precision=auto
  --seed N          of the first video, the others count on; default 0
  --quick           two prompts and a coarse search
  --help            this text
)";

namespace {

[[noreturn]] void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message + " See motioncache-calibrate --help.");
}

int number(const std::string& name, const std::string& text, int least, int most) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
        refuse(name + " is \"" + text + "\" but must be a number from " + std::to_string(least) + " to " +
               std::to_string(most) + ".");
    return value;
}

} // namespace

Options parse_options(std::span<const char* const> arguments) {
    Options o;
    for (size_t i = 0; i < arguments.size(); i++) {
        const std::string name = arguments[i];
        if (name == "--help" || name == "-h") {
            o.help = true;
            return o;
        }
        if (name == "--quick") {
            o.quick = true;
            continue;
        }
        if (!name.starts_with("-")) {
            if (!o.model.empty()) refuse("Two model folders are given, " + o.model + " and " + name + ".");
            o.model = name;
            continue;
        }
        const bool known = name == "--output" || name == "--prompts" || name == "--steps" ||
                           name == "--frames" || name == "--width" || name == "--height" ||
                           name == "--device" || name == "--threads" || name == "--dtype" || name == "--seed";
        if (!known) refuse("There is no option " + name + ".");
        if (++i == arguments.size()) refuse(name + " lacks its value.");
        const std::string value = arguments[i];
        if (name == "--output") o.output = value;
        if (name == "--prompts") o.prompts = value;
        if (name == "--steps") o.steps = number(name, value, 5, 1000); // fewer leave a cache nothing to do
        if (name == "--frames") o.frames = number(name, value, 1, 10000000);
        if (name == "--width") o.width = number(name, value, 16, 16384);
        if (name == "--height") o.height = number(name, value, 16, 16384);
        if (name == "--device") o.device = value;
        if (name == "--threads") o.threads = number(name, value, 1, 1024);
        if (name == "--seed") o.seed = number(name, value, 0, 1000000000);
        if (name == "--dtype") {
            if (value != "float32" && value != "bfloat16")
                refuse("--dtype is \"" + value + "\" but must be float32 or bfloat16.");
            o.precision = value == "bfloat16" ? Precision::BFLOAT16 : Precision::FLOAT32;
        }
    }
    if (o.model.empty()) refuse("The folder of a model is needed.");
    while (o.model.size() > 1 && o.model.back() == '/') o.model.pop_back();
    return o;
}

} // namespace mc::calibrate
