#include "tools/bench/request_text.h"

#include <map>

#include "engine/error.h"

namespace mc::bench {
namespace {

template <typename T>
T one_of(const std::string& key, const std::string& value, const std::map<std::string, T>& names) {
    const auto found = names.find(value);
    if (found != names.end()) return found->second;
    std::string known;
    for (const auto& [name, ignored] : names) known += (known.empty() ? "" : ", ") + name;
    throw Error(MC_ERROR_SETTINGS, key + " is \"" + value + "\" but must be one of " + known + ".");
}

double number(const std::string& key, const std::string& value) {
    size_t used = 0;
    try {
        const double x = std::stod(value, &used);
        if (used == value.size()) return x;
    } catch (const std::exception&) {
    }
    throw Error(MC_ERROR_SETTINGS, key + " is \"" + value + "\" but must be a number.");
}

} // namespace

void set(session::Request& r, const std::string& name, const std::string& value) {
    using session::Preset;
    const std::string key = name.rfind("cache-", 0) == 0 ? name.substr(6) : name;
    auto real = [&] { return number(key, value); };
    auto whole = [&] { return static_cast<int>(number(key, value)); };
    if (key == "steps")
        r.steps = whole();
    else if (key == "frames" || key == "num-frames")
        r.num_frames = whole();
    else if (key == "width")
        r.width = whole();
    else if (key == "height")
        r.height = whole();
    else if (key == "seed")
        r.seed = whole();
    else if (key == "causal-block-size")
        r.causal_block_size = whole();
    else if (key == "shift")
        r.shift = real();
    else if (key == "ar-step")
        r.ar_step = whole();
    else if (key == "base-num-frames")
        r.base_num_frames = whole();
    else if (key == "overlap-history")
        r.overlap_history = whole();
    else if (key == "guidance-scale")
        r.guidance_scale = real();
    else if (key == "attention")
        r.attention = one_of<model::Attention>(key, value,
                                               {{"full", model::Attention::FULL},
                                                {"causal", model::Attention::CAUSAL},
                                                {"kv", model::Attention::KV}});
    else if (key == "cache")
        r.cache.kind = one_of<cache::Kind>(key, value,
                                           {{"none", cache::Kind::NONE},
                                            {"teacache", cache::Kind::TEACACHE},
                                            {"flowcache", cache::Kind::FLOWCACHE},
                                            {"motioncache", cache::Kind::MOTIONCACHE}});
    else if (key == "preset")
        r.cache.preset = one_of<Preset>(key, value,
                                        {{"quality", Preset::QUALITY},
                                         {"balanced", Preset::BALANCED},
                                         {"fast", Preset::FAST},
                                         {"custom", Preset::CUSTOM}});
    else if (key == "threshold")
        r.cache.threshold = real();
    else if (key == "warmup")
        r.cache.warmup = whole();
    else if (key == "first-share")
        r.cache.first_share = real();
    else if (key == "noise-power")
        r.cache.noise_power = real();
    else if (key == "coarse-updates")
        r.cache.coarse_updates = whole();
    else if (key == "weights")
        r.cache.weights = one_of<cache::Weights>(key, value,
                                                 {{"none", cache::Weights::NONE},
                                                  {"mean", cache::Weights::MEAN},
                                                  {"max", cache::Weights::MAX},
                                                  {"max-rescale", cache::Weights::MAX_RESCALE}});
    else if (key == "weight-floor")
        r.cache.weight_floor = real();
    else if (key == "distance")
        r.cache.distance = one_of<cache::Distance>(
            key, value, {{"global", cache::Distance::GLOBAL}, {"token", cache::Distance::TOKEN}});
    else if (key == "vote")
        r.cache.vote = real();
    else if (key == "min-ratio")
        r.cache.min_ratio = real();
    else if (key == "reuse")
        r.cache.reuse = one_of<cache::Reuse>(key, value,
                                             {{"repeat", cache::Reuse::REPEAT},
                                              {"taylor", cache::Reuse::TAYLOR},
                                              {"solver", cache::Reuse::SOLVER}});
    else if (key == "finished-chunks")
        r.finished_chunks = one_of<sampler::Finished>(
            key, value, {{"frozen", sampler::Finished::FROZEN}, {"refreshed", sampler::Finished::REFRESHED}});
    else
        throw Error(MC_ERROR_SETTINGS, "There is no setting \"" + name + "\".");
}

} // namespace mc::bench
