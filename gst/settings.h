#pragma once
// The element's properties as plain values: what the user has set, copied when the element starts. The list
// in settings.cpp is their manual, shown by gst-inspect-1.0.
#include <gst/gst.h>

#include <optional>
#include <string>

namespace mc::gst {

// Numbers: -1 is "unset", the model's default. Strings: empty optional is unset.
struct Settings {
    std::string model_path; // never unset: see default_model_path()
    std::optional<std::string> prompt, negative_prompt;
    gint64 seed = -1;
    int num_frames = -1, steps = -1;
    double guidance_scale = -1, shift = -1;
    std::optional<std::string> image, end_image;
    int causal_block_size = -1, ar_step = -1, base_num_frames = -1, overlap_history = -1,
        addnoise_condition = -1;
    int long_video = 0, attention = 0, precision = 0; // McLongVideo, McAttention, McPrecision
    // McCache, McCachePreset, McCacheWeights, McCacheDistance, McCacheReuse, McFinished
    int cache = 0, cache_preset = 0, cache_weights = 0, cache_distance = 0, cache_reuse = 0,
        finished_chunks = 0;
    double cache_threshold = -1, cache_weight_floor = -1, cache_vote = -1, cache_min_ratio = -1,
           cache_first_share = -1, cache_noise_power = -1;
    int cache_warmup = -1, cache_coarse_updates = -1;
    bool reference_windows = false;
    std::string device = "auto";
    int threads = 0;
};

// MOTIONCACHE_MODEL, else the demo model where `meson install` puts it.
std::string default_model_path();

constexpr guint PROPERTY_SEED_USED = 1,
                PROPERTY_STATS = 2; // read-only, answered by the element; settings follow
void install_settings(GObjectClass* klass);
void set_setting(Settings& settings, guint id, const GValue* value);
void get_setting(const Settings& settings, guint id, GValue* value);

} // namespace mc::gst
