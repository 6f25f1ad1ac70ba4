// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes a model folder of random weights with the names, shapes, types and files of a published one, to load and run
// what nobody needs to fetch. --help has the options.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "engine/error.h"
#include "engine/families/skyreels_v2/folder.h"
#include "tests/model/published.h"
#include "tests/model/small_magi1.h"

using namespace mc;
using namespace mc::test;

namespace {

constexpr const char* help = R"(usage: random-weights [OPTION...] FOLDER
Writes a model of random weights into FOLDER, which must not exist.
  --model M        1.3B (default), 14B or 14B-720P; magi1-small: a MAGI-1 of no published size, distilled, for tests
  --layout L       diffusers (default) or original
  --layers N       of the transformer, fewer than published
  --text-layers N  of the text encoder, fewer than the 24 published
  --sparse         random numbers at the head of each tensor only, the rest are holes of the file, zeros without space
)";

// Unit normals to take from, wherever one begins.
std::vector<float> unit_normals() {
    std::vector<float> x(1 << 20);
    std::mt19937 generator(7);
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(generator);
    return x;
}

void append(std::string& bytes, model::DType type, float value) {
    char raw[4];
    std::memcpy(raw, &value, 4);
    type == model::DType::BF16 ? bytes.append(raw + 2, 2) : bytes.append(raw, 4);
}

// As wide as trained ones, so that numbers neither die out nor grow: matrices by the width of their rows, gains near 1.
void fill(const model::Tensors& tensors, bool sparse) {
    static const std::vector<float> normals = unit_normals();
    for (const auto& [name, view] : tensors.all()) {
        if (view.dtype != model::DType::F32 && view.dtype != model::DType::BF16) continue;
        size_t count = view.bytes / size_of(view.dtype);
        const double row = double(count) / double(view.shape.empty() ? 1 : view.shape[0]);
        const bool gain = name.ends_with("weight") && view.shape.size() == 1;
        const float scale = view.shape.size() > 1 ? float(1 / std::sqrt(std::max(row, 1.0))) : 0.05f;
        if (sparse) count = std::min<size_t>(count, 1 << 12);
        std::fstream file(view.file->path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(view.at));
        size_t next = std::hash<std::string>{}(name) % normals.size();
        std::string bytes;
        for (size_t i = 0; i < count; i++, next = (next + 1) % normals.size()) {
            append(bytes, view.dtype, (gain ? 1 : 0) + scale * normals[next]);
            if (bytes.size() < (1 << 20)) continue;
            file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
            bytes.clear();
        }
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        if (!file) throw Error(MC_ERROR_READ, view.file->path + " cannot be written: is the disk full?");
    }
}

int number(const std::string& name, const char* text) {
    const int value = std::atoi(text);
    if (value < 1) throw Error(MC_ERROR_SETTINGS, name + " takes a number from 1 on.");
    return value;
}

int run(int argc, char** argv) {
    PublishedTransformer model = DF_1_3B_540P;
    std::string folder, layout = "diffusers";
    int layers = 0, text_layers = TEXT_LAYERS;
    bool sparse = false, small_magi1 = false;
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--help") return std::fputs(help, stdout), 0;
        if (name == "--sparse") {
            sparse = true;
            continue;
        }
        if (!name.starts_with("--")) {
            folder = name;
            continue;
        }
        if (++i == argc) throw Error(MC_ERROR_SETTINGS, name + " lacks its value; see --help.");
        const std::string value = argv[i];
        if (name == "--model" && value == "magi1-small")
            small_magi1 = true;
        else if (name == "--model" && (value == "1.3B" || value == "14B" || value == "14B-720P"))
            model = value == "1.3B" ? DF_1_3B_540P : value == "14B" ? DF_14B_540P : DF_14B_720P;
        else if (name == "--layout" && (value == "diffusers" || value == "original"))
            layout = value;
        else if (name == "--layers")
            layers = number(name, argv[i]);
        else if (name == "--text-layers")
            text_layers = number(name, argv[i]);
        else
            throw Error(MC_ERROR_SETTINGS, name + " " + value + " is unknown; see --help.");
    }
    if (folder.empty()) throw Error(MC_ERROR_SETTINGS, "Which folder? See --help.");
    if (std::filesystem::exists(folder))
        throw Error(MC_ERROR_SETTINGS, folder + " exists already: name a new folder.");
    if (small_magi1) return std::puts(write_small_magi1(folder).c_str()), 0;
    if (layers) model.layers = layers;
    std::filesystem::create_directories(folder);
    layout == "original" ? write_original_folder(folder, model, text_layers)
                         : write_diffusers_folder(folder, model, text_layers);
    // One of SentencePiece's; the published one has more words.
    const std::string tokenizer =
        folder + (layout == "original" ? "/google/umt5-xxl/spiece.model" : "/tokenizer/spiece.model");
    std::filesystem::copy_file(source_path("models/demo/tokenizer/spiece.model"), tokenizer,
                               std::filesystem::copy_options::overwrite_existing);
    const auto opened = model::skyreels_v2::Folder::open(folder);
    fill(*opened->transformer_tensors(), sparse);
    fill(*opened->vae_tensors(), false);
    fill(*opened->text_encoder_tensors(), sparse);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "random-weights: %s\n", e.what());
        return 2;
    }
}
