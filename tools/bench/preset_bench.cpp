// exploration
#include <c10/core/InferenceMode.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/error.h"
#include "engine/session/request.h"
#include "tools/bench/request_text.h"
#include "tools/bench/video.h"
#include "tools/quality/quality.h"

using namespace mc;

namespace {
struct Named {
    std::string name;
    std::vector<std::pair<std::string, std::string>> keys;
};
Named parse(const std::string& text) {
    const size_t colon = text.find(':');
    Named n{text.substr(0, colon), {}};
    std::istringstream list(text.substr(colon + 1));
    for (std::string item; std::getline(list, item, ',');) {
        const size_t equals = item.find('=');
        n.keys.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    }
    return n;
}
std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        if (!line.empty() && line[0] != '#') lines.push_back(line);
    return lines;
}
} // namespace

int main(int argc, char** argv) {
    std::string path, prompts, keep;
    std::vector<Named> rows, runs;
    size_t first = 0, last = 8;
    session::LoadOptions options;
    options.device = "cpu";
    options.threads = 1;
    try {
        for (int i = 1; i < argc; i++) {
            const std::string name = argv[i];
            if (name.rfind("--", 0) != 0) {
                path = name;
                continue;
            }
            const std::string value = argv[++i];
            if (name == "--prompts") prompts = value;
            if (name == "--row") rows.push_back(parse(value));
            if (name == "--run") runs.push_back(parse(value));
            if (name == "--keep") keep = value;
            if (name == "--first") first = std::stoul(value);
            if (name == "--last") last = std::stoul(value);
        }
        c10::InferenceMode guard;
        const auto model = session::LoadedModel::open(path, options);
        const auto texts = lines_of(prompts);
        for (const Named& row : rows) {
            std::vector<double> sum(runs.size()), least(runs.size(), 1e9), share(runs.size()), flop(runs.size()), part(runs.size());
            std::vector<std::string> list(runs.size());
            for (size_t p = first; p < std::min(last, texts.size()); p++) {
                session::Request base;
                base.prompt = texts[p];
                base.seed = int64_t(p);
                base.attention = model::Attention::KV;
                std::string id = std::to_string(p);
                for (const auto& [key, value] : row.keys) bench::set(base, key, value), id += "_" + key + "=" + value;
                const std::string file = keep + "/" + id;
                bench::Video reference;
                if (std::filesystem::exists(file + ".rgb")) {
                    std::ifstream in(file + ".rgb", std::ios::binary);
                    reference.rgb.assign(std::istreambuf_iterator<char>(in), {});
                    std::ifstream meta(file + ".meta");
                    meta >> reference.width >> reference.height >> reference.stats.flop_transformer;
                } else {
                    session::Request r = base;
                    r.cache.kind = cache::Kind::NONE;
                    reference = bench::make_video(model, r);
                    std::ofstream out(file + ".new", std::ios::binary);
                    out.write(reinterpret_cast<const char*>(reference.rgb.data()), std::streamsize(reference.rgb.size()));
                    out.close();
                    std::ofstream(file + ".meta") << reference.width << " " << reference.height << " " << reference.stats.flop_transformer;
                    std::filesystem::rename(file + ".new", file + ".rgb");
                }
                for (size_t k = 0; k < runs.size(); k++) {
                    session::Request r = base;
                    for (const auto& [key, value] : runs[k].keys) bench::set(r, key, value);
                    const bench::Video video = bench::make_video(model, r);
                    const auto& c = video.stats.count;
                    const double psnr = std::min(100.0, quality::compare(reference.view(), video.view()).mean.rgb.psnr);
                    sum[k] += psnr, least[k] = std::min(least[k], psnr);
                    share[k] += double(c.tokens_computed) / double(c.tokens_computed + c.tokens_reused);
                    flop[k] += double(video.stats.flop_transformer) / double(reference.stats.flop_transformer);
                    part[k] += double(c.sparse) / double(video.turns_after_warmup);
                    char t[32];
                    std::snprintf(t, sizeof t, " %.1f", psnr);
                    list[k] += t;
                }
            }
            const double n = double(std::min(last, texts.size()) - first);
            for (size_t k = 0; k < runs.size(); k++) {
                std::printf("%-22s %-14s %6.2f dB  min %6.2f  share %5.1f %%  flop %5.1f %% part %4.1f %% |%s\n", row.name.c_str(),
                            runs[k].name.c_str(), sum[k] / n, least[k], 100 * share[k] / n, 100 * flop[k] / n, 100 * part[k] / n,
                            list[k].c_str());
                std::fflush(stdout);
            }
        }
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
