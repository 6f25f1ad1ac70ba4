// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The weight files of one network as they are named on disk: one .safetensors or .pth file, or a folder with
// one or several shards, with or without an index.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/json_object.h"
#include "engine/model/tensor_view.h"

namespace mc::model {

struct WeightFiles {
    std::string origin; // folder or file, for messages
    TensorMap tensors;  // by the name that the file uses
};

// The format is told by the name's ending: .safetensors; .pth or .bin, which torch.save wrote. Throws MC_ERROR_READ,
// MC_ERROR_NOT_FOUND.
WeightFiles open_weight_file(const std::string& file);

// The union of all *.safetensors in `folder`; of those its *.safetensors.index.json names, where there is
// one. A variant (NAME.fp16.safetensors) counts only where NAME is not there too; hidden files and unfinished
// downloads never count. Of a folder without any: pytorch_model.bin, or the shards numbered so. A tensor in two shards,
// a shard of a numbered set that is missing, several variants, and an index that differs from the shards are errors.
// Throws MC_ERROR_READ, MC_ERROR_NOT_FOUND.
WeightFiles open_weight_shards(const std::string& folder);

// A *.safetensors.index.json: tensor name to the shard's file name, a name without any folder.
std::map<std::string, std::string> read_weight_index(const JsonObject& index);

} // namespace mc::model
