// SPDX-License-Identifier: LGPL-2.1-or-later
// PSNR against ffmpeg's filter `psnr`, frame by frame, in formats that it compares without a conversion of
// colours. Skipped, with 77, where ffmpeg is not installed.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/check.h"
#include "tests/quality/frames.h"
#include "tools/quality/quality.h"

using namespace mc::quality;
using test::Bytes;

namespace {

constexpr size_t width = 160, height = 96, pixels = width * height;

struct Folder {
    std::string path = std::filesystem::temp_directory_path() / "quality-XXXXXX";
    Folder() {
        if (!mkdtemp(path.data())) throw std::runtime_error("no folder for the videos");
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string file(const std::string& name, const Bytes& bytes) const {
        std::ofstream(path + "/" + name, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return path + "/" + name;
    }
};

// What the filter says of each frame, all planes together, with six decimals.
std::vector<double> ffmpeg(const std::string& format, const Bytes& a, const Bytes& b) {
    const Folder folder;
    std::string command = "ffmpeg -nostdin -v error";
    for (const std::string& file : {folder.file("a", a), folder.file("b", b)})
        command += " -f rawvideo -pixel_format " + format + " -video_size " + std::to_string(width) + "x" +
                   std::to_string(height) + " -i " + file;
    command += " -lavfi '[0:v][1:v]psnr,metadata=mode=print:file=-' -f null -";
    FILE* pipe = popen(command.c_str(), "r");
    if (!pipe) throw std::runtime_error("cannot start: " + command);
    std::vector<double> values;
    char line[256];
    double value;
    while (std::fgets(line, sizeof line, pipe))
        if (std::sscanf(line, "lavfi.psnr.psnr_avg=%lf", &value) == 1) values.push_back(value);
    CHECK_EQ(pclose(pipe), 0);
    return values;
}

struct Pair {
    Bytes reference, video;
};
Pair videos() {
    Pair p;
    const Bytes picture = test::frame(width, height);
    for (const Bytes& frame :
         {test::frame(width, height, "noise", 1), test::frame(width, height, "noise", 40), picture,
          test::frame(width, height, "moved", 2), test::frame(width, height, "blue"),
          test::frame(width, height, "shift", 90), test::frame(width, height, "other")}) {
        p.reference.insert(p.reference.end(), picture.begin(), picture.end());
        p.video.insert(p.video.end(), frame.begin(), frame.end());
    }
    return p;
}

// Each frame as planes of green, blue and red.
Bytes gbrp(const Bytes& rgb) {
    Bytes planes;
    for (size_t frame = 0; frame < rgb.size(); frame += 3 * pixels)
        for (size_t c : {1, 2, 0})
            for (size_t i = 0; i < pixels; i++) planes.push_back(rgb[frame + 3 * i + c]);
    return planes;
}

void check_rgb(const Pair& p, const std::vector<double>& theirs) {
    const Comparison ours = compare({p.reference, width, height}, {p.video, width, height});
    CHECK_EQ(theirs.size(), ours.frames.size());
    for (size_t i = 0; i < theirs.size(); i++) {
        const double psnr = ours.frames[i].rgb.psnr;
        if (std::isinf(psnr))
            CHECK(std::isinf(theirs[i]));
        else
            CHECK_NEAR(theirs[i], psnr, 1e-5); // it counts in float32
    }
}

} // namespace

TEST(planes_of_green_blue_and_red) {
    const Pair p = videos();
    check_rgb(p, ffmpeg("gbrp", gbrp(p.reference), gbrp(p.video)));
}

TEST(packed_rgb) {
    const Pair p = videos();
    check_rgb(p, ffmpeg("rgb24", p.reference, p.video));
}

TEST(luma_of_grey_frames) {
    Bytes grey[2], rgb[2];
    for (int which : {0, 1}) {
        const Bytes picture = which ? test::frame(width, height, "noise", 9) : test::frame(width, height);
        for (size_t i = 0; i < pixels; i++) {
            grey[which].push_back(picture[3 * i]);
            rgb[which].insert(rgb[which].end(), 3, picture[3 * i]);
        }
    }
    const Comparison ours = compare({rgb[0], width, height}, {rgb[1], width, height});
    const auto theirs = ffmpeg("gray", grey[0], grey[1]);
    CHECK_EQ(theirs.size(), 1u);
    for (double psnr : theirs) {
        CHECK_NEAR(psnr, ours.frames[0].luma.psnr, 1e-5);
        CHECK_NEAR(psnr, ours.frames[0].rgb.psnr, 1e-5);
    }
}

int main(int argc, char** argv) {
    if (std::system("ffmpeg -version >/dev/null 2>&1") != 0) {
        std::puts("skipped: ffmpeg is not installed");
        return 77;
    }
    return mc::test::run_tests(argc, argv);
}
