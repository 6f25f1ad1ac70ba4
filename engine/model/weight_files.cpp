#include "engine/model/weight_files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <set>

#include "engine/model/read_error.h"
#include "engine/model/safetensors.h"
#include "engine/model/torch_archive.h"

namespace mc::model {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view SAFETENSORS = ".safetensors";
constexpr std::string_view INDEX = ".safetensors.index.json";

std::vector<std::string> file_names(const std::string& folder) {
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        names.push_back(at->path().filename().string());
    if (error)
        throw not_found(folder, "cannot be listed (" + error.message() + ")",
                        "check the path and its permissions");
    std::sort(names.begin(), names.end());
    return names;
}

// "PREFIX-00002-of-00012.safetensors": the set that a shard belongs to, and its number.
struct ShardName {
    std::string set;
    int number, count;
};
std::optional<ShardName> parse_shard_name(const std::string& name) {
    constexpr std::string_view pattern = "-00000-of-00000.safetensors";
    if (name.size() < pattern.size()) return std::nullopt;
    std::string tail = name.substr(name.size() - pattern.size());
    for (size_t i = 0; i < pattern.size(); i++)
        if (pattern[i] == '0' ? !std::isdigit(static_cast<unsigned char>(tail[i])) : tail[i] != pattern[i])
            return std::nullopt;
    return ShardName{name.substr(0, name.size() - pattern.size()) + tail.substr(6),
                     std::stoi(tail.substr(1, 5)), std::stoi(tail.substr(10, 5))};
}

// A missing shard would otherwise be reported as hundreds of missing tensors.
void require_whole_sets(const std::vector<std::string>& names, const std::string& folder) {
    std::map<std::string, std::pair<int, std::set<int>>> sets;
    for (const std::string& name : names)
        if (std::optional<ShardName> shard = parse_shard_name(name)) {
            sets[shard->set].first = shard->count;
            sets[shard->set].second.insert(shard->number);
        }
    for (const auto& [set, shards] : sets)
        if (int(shards.second.size()) < shards.first)
            throw not_found(folder,
                            "has only " + std::to_string(shards.second.size()) + " of the " +
                                std::to_string(shards.first) + " shards of its weights",
                            "download the missing *" + set + " files");
}

void add_shard(WeightFiles& into, const std::string& file) {
    WeightFiles shard = open_weight_file(file);
    for (auto& [name, view] : shard.tensors)
        if (!into.tensors.emplace(name, std::move(view)).second)
            throw read_error(
                file, "holds tensor " + in_quotes(name) + ", which another file of the folder holds too",
                "keep one set of weights in the folder");
    into.files.push_back(shard.files.front());
}

} // namespace

WeightFiles open_weight_file(const std::string& file) {
    std::shared_ptr<const MappedFile> mapped = MappedFile::open(file);
    WeightFiles weights{file, {}, {mapped}};
    if (file.ends_with(SAFETENSORS))
        weights.tensors = parse_safetensors(mapped->data, mapped->size, file);
    else if (file.ends_with(".pth"))
        weights.tensors = parse_torch_archive(mapped->data, mapped->size, file);
    else
        throw read_error(file, "has a name that tells no format of weights",
                         "give a .safetensors or .pth file");
    return weights;
}

std::map<std::string, std::string> read_weight_index(const JsonObject& index) {
    JsonObject map = index.object("weight_map");
    std::map<std::string, std::string> shards;
    for (const std::string& tensor : map.keys()) {
        std::string file = map.text(tensor);
        if (file.find('/') != std::string::npos || !file.ends_with(SAFETENSORS))
            map.refuse(tensor, "the name of a .safetensors file in the same folder");
        shards.emplace(tensor, file);
    }
    return shards;
}

WeightFiles open_weight_shards(const std::string& folder) {
    std::vector<std::string> indices, names;
    for (const std::string& name : file_names(folder)) {
        if (name.ends_with(INDEX))
            indices.push_back(name);
        else if (name.ends_with(SAFETENSORS))
            names.push_back(name);
    }
    if (indices.size() > 1)
        throw read_error(folder,
                         "has two indices of shards (" + in_quotes(indices[0]) + ", " +
                             in_quotes(indices[1]) + ")",
                         "keep one set of weights in the folder");
    std::map<std::string, std::string> index;
    if (!indices.empty()) {
        index = read_weight_index(JsonObject::read(folder + "/" + indices[0]));
        std::set<std::string> wanted;
        for (const auto& [tensor, file] : index) wanted.insert(file);
        names.assign(wanted.begin(), wanted.end());
    }
    if (names.empty())
        throw not_found(folder, "holds no *.safetensors file", "download the model's weights into it");
    require_whole_sets(names, folder);
    WeightFiles weights{folder, {}, {}};
    for (const std::string& name : names) add_shard(weights, folder + "/" + name);
    if (!indices.empty()) {
        for (const auto& [tensor, file] : index)
            if (!weights.tensors.count(tensor))
                throw read_error(folder + "/" + indices[0],
                                 "lists tensor " + in_quotes(tensor) + ", which no shard holds");
        for (const auto& [tensor, view] : weights.tensors)
            if (!index.count(tensor))
                throw read_error(folder + "/" + indices[0],
                                 "does not list tensor " + in_quotes(tensor) + ", which a shard holds");
    }
    return weights;
}

} // namespace mc::model
