// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/torch_archive.h"

#include <algorithm>
#include <string_view>

#include "engine/model/pickle.h"
#include "engine/model/read_error.h"
#include "engine/model/zip_archive.h"

namespace mc::model {

namespace {

using Entries = std::map<std::string, ZipEntry>;

struct Foreign {
    size_t at;
    std::string_view magic;
    const char* what;
    const char* remedy;
};
using namespace std::string_view_literals;
constexpr const char* SAVE_AGAIN =
    "load it with a current PyTorch and save its state_dict again with torch.save";
constexpr const char* OTHER_FORMAT = "use the weights as they were published, or as safetensors";
constexpr Foreign FOREIGN[] = {
    // Protocol 2 and the number by which torch.save marked its files before they became archives.
    {0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv,
     "was saved in the format of PyTorch before 1.6, which is not a zip archive", SAVE_AGAIN},
    {257, "ustar"sv, "was saved in the format of PyTorch before 0.1.10, a tar archive", SAVE_AGAIN},
    {8, "{"sv, "is a safetensors file by its contents", "give it a name that ends in .safetensors"},
    {0, "\x80"sv, "is a bare pickle and not an archive of torch.save", SAVE_AGAIN},
    {0, "GGUF"sv, "is a GGUF file", OTHER_FORMAT},
    {0, "\x89HDF"sv, "is an HDF5 file", OTHER_FORMAT},
    {0, "\x1f\x8b"sv, "is compressed with gzip", "unpack it with gunzip"},
};

void require_zip(const DataFile& file) {
    const std::string start = file.text(0, size_t(std::min<uint64_t>(file.size, 512)));
    if (start.starts_with("PK\x03\x04")) return;
    for (const Foreign& foreign : FOREIGN)
        if (start.size() > foreign.at && start.compare(foreign.at, foreign.magic.size(), foreign.magic) == 0)
            throw read_error(file.path, foreign.what, foreign.remedy);
    throw read_error(file.path,
                     "is not a .pth file of torch.save: it does not begin with 'PK' as a zip archive does");
}

// The folder inside the archive, with its slash.
std::string find_root(const Entries& entries, const std::string& file) {
    constexpr std::string_view leaf = "/data.pkl";
    std::string root;
    for (const auto& [name, entry] : entries) {
        if (!name.ends_with(leaf) || name.find('/') != name.size() - leaf.size()) continue;
        if (!root.empty()) throw read_error(file, "holds more than one data.pkl");
        root = name.substr(0, name.size() - leaf.size() + 1);
    }
    if (root.empty())
        throw read_error(file, "is a zip archive but not one of torch.save: it holds no data.pkl");
    return root;
}

// An entry of which bytes are wanted; null when there is none.
const ZipEntry* find_stored(const Entries& entries, const std::string& name, const std::string& file) {
    auto entry = entries.find(name);
    if (entry == entries.end()) return nullptr;
    if (entry->second.compressed)
        throw read_error(file,
                         "entry " + in_quotes(name) +
                             " of this zip archive is compressed, which torch.save never does",
                         "save the weights again with torch.save, or download the original file");
    return &entry->second;
}

bool contiguous(const PickledTensor& tensor) {
    uint64_t expected = 1;
    for (size_t i = tensor.shape.size(); i--;) {
        if (tensor.shape[i] != 1 && uint64_t(tensor.stride[i]) != expected) return false;
        expected *= uint64_t(tensor.shape[i]);
    }
    return true;
}

// Numbers from the first element of a tensor that is not empty to its last one; nothing when that is beyond `most`.
std::optional<uint64_t> span_of(const PickledTensor& tensor, uint64_t most) {
    uint64_t last = 0; // its distance from the first
    for (size_t i = 0; i < tensor.shape.size(); i++) {
        uint64_t steps = uint64_t(tensor.shape[i]) - 1, stride = uint64_t(tensor.stride[i]);
        if (steps > 0 && stride > (most - last) / steps) return std::nullopt;
        last += steps * stride;
    }
    return last < most ? std::optional(last + 1) : std::nullopt;
}

TensorView locate(const PickledTensor& tensor, const Entries& entries, const std::string& root,
                  const std::shared_ptr<const DataFile>& file) {
    std::string label = "tensor " + in_quotes(tensor.name);
    if (tensor.stride.size() != tensor.shape.size())
        throw read_error(file->path, label + " has shape and strides of different length");
    const ZipEntry* entry = find_stored(entries, root + "data/" + tensor.storage, file->path);
    if (!entry)
        throw read_error(file->path, label + " lies in storage " + in_quotes(tensor.storage) +
                                         ", which the archive lacks");
    std::optional<uint64_t> storage = byte_count(tensor.dtype, {tensor.storage_elements});
    if (!storage || *storage != entry->size)
        throw read_error(file->path, "storage " + in_quotes(tensor.storage) + " has " +
                                         std::to_string(entry->size) + " bytes, but should hold " +
                                         std::to_string(tensor.storage_elements) + " numbers of type " +
                                         name_of(tensor.dtype));
    std::optional<uint64_t> bytes = byte_count(tensor.dtype, tensor.shape);
    uint64_t elements = uint64_t(tensor.storage_elements), offset = uint64_t(tensor.offset);
    if (!bytes || offset > elements || (*bytes > 0 && !span_of(tensor, elements - offset)))
        throw read_error(file->path, label + " of shape " + shape_text(tensor.shape) + " and strides " +
                                         shape_text(tensor.stride) + " does not fit in its storage of " +
                                         std::to_string(elements) + " numbers");
    TensorView view{
        tensor.dtype, tensor.shape, size_t(*bytes), file, entry->at + offset * size_of(tensor.dtype), {}};
    if (*bytes > 0 && !contiguous(tensor)) view.stride = tensor.stride;
    return view;
}

} // namespace

TensorMap parse_torch_archive(const std::shared_ptr<const DataFile>& file) {
    require_zip(*file);
    Entries entries = parse_zip(*file);
    std::string root = find_root(entries, file->path);
    // What torch.jit.save writes besides: the module's constants and its code.
    auto code = entries.lower_bound(root + "code/");
    if (entries.count(root + "constants.pkl") ||
        (code != entries.end() && code->first.starts_with(root + "code/")))
        throw read_error(file->path, "is a TorchScript archive of torch.jit.save, a program with its weights",
                         "load it with torch.jit.load and save its state_dict() with torch.save");
    const ZipEntry* order = find_stored(entries, root + "byteorder", file->path);
    if (order && (order->size != 6 || file->text(order->at, 6) != "little"))
        throw read_error(file->path, "was saved on a big-endian machine",
                         "save it again on a little-endian one");
    const ZipEntry& pickle = *find_stored(entries, root + "data.pkl", file->path);
    if (pickle.size > PICKLE_LIMIT)
        throw read_error(file->path, "its pickle has " + std::to_string(pickle.size) +
                                         " bytes, more than a dictionary of tensors needs");
    const std::string text = file->text(pickle.at, size_t(pickle.size));
    TensorMap tensors;
    for (PickledTensor& tensor : read_pickled_tensors(text, file->path))
        tensors.emplace(tensor.name, locate(tensor, entries, root, file));
    return tensors;
}

} // namespace mc::model
