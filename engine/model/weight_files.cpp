// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/weight_files.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"
#include "engine/model/safetensors.h"
#include "engine/model/torch_archive.h"

namespace mc::model {

namespace {

constexpr std::string_view SAFETENSORS = ".safetensors";

// How a file of weights is named: SET.safetensors, SET-00002-of-00012.safetensors, SET.safetensors.index.json.
// A variant of a set is called SET.VARIANT; older tools put that behind the number or behind "index".
struct WeightName {
    std::string file, set;
    int shard = 0, shards = 0; // numbered from 1; 0: not numbered
};

bool is_number(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<WeightName> parse_weight_name(const std::string& file, std::string_view ending = SAFETENSORS) {
    if (!file.ends_with(ending)) return std::nullopt;
    WeightName name{file, file.substr(0, file.size() - ending.size())};
    for (size_t at = name.set.find("-of-"); at != std::string::npos; at = name.set.find("-of-", at + 1)) {
        if (at < 6 || name.set[at - 6] != '-' || at + 9 > name.set.size()) continue;
        std::string shard = name.set.substr(at - 5, 5), shards = name.set.substr(at + 4, 5);
        std::string rest = name.set.substr(at + 9);
        if (!is_number(shard) || !is_number(shards) || (!rest.empty() && rest[0] != '.')) continue;
        name.shard = std::stoi(shard), name.shards = std::stoi(shards);
        name.set = name.set.substr(0, at - 6) + rest;
        break;
    }
    return name;
}

std::optional<WeightName> parse_index_name(const std::string& file) {
    constexpr std::string_view middle = ".safetensors.index", ending = ".json";
    size_t at = file.find(middle);
    if (at == std::string::npos || !file.ends_with(ending)) return std::nullopt;
    std::string variant = file.substr(at + middle.size(), file.size() - ending.size() - at - middle.size());
    if (!variant.empty() && variant[0] != '.') return std::nullopt;
    return WeightName{file, file.substr(0, at) + variant};
}

bool is_variant_of(const std::string& set, const std::string& other) {
    return set.size() > other.size() + 1 && set.starts_with(other) && set[other.size()] == '.';
}

// Variants beside the set that they are variants of are left aside.
void drop_variants(std::vector<WeightName>& names, const std::vector<WeightName>& files) {
    std::erase_if(names, [&](const WeightName& name) {
        return std::any_of(files.begin(), files.end(),
                           [&](const WeightName& file) { return is_variant_of(name.set, file.set); });
    });
}

// As publishers call them. Another word after a dot need not name a variant.
constexpr std::array<std::string_view, 9> VARIANTS{"fp32",    "fp16",     "bf16", "fp8",    "float32",
                                                   "float16", "bfloat16", "ema",  "non_ema"};

// Two variants would otherwise be taken for two parts of one set.
void refuse_two_variants(const std::vector<WeightName>& files, const std::string& folder) {
    std::map<std::string, const WeightName*> first; // by the set that it is a variant of
    for (const WeightName& file : files) {
        size_t dot = file.set.rfind('.');
        if (dot == std::string::npos ||
            std::find(VARIANTS.begin(), VARIANTS.end(), file.set.substr(dot + 1)) == VARIANTS.end())
            continue;
        const WeightName* other = first.emplace(file.set.substr(0, dot), &file).first->second;
        if (other->set != file.set)
            throw read_error(folder,
                             "has two variants of its weights (" + in_quotes(other->file) + ", " +
                                 in_quotes(file.file) + ") and no set without a variant",
                             "keep one of them in the folder");
    }
}

// A missing shard would otherwise be reported as hundreds of missing tensors.
void require_whole_sets(const std::vector<WeightName>& names, const std::string& folder) {
    std::map<std::pair<std::string, int>, std::set<int>> sets;
    for (const WeightName& name : names)
        if (name.shards > 0) sets[{name.set, name.shards}].insert(name.shard);
    for (const auto& [set, shards] : sets)
        if (int(shards.size()) < set.second)
            throw not_found(folder,
                            "has only " + std::to_string(shards.size()) + " of the " +
                                std::to_string(set.second) + " shards of its weights",
                            "download the missing files of " + in_quotes(set.first));
}

void add_shard(WeightFiles& into, const std::string& file) {
    WeightFiles shard = open_weight_file(file);
    for (auto& [name, view] : shard.tensors)
        if (!into.tensors.emplace(name, std::move(view)).second)
            throw read_error(
                file, "holds tensor " + in_quotes(name) + ", which another file of the folder holds too",
                "keep one set of weights in the folder");
}

} // namespace

WeightFiles open_weight_file(const std::string& file) {
    std::shared_ptr<const DataFile> opened = DataFile::open(file);
    if (file.ends_with(SAFETENSORS)) return {file, parse_safetensors(opened)};
    if (file.ends_with(".pth") || file.ends_with(".bin")) return {file, parse_torch_archive(opened)};
    throw read_error(file, "has a name that tells no format of weights", "give a .safetensors, .pth or .bin file");
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

namespace {

using Index = std::map<std::string, std::string>;

// Of the indices of a folder the one that counts, none where there is none, and what it lists.
std::optional<std::pair<std::string, Index>> choose_index(std::vector<WeightName> indices,
                                                          const std::vector<WeightName>& files,
                                                          const std::string& folder) {
    drop_variants(indices, files);
    // An index that came without its shards, beside a variant's that came with them.
    std::erase_if(indices, [&](const WeightName& index) {
        bool own = false, variant = false;
        for (const WeightName& file : files) {
            own |= file.set == index.set;
            variant |= is_variant_of(file.set, index.set);
        }
        if (own || !variant) return false;
        for (const auto& [tensor, file] : read_weight_index(JsonObject::read(folder + "/" + index.file)))
            for (const WeightName& name : files) own |= name.file == file;
        return !own;
    });
    if (indices.size() > 1)
        throw read_error(folder,
                         "has two indices of shards (" + in_quotes(indices[0].file) + ", " +
                             in_quotes(indices[1].file) + ")",
                         "keep one set of weights in the folder");
    if (indices.empty()) return std::nullopt;
    std::string path = folder + "/" + indices[0].file;
    return std::pair{path, read_weight_index(JsonObject::read(path))};
}

void require_as_indexed(const WeightFiles& weights, const Index& index, const std::string& path) {
    for (const auto& [tensor, file] : index)
        if (!weights.tensors.count(tensor))
            throw read_error(path, "lists tensor " + in_quotes(tensor) + ", which no shard holds");
    for (const auto& [tensor, view] : weights.tensors)
        if (!index.count(tensor))
            throw read_error(path, "does not list tensor " + in_quotes(tensor) + ", which a shard holds");
}

Error no_weights(const std::string& folder, const FolderListing& listing) {
    for (const std::string& side : listing.side)
        if (side.find(SAFETENSORS) != std::string::npos)
            return not_found(folder,
                             "holds no *.safetensors file, only " + in_quotes(side) + ", " +
                                 what_side_file_is(side),
                             "download the model's weights into it");
    return not_found(folder, "holds no *.safetensors file", "download the model's weights into it");
}

} // namespace

WeightFiles open_weight_shards(const std::string& folder) {
    const FolderListing listing = list_folder(folder);
    std::vector<WeightName> indices, names, archives;
    for (const std::string& file : listing.names) {
        if (std::optional<WeightName> name = parse_weight_name(file))
            names.push_back(*name);
        else if (std::optional<WeightName> index = parse_index_name(file))
            indices.push_back(*index);
        else if (std::optional<WeightName> archive = parse_weight_name(file, ".bin");
                 archive && archive->set == "pytorch_model")
            archives.push_back(*archive);
    }
    if (names.empty() && indices.empty()) names = archives;
    const auto index = choose_index(indices, names, folder);
    if (index) {
        std::set<std::string> wanted;
        for (const auto& [tensor, file] : index->second) wanted.insert(file);
        names.clear();
        for (const std::string& file : wanted) names.push_back(*parse_weight_name(file));
    } else {
        drop_variants(names, std::vector<WeightName>(names));
        refuse_two_variants(names, folder);
    }
    if (names.empty()) throw no_weights(folder, listing);
    require_whole_sets(names, folder);
    WeightFiles weights{folder, {}};
    for (const WeightName& name : names) add_shard(weights, folder + "/" + name.file);
    if (index) require_as_indexed(weights, index->second, index->first);
    return weights;
}

} // namespace mc::model
