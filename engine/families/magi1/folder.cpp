// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/folder.h"

#include <algorithm>
#include <filesystem>

#include "engine/model/data_file.h"
#include "engine/model/folder_listing.h"
#include "engine/model/json_object.h"
#include "engine/model/read_error.h"
#include "engine/networks/magi_dit/magi_dit_files.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/vit_vae/vit_vae_files.h"

namespace mc::model::magi1 {

namespace fs = std::filesystem;

namespace {

constexpr const char* SECTIONS[] = {"model_config", "runtime_config", "engine_config"};

bool exists(const std::string& path) {
    std::error_code error;
    return fs::exists(path, error);
}

// By its sections; that one is missing is said when the file is read.
bool describes_magi1(const JsonObject& config) {
    return std::count_if(std::begin(SECTIONS), std::end(SECTIONS), [&](const char* s) { return config.has(s); }) >= 2;
}

// Of a file beside others. Those that name no section are not even parsed, whatever is wrong with them.
bool file_describes_magi1(const std::string& file) {
    constexpr uint64_t LARGEST = 1 << 20;
    std::string text;
    try {
        const auto data = DataFile::open(file);
        if (data->size > LARGEST) return false;
        text = data->text(0, size_t(data->size));
    } catch (const Error&) {
        return false;
    }
    return std::any_of(std::begin(SECTIONS), std::end(SECTIONS),
                       [&](const char* s) { return text.find('"' + std::string(s) + '"') != std::string::npos; }) &&
           describes_magi1(JsonObject::parse(text, file));
}

// A place that the configuration names: as written, from the folder of the configuration, and by its last name in
// there.
std::string find_place(const JsonObject& config, const std::string& named, const std::string& below,
                       const std::string& what) {
    const fs::path folder = fs::path(config.file()).parent_path(), written = named;
    std::vector<std::string> tried;
    for (const fs::path& base :
         {written, folder / written, folder / written.lexically_normal().filename(), folder}) {
        if (below.empty() && base == folder) continue; // a file, which the folder itself is not
        const std::string place = (below.empty() ? base : base / below).lexically_normal().string();
        if (std::find(tried.begin(), tried.end(), place) != tried.end()) continue;
        if (exists(place)) return place;
        tried.push_back(place);
    }
    std::string list;
    for (const std::string& place : tried) list += (list.empty() ? "" : ", ") + place;
    throw not_found(config.file(), "names " + what + " that is not there; looked for " + list,
                    "download it to one of these places, or correct the configuration");
}

int in_range(const JsonObject& c, const std::string& key, int64_t least, int64_t most) {
    return int(c.integer(key, least, most));
}

} // namespace

Runtime read_runtime(const JsonObject& config) {
    const JsonObject c = config.object("runtime_config"), engine = config.object("engine_config");
    Runtime r;
    r.distilled = engine.boolean("distill");
    r.fp8 = engine.boolean("fp8_quant");
    r.branches = in_range(c, "cfg_number", 1, 3);
    const int expected = r.distilled || r.fp8 ? 1 : 3;
    if (r.branches != expected)
        c.refuse("cfg_number", std::to_string(expected) + ", since distill is " +
                                   (r.distilled ? "true" : "false") + " and fp8_quant " +
                                   (r.fp8 ? "true" : "false"));
    r.guidance_from = c.numbers("cfg_t_range");
    r.previous_scales = c.numbers("prev_chunk_scales");
    r.text_scales = c.numbers("text_scales");
    if (r.guidance_from.empty() || !std::is_sorted(r.guidance_from.begin(), r.guidance_from.end()))
        c.refuse("cfg_t_range", "rising flow times");
    for (const auto& [key, list] :
         {std::pair{"prev_chunk_scales", &r.previous_scales}, std::pair{"text_scales", &r.text_scales}})
        if (list->size() != r.guidance_from.size()) c.refuse(key, "as many numbers as cfg_t_range");
    for (const int64_t range : c.integers("noise2clean_kvrange", 1, 1 << 20))
        r.noise2clean.push_back(int(range));
    r.clean_range = in_range(c, "clean_chunk_kvrange", -1, 1 << 20);
    if (r.clean_range == 0) c.refuse("clean_chunk_kvrange", "-1 or at least 1");
    r.clean_t = c.number("clean_t", 0, 1);
    r.seed = c.integer("seed", 0, INT64_MAX);
    r.frames = in_range(c, "num_frames", 1, 1 << 24);
    r.height = in_range(c, "video_size_h", 32, 16384);
    r.width = in_range(c, "video_size_w", 32, 16384);
    for (const char* side : {"video_size_h", "video_size_w"})
        if (c.integer(side, 0, 16384) % 16) c.refuse(side, "a multiple of 16");
    r.frame_rate = in_range(c, "fps", 1, 1000);
    r.steps = in_range(c, "num_steps", 1, 1000);
    r.window = in_range(c, "window_size", 1, 1000);
    if (r.steps % r.window)
        c.refuse("window_size", "a divisor of num_steps (" + std::to_string(r.steps) + ")");
    if (!r.noise2clean.empty() && r.steps % int(r.noise2clean.size()))
        c.refuse("noise2clean_kvrange",
                 "a list whose length divides num_steps (" + std::to_string(r.steps) + ")");
    r.chunk = in_range(c, "chunk_width", 1, 64);
    if (r.chunk != 6) c.refuse("chunk_width", "6");
    if (c.integer("temporal_downsample_factor", 1, 64) != 4) c.refuse("temporal_downsample_factor", "4");
    r.scale = c.number("scale_factor", 1e-6, 1e6);
    r.nearly_clean = engine.number("distill_nearly_clean_chunk_threshold", 0, 1);
    r.shortcut = engine.text("shortcut_mode");
    return r;
}

std::optional<Claim> claim(const std::string& path) {
    if (is_file(path)) {
        if (!path.ends_with(".json") || !describes_magi1(JsonObject::read(path))) return std::nullopt;
        return Claim{path, path, true};
    }
    std::error_code error;
    if (!fs::is_directory(path, error)) return std::nullopt;
    std::vector<std::string> found;
    for (const std::string& name : list_folder(path).names)
        if (const std::string file = path + "/" + name;
            name.ends_with(".json") && is_file(file) && file_describes_magi1(file))
            found.push_back(file);
    if (found.empty()) return std::nullopt;
    if (found.size() > 1)
        throw read_error(path,
                         "holds several configurations of MAGI-1 (" + in_quotes(found[0]) + ", " +
                             in_quotes(found[1]) + ")",
                         "set the model path to the one that is meant");
    return Claim{found[0], found[0], true};
}

PictureSizes pictures(const std::string& config_file) {
    const Runtime r = read_runtime(JsonObject::read(config_file));
    PictureSizes p;
    p.least_width = p.least_height = 32;
    p.width = r.width, p.height = r.height;
    p.frame_rate_n = r.frame_rate;
    p.num_frames = r.frames;
    p.chunk_latents = r.chunk;
    return p;
}

Configuration read_configuration(const JsonObject& config) {
    Runtime runtime = read_runtime(config);
    return {runtime, read_magi_dit_config(config.object("model_config"), runtime.fp8, runtime.distilled)};
}

Folder Folder::open(const std::string& file) {
    Folder f;
    f.file = file;
    const JsonObject config = JsonObject::read(file);
    const Configuration configuration = read_configuration(config);
    f.runtime = configuration.runtime;
    f.transformer = configuration.transformer;
    const JsonObject c = config.object("runtime_config");
    f.places.weights = find_place(config, c.text("load"), magi_dit_folder(f.transformer),
                                  "the weights of its transformer (load)");
    const std::string text =
        find_place(config, c.text("t5_pretrained"), "t5-v1_1-xxl", "a text encoder (t5_pretrained)");
    f.places.text_encoder = text;
    f.places.tokenizer = text + "/spiece.model";
    f.places.vae = find_place(config, c.text("vae_pretrained"), "config.json", "a VAE (vae_pretrained)");
    f.places.vae = fs::path(f.places.vae).parent_path().string();
    f.places.special_tokens =
        find_place(config, "example/assets/special_tokens.npz", "", "the table of special tokens");
    f.vae = read_vit_vae_config(JsonObject::read(f.places.vae + "/config.json"));
    f.text_encoder = read_t5_text_encoder_config(JsonObject::read(text + "/config.json"));
    if (f.text_encoder.width != f.transformer.text_width)
        throw read_error(file,
                         "the text encoder gives rows of " + std::to_string(f.text_encoder.width) +
                             " and the transformer takes rows of " +
                             std::to_string(f.transformer.text_width) +
                             ": its parts are from different models",
                         "download the whole model again");
    if (f.vae.patch != std::array<int64_t, 3>{4, 8, 8})
        throw read_error(f.places.vae + "/config.json",
                         "describes a VAE whose latents stand for " + std::to_string(f.vae.patch[0]) + " frames of " +
                             std::to_string(f.vae.patch[1]) + " x " + std::to_string(f.vae.patch[2]) +
                             " pixels, not for 4 frames of 8 x 8",
                         "use the VAE that comes with MAGI-1");
    if (f.vae.latent_channels != f.transformer.latent_channels())
        throw read_error(file,
                         "the VAE has latents of " + std::to_string(f.vae.latent_channels) +
                             " channels and the transformer of " +
                             std::to_string(f.transformer.latent_channels()) +
                             ": its parts are from different models",
                         "download the whole model again");
    return f;
}

} // namespace mc::model::magi1
