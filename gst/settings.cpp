#include "gst/settings.h"

#include <cstdlib>
#include <variant>

#include "engine/motioncache.h"

namespace mc::gst {
namespace {

GType enum_type(const char* name, const GEnumValue* values) {
    GType type = g_enum_register_static(name, values);
    gst_type_mark_as_plugin_api(type, GST_PLUGIN_API_FLAG_IGNORE_ENUM_MEMBERS);
    return type;
}

GType long_video_type() {
    static const GEnumValue values[] = {
        {MC_LONG_VIDEO_AUTO, "The model's default", "auto"},
        {MC_LONG_VIDEO_PIXEL, "Decode the overlap and encode it again", "pixel"},
        {MC_LONG_VIDEO_LATENT, "Take the overlap over as latents", "latent"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCacheLongVideo", values);
    return type;
}

GType attention_type() {
    static const GEnumValue values[] = {
        {MC_ATTENTION_AUTO, "The model's default", "auto"},
        {MC_ATTENTION_FULL, "Every latent frame sees every other of its window", "full"},
        {MC_ATTENTION_CAUSAL, "A chunk sees itself and the chunks before it", "causal"},
        {MC_ATTENTION_KV, "As causal, with the keys and values of earlier chunks kept", "kv"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCacheAttention", values);
    return type;
}

GType cache_type() {
    static const GEnumValue values[] = {
        {MC_CACHE_AUTO, "motioncache where attention is kv and the model is known, else none", "auto"},
        {MC_CACHE_NONE, "Everything is computed", "none"},
        {MC_CACHE_TEACACHE, "Whole steps are reused", "teacache"},
        {MC_CACHE_FLOWCACHE, "Whole chunks are reused; needs attention=kv", "flowcache"},
        {MC_CACHE_MOTIONCACHE, "Tokens are reused, still ones more than moving ones; needs attention=kv",
         "motioncache"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCacheCache", values);
    return type;
}

GType cache_preset_type() {
    static const GEnumValue values[] = {
        {MC_CACHE_PRESET_AUTO, "As balanced", "auto"},
        {MC_CACHE_PRESET_QUALITY, "Nearest to the video without a cache", "quality"},
        {MC_CACHE_PRESET_BALANCED, "Between the two", "balanced"},
        {MC_CACHE_PRESET_FAST, "Quickest", "fast"},
        {MC_CACHE_PRESET_CUSTOM,
         "The published run's settings, and what a preset is called once a knob is set", "custom"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCachePreset", values);
    return type;
}

GType cache_weights_type() {
    static const GEnumValue values[] = {
        {MC_CACHE_WEIGHTS_AUTO, "As the preset has it", "auto"},
        {MC_CACHE_WEIGHTS_NONE, "Every token alike", "none"},
        {MC_CACHE_WEIGHTS_MEAN, "Motion divided by the frame's mean", "mean"},
        {MC_CACHE_WEIGHTS_MAX, "Motion divided by the frame's largest", "max"},
        {MC_CACHE_WEIGHTS_MAX_RESCALE, "Motion of a frame rescaled to cache-weight-floor to 1",
         "max-rescale"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCacheWeights", values);
    return type;
}

GType cache_distance_type() {
    static const GEnumValue values[] = {
        {MC_CACHE_DISTANCE_AUTO, "As the preset has it", "auto"},
        {MC_CACHE_DISTANCE_GLOBAL, "One for the whole chunk", "global"},
        {MC_CACHE_DISTANCE_TOKEN, "One for each latent frame of the chunk", "token"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCacheDistance", values);
    return type;
}

GType cache_reuse_type() {
    static const GEnumValue values[] = {
        {MC_CACHE_REUSE_AUTO, "As the preset has it", "auto"},
        {MC_CACHE_REUSE_REPEAT, "What was last computed", "repeat"},
        {MC_CACHE_REUSE_TAYLOR, "Extrapolated from what was last computed twice", "taylor"},
        {MC_CACHE_REUSE_SOLVER, "One step of the solver from where a token was last computed", "solver"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCacheReuse", values);
    return type;
}

GType finished_chunks_type() {
    static const GEnumValue values[] = {
        {MC_FINISHED_AUTO, "As frozen", "auto"},
        {MC_FINISHED_FROZEN, "As after the last noisy step", "frozen"},
        {MC_FINISHED_REFRESHED, "Renewed by one pass without noise", "refreshed"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCacheFinished", values);
    return type;
}

GType precision_type() {
    static const GEnumValue values[] = {
        {MC_PRECISION_AUTO, "float32 on the CPU, bfloat16 on a GPU", "auto"},
        {MC_PRECISION_FLOAT32, "32 bit floating point", "float32"},
        {MC_PRECISION_BFLOAT16, "16 bit brain floating point", "bfloat16"},
        {0, nullptr, nullptr},
    };
    static const GType type = enum_type("GstMotionCachePrecision", values);
    return type;
}

struct IntProperty {
    int Settings::*field;
    int minimum, maximum;
};
struct DoubleProperty {
    double Settings::*field;
    double maximum, minimum = -1;
};
struct BoolProperty {
    bool Settings::*field;
};
struct EnumProperty {
    int Settings::*field;
    GType (*type)();
};
using Text = std::string Settings::*;
using OptionalText = std::optional<std::string> Settings::*;

struct Property {
    const char *name, *nick, *blurb;
    std::variant<IntProperty, DoubleProperty, EnumProperty, BoolProperty, Text, OptionalText> kind;
};

const Property properties[] = {
    {"model-path", "Model path",
     "Folder of the model, in the layout of the original SkyReels-V2 repositories or of Diffusers. Default: "
     "the "
     "environment variable MOTIONCACHE_MODEL, else the demo model that comes with the plugin.",
     &Settings::model_path},
    {"prompt", "Prompt",
     "What the video shows, in words, UTF-8; required. Which words a model understands is its own affair.",
     &Settings::prompt},
    {"negative-prompt", "Negative prompt",
     "What the video should keep away from, in words; guidance leads from here to the prompt. Default: the "
     "model's. An empty text is allowed.",
     &Settings::negative_prompt},
    {"num-frames", "Number of frames",
     "Length of the video in frames, from 1; exactly so many are made. -1 (default): the model's. Longer "
     "than "
     "base-num-frames is made in overlapping windows.",
     IntProperty{&Settings::num_frames, -1, G_MAXINT}},
    {"steps", "Denoising steps",
     "Number of denoising steps of each latent frame, 1 to 1000: more take longer and are finer. -1 "
     "(default): "
     "the model's.",
     IntProperty{&Settings::steps, -1, 1000}},
    {"guidance-scale", "Guidance scale",
     "How strongly the video follows the prompt, 0 to 1000, no unit; 1 or less switches guidance off and "
     "halves "
     "the work. -1 (default): the model's.",
     DoubleProperty{&Settings::guidance_scale, 1000}},
    {"shift", "Shift",
     "Shift of the noise schedule, above 0 up to 1000, no unit: the higher, the more steps are spent on "
     "coarse "
     "structure and motion. -1 (default): the model's.",
     DoubleProperty{&Settings::shift, 1000}},
    {"image", "First image",
     "File of a picture that the video starts with, over black where it is transparent; it is cropped and scaled "
     "to the size of the video. Needs causal-block-size=1. Default: none.",
     &Settings::image},
    {"end-image", "Last image",
     "File of a picture that the video ends with, over black where it is transparent; it is cropped and scaled "
     "to the size of the video. Needs causal-block-size=1. Default: none.",
     &Settings::end_image},
    {"causal-block-size", "Causal block size",
     "Latent frames of a chunk, from 1: they are denoised together and sent as soon as they are done. A "
     "latent "
     "frame is 4 frames. -1 (default): the model's.",
     IntProperty{&Settings::causal_block_size, -1, G_MAXINT}},
    {"ar-step", "Autoregressive step",
     "Denoising steps that a chunk runs behind the one before it; 0 denoises all chunks of a window "
     "together, so "
     "that the first frame comes last of all. -1 (default): the model's.",
     IntProperty{&Settings::ar_step, -1, 1000}},
    {"base-num-frames", "Frames of a window",
     "Frames that the model sees at once, from 1; a longer video is made in windows of this length. More "
     "need "
     "more memory and time. -1 (default): the model's.",
     IntProperty{&Settings::base_num_frames, -1, G_MAXINT}},
    {"overlap-history", "Overlap of windows",
     "Frames that a window takes over from the one before it, from 1, fewer than base-num-frames; only for "
     "videos "
     "of several windows. -1 (default): the model's.",
     IntProperty{&Settings::overlap_history, -1, G_MAXINT}},
    {"long-video", "Long video",
     "How a window takes over the frames of the one before it. Default: auto, the model's.",
     EnumProperty{&Settings::long_video, long_video_type}},
    {"addnoise-condition", "Noise on the overlap",
     "Timestep, 0 to 999, to which frames taken over from the window before are noised: some hides their "
     "flaws "
     "(the makers of the model suggest 20). -1 (default): the model's.",
     IntProperty{&Settings::addnoise_condition, -1, 999}},
    {"attention", "Attention",
     "Which latent frames see each other in the transformer. Default: auto, what the model was made for.",
     EnumProperty{&Settings::attention, attention_type}},
    {"cache", "Cache",
     "What of the transformer's work is reused from step to step. Default: auto, motioncache where attention is kv and "
     "something is known about the model (motioncache-calibrate, or published), else none. A cache never changes the "
     "attention.",
     EnumProperty{&Settings::cache, cache_type}},
    {"cache-preset", "Cache preset",
     "How much motioncache may differ from the video without a cache: settings measured for the model. Default: auto, "
     "balanced. A single knob below changes the preset, which then reads custom.",
     EnumProperty{&Settings::cache_preset, cache_preset_type}},
    {"cache-threshold", "Cache threshold",
     "Summed distance at which a token, chunk or step is computed again, above 0, no unit: the higher, the faster and "
     "the coarser. -1 (default): the preset's.",
     DoubleProperty{&Settings::cache_threshold, 1e6}},
    {"cache-warmup", "Cache warm-up",
     "Steps of a chunk that are computed wholly at first, from 0. -1 (default): the preset's.",
     IntProperty{&Settings::cache_warmup, -1, 1000}},
    {"cache-coarse-updates", "Coarse updates",
     "Of motioncache: computations of a whole chunk after warm-up before motion tells its tokens apart, from 0. -1 "
     "(default): the preset's.",
     IntProperty{&Settings::cache_coarse_updates, -1, 1000}},
    {"cache-weights", "Motion weights",
     "Of motioncache: how the motion of a token becomes its share of the distance. Default: auto, the preset's.",
     EnumProperty{&Settings::cache_weights, cache_weights_type}},
    {"cache-weight-floor", "Weight floor",
     "Of motioncache, with cache-weights=max-rescale: the weight of a token that does not move, 0 to 1: the lower, the "
     "longer it is reused. -1 (default): the preset's.",
     DoubleProperty{&Settings::cache_weight_floor, 1}},
    {"cache-distance", "Cache distance",
     "Of motioncache: over what the distance is taken. Default: auto, the preset's.",
     EnumProperty{&Settings::cache_distance, cache_distance_type}},
    {"cache-vote", "Cache vote",
     "Of motioncache: a position is computed in all latent frames of a chunk when more than this share of them is due, 0 "
     "to 1; -2: no vote, each token for itself. -1 (default): the preset's.",
     DoubleProperty{&Settings::cache_vote, 1, -2}},
    {"cache-min-ratio", "Least share of tokens",
     "Of motioncache: when a smaller share of a chunk's tokens is due, 0 to 1, they are put off to a later step. -1 "
     "(default): the preset's.",
     DoubleProperty{&Settings::cache_min_ratio, 1}},
    {"cache-first-share", "Share for the first chunk",
     "Of motioncache: the threshold of a window's first chunk where nothing is given before it, neither picture nor "
     "overlap; the others build on its errors. A share of cache-threshold, above 0 up to 1; 1 as published. -1 (default): "
     "the preset's.",
     DoubleProperty{&Settings::cache_first_share, 1}},
    {"cache-noise-power", "Noise power",
     "Of motioncache: a distance counts the noise level sigma (1 at first, 0 in the end) to this power, 0 to 8, so that late "
     "steps are reused longer; 0 as published. -1 (default): the preset's.",
     DoubleProperty{&Settings::cache_noise_power, 8}},
    {"cache-reuse", "Cache reuse",
     "How a step is made with what is not computed: repeat is what was published; taylor needs the memory of another set "
     "of residuals; solver is closest to the video without a cache. Default: auto, the preset's (repeat without one).",
     EnumProperty{&Settings::cache_reuse, cache_reuse_type}},
    {"finished-chunks", "Finished chunks",
     "With attention=kv: what later chunks see of a finished one. Default: auto, frozen, as the reference.",
     EnumProperty{&Settings::finished_chunks, finished_chunks_type}},
    {"reference-windows", "Reference windows",
     "With attention=kv and several windows: treat overlaps as the reference of motioncache does, which computes all "
     "chunks of an overlap but the first in every step and measures the first motion against the window before. "
     "Default: false.",
     BoolProperty{&Settings::reference_windows}},
    {"device", "Device",
     "Where the model runs: \"auto\" (default), \"cpu\" or \"cuda:N\" with the number of the GPU.",
     &Settings::device},
    {"precision", "Precision",
     "Arithmetic of the transformer: bfloat16 halves its memory. Default: auto, float32 on the CPU and "
     "bfloat16 on "
     "a GPU.",
     EnumProperty{&Settings::precision, precision_type}},
    {"threads", "Threads",
     "Number of CPU threads, 0 to 1024. 0 (default): as many as processors. Another number may change a "
     "pixel "
     "by one, never the noise.",
     IntProperty{&Settings::threads, 0, 1024}},
};
constexpr guint PROPERTY_SEED = PROPERTY_STATS + 1,
                FIRST = PROPERTY_SEED + 1; // of the table; seed is its only 64 bit number
constexpr auto READY = GParamFlags(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY);

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

GParamSpec* spec_of(const Property& p) {
    const Settings defaults;
    return std::visit(
        Overloaded{
            [&](const IntProperty& k) {
                return g_param_spec_int(p.name, p.nick, p.blurb, k.minimum, k.maximum, defaults.*k.field,
                                        READY);
            },
            [&](const DoubleProperty& k) {
                return g_param_spec_double(p.name, p.nick, p.blurb, k.minimum, k.maximum, defaults.*k.field,
                                           READY);
            },
            [&](const BoolProperty& k) {
                return g_param_spec_boolean(p.name, p.nick, p.blurb, defaults.*k.field, READY);
            },
            [&](const EnumProperty& k) {
                return g_param_spec_enum(p.name, p.nick, p.blurb, k.type(), defaults.*k.field, READY);
            },
            [&](Text field) {
                const std::string& text = defaults.*field;
                auto flags = text.empty() ? GParamFlags(READY | GST_PARAM_DOC_SHOW_DEFAULT) : READY;
                return g_param_spec_string(p.name, p.nick, p.blurb, text.empty() ? nullptr : text.c_str(),
                                           flags);
            },
            [&](OptionalText) { return g_param_spec_string(p.name, p.nick, p.blurb, nullptr, READY); },
        },
        p.kind);
}

} // namespace

std::string default_model_path() {
    const char* path = std::getenv("MOTIONCACHE_MODEL");
    return path && *path ? path : DEMO_MODEL_DIR;
}

// A preset changed by a knob is a custom one.
static bool any_cache_knob(const Settings& s) {
    const Settings unset;
    return s.cache_threshold != unset.cache_threshold || s.cache_warmup != unset.cache_warmup ||
           s.cache_coarse_updates != unset.cache_coarse_updates || s.cache_weights || s.cache_distance ||
           s.cache_reuse || s.cache_weight_floor != unset.cache_weight_floor ||
           s.cache_vote != unset.cache_vote || s.cache_min_ratio != unset.cache_min_ratio ||
           s.cache_first_share != unset.cache_first_share || s.cache_noise_power != unset.cache_noise_power;
}

void install_settings(GObjectClass* klass) {
    /**
     * GstMotionCacheGen:seed-used:
     *
     * The seed of the video being made, which is `seed` unless that is -1. Notified when the model has
     * started.
     */
    g_object_class_install_property(
        klass, PROPERTY_SEED_USED,
        g_param_spec_int64(
            "seed-used", "Seed used",
            "Seed of the video that is being made or was made last; set seed to it to get the same "
            "video again. -1: none yet.",
            -1, G_MAXINT64, -1, GParamFlags(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
    /**
     * GstMotionCacheGen:stats:
     *
     * What the video being made, or made last, has cost so far. Fields, #gint64 unless said otherwise:
     *
     * * #gchararray `cache`: the one in use
     * * `seed`, `frames`, `frames-total`, `forwards`, `forwards-total`
     * * `turns`: a chunk takes part in a step, each guidance branch counted; of these `turns-whole`, `turns-partial` and
     *   `turns-reused` computed all, some and none of its tokens
     * * `tokens-computed`, `tokens-reused` in these turns; `passes-extra`: for keys and values alone
     * * #gdouble `seconds-text`, `-transformer`, `-cache`, `-schedule`, `-vae`
     * * `flop-text`, `-transformer`, `-vae`, counted from the shapes that were run
     * * `bytes-weights`, `-planned` (all that the request may take), `-keys-values` and `-cache` of it
     * * `chunks`: a list of structures, one a chunk sent: `first-frame`, `frames`, and turns and tokens as above
     */
    g_object_class_install_property(
        klass, PROPERTY_STATS,
        g_param_spec_boxed(
            "stats", "Statistics",
            "What was computed and reused so far, in total and a chunk each: turns, tokens, seconds, FLOP, "
            "bytes. Works while the element runs and after.",
            GST_TYPE_STRUCTURE, GParamFlags(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
    g_object_class_install_property(
        klass, PROPERTY_SEED,
        g_param_spec_int64(
            "seed", "Seed",
            "Where the noise comes from, 0 to 2^63-1: the same seed and settings give the same video. "
            "-1 (default): another one each time the element starts; seed-used tells which.",
            -1, G_MAXINT64, -1, READY));
    guint id = FIRST;
    for (const Property& p : properties) g_object_class_install_property(klass, id++, spec_of(p));
}

void set_setting(Settings& s, guint id, const GValue* value) {
    if (id == PROPERTY_SEED) {
        s.seed = g_value_get_int64(value);
        return;
    }
    const char* text = G_VALUE_HOLDS_STRING(value) ? g_value_get_string(value) : nullptr;
    const Property& p = properties[id - FIRST];
    std::visit(
        Overloaded{
            [&](const IntProperty& k) { s.*k.field = g_value_get_int(value); },
            [&](const DoubleProperty& k) { s.*k.field = g_value_get_double(value); },
            [&](const EnumProperty& k) { s.*k.field = g_value_get_enum(value); },
            [&](const BoolProperty& k) { s.*k.field = g_value_get_boolean(value); },
            [&](Text field) {
                if (text)
                    s.*field = text;
                else
                    s.*field = field == &Settings::model_path ? default_model_path() : Settings().*field;
            },
            [&](OptionalText field) { s.*field = text ? std::optional<std::string>(text) : std::nullopt; },
        },
        p.kind);
}

void get_setting(const Settings& s, guint id, GValue* value) {
    if (id == PROPERTY_SEED) {
        g_value_set_int64(value, s.seed);
        return;
    }
    const Property& p = properties[id - FIRST];
    std::visit(
        Overloaded{
            [&](const IntProperty& k) { g_value_set_int(value, s.*k.field); },
            [&](const DoubleProperty& k) { g_value_set_double(value, s.*k.field); },
            [&](const EnumProperty& k) {
                const bool custom = k.field == &Settings::cache_preset && any_cache_knob(s);
                g_value_set_enum(value, custom ? int(MC_CACHE_PRESET_CUSTOM) : s.*k.field);
            },
            [&](const BoolProperty& k) { g_value_set_boolean(value, s.*k.field); },
            [&](Text field) { g_value_set_string(value, (s.*field).c_str()); },
            [&](OptionalText field) { g_value_set_string(value, s.*field ? (s.*field)->c_str() : nullptr); },
        },
        p.kind);
}

} // namespace mc::gst
