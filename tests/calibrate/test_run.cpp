// SPDX-License-Identifier: LGPL-2.1-or-later
// The program itself on the demo model, in seconds, and what it learns from.
#include <c10/core/InferenceMode.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/error.h"
#include "engine/model/calibration.h"
#include "engine/model/fingerprint.h"
#include "tools/calibrate/learning.h"
// After Torch's headers, which have a CHECK of their own.
#include "tests/check.h"

using namespace mc;
using namespace mc::calibrate;
namespace fs = std::filesystem;

namespace {

std::string demo() {
    return std::string(std::getenv("MC_SOURCE_ROOT")) + "/models/demo";
}

struct Folder {
    std::string path = (fs::temp_directory_path() / ("mc-calibrate-" + std::to_string(getpid()))).string();
    Folder() { fs::create_directories(path); }
    ~Folder() { fs::remove_all(path); }
};

// What the program prints, and its status.
std::string run(const std::string& arguments, int& status) {
    const std::string command = std::string(std::getenv("MC_CALIBRATE")) + " " + arguments + " 2>&1";
    std::FILE* pipe = popen(command.c_str(), "r");
    std::string text;
    char part[4096];
    while (size_t n = std::fread(part, 1, sizeof part, pipe)) text.append(part, n);
    status = WEXITSTATUS(pclose(pipe));
    return text;
}

session::Request small() {
    session::Request r;
    r.seed = 3;
    r.width = 64, r.height = 48, r.num_frames = 17, r.steps = 6;
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::NONE;
    return r;
}

} // namespace

TEST(learning_computes_what_an_uncached_run_does) {
    c10::InferenceMode guard;
    session::LoadOptions load;
    load.device = "cpu", load.threads = 1, load.calibration = false;
    const auto model = skyreels_v2::Model::open(demo(), load);
    const std::vector<std::string> prompts = {"a red ball going up over green hills",
                                              "a white car, still, in the city"};
    const Lesson lesson = learn(model, small(), prompts);
    for (size_t i = 0; i < prompts.size(); i++) {
        CHECK_EQ(lesson.full[i].stats.count.tokens_reused, 0);
        CHECK(lesson.full[i].rgb == bench::make_video(model, request_of(small(), prompts, i)).rgb);
    }
    // 5 latent frames in two chunks of 3, 8 x 6 latent pixels.
    CHECK_EQ(lesson.recording.frame_tokens, 12);
    CHECK_EQ(lesson.recording.chunk_frames, 3);
    CHECK_EQ(lesson.recording.chunks.size(), size_t(4));
    CHECK_EQ(lesson.recording.steps.size(), size_t(6));
    for (const ChunkMotion& m : lesson.recording.chunks)
        for (const auto& change : m.change) {
            CHECK_EQ(change.size(), size_t(36));
            for (float c : change) CHECK(c >= 0 && c <= 1.001f);
        }
    for (const Point& p : lesson.points()) CHECK(p.x > 0 && p.x < 2 && p.y > 0 && p.y < 10);
    CHECK_EQ(lesson.points().size(), size_t(5));
}

TEST(the_file_it_writes_belongs_to_the_model) {
    const Folder folder;
    const std::string file = folder.path + "/motioncache.json";
    int status = -1;
    const std::string text =
        run(demo() + " --quick --steps 8 --frames 17 --width 64 --height 48 --threads 2 --output " + file,
            status);
    CHECK_EQ(status, 0);
    CHECK(text.find("written: " + file) != std::string::npos);
    const auto model = model::skyreels_v2::Folder::open(demo());
    const uint64_t weights = model::fingerprint(*model->transformer_tensors());
    const model::Calibration c = model::read_calibration(file, weights); // checks the polynomial too
    CHECK(c.quality.settings.threshold < c.fast.settings.threshold);
    for (const auto* preset : {&c.quality, &c.balanced, &c.fast}) {
        CHECK(preset->speedup > 0 && preset->psnr > 5 && preset->ssim > 0);
        CHECK(preset->settings.polynomial == c.polynomial);
        CHECK(!preset->settings.path.empty() && preset->settings.path == c.path);
        CHECK(preset->settings.first_frames >= 3 && preset->settings.first_frames % 3 == 0);
        CHECK_EQ(preset->settings.chunks, 2);
    }
    CHECK(!fs::exists(file + ".new"));
}

TEST(what_cannot_be_calibrated_is_refused_in_a_line) {
    const Folder folder;
    int status = -1;
    auto refused = [&](const std::string& arguments, const std::string& part) {
        const std::string text = run(arguments, status);
        CHECK_EQ(status, 1);
        CHECK(text.find(part) != std::string::npos);
        CHECK_EQ(std::count(text.begin(), text.end(), '\n'), 1);
    };
    refused(folder.path, folder.path); // no model in it
    refused(folder.path + "/none", folder.path + "/none");
    refused("", "folder of a model is needed");
    refused(demo() + " --output " + folder.path + "/none/x.json", "no such folder");
    refused(demo() + " --output " + folder.path, "cannot be written");
    refused(demo() + " --prompts " + folder.path + "/none.txt", "cannot be read");
    refused(demo() + " --output " + folder.path + "/x.json --width 65", "width 65 is not a multiple");
    CHECK(run("--help", status).find("motioncache-calibrate MODEL") == 0);
    CHECK_EQ(status, 0);
}
