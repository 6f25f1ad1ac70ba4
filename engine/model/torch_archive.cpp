#include "engine/model/torch_archive.h"

#include <cstring>
#include <string_view>

#include "engine/model/pickle.h"
#include "engine/model/read_error.h"
#include "engine/model/zip_archive.h"

namespace mc::model {

namespace {

using Entries = std::map<std::string, ZipEntry>;

bool starts_with(const std::byte* data, size_t size, std::string_view start) {
    return size >= start.size() && std::memcmp(data, start.data(), start.size()) == 0;
}

void require_zip(const std::byte* data, size_t size, const std::string& file) {
    if (starts_with(data, size, "PK\x03\x04")) return;
    // Protocol 2 and the number by which torch.save marked its files before they became archives.
    if (starts_with(data, size,
                    std::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14)))
        throw read_error(file, "was saved in the format of PyTorch before 1.6, which is not a zip archive",
                         "load it with a current PyTorch and save it again with torch.save");
    throw read_error(file,
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

bool contiguous(const PickledTensor& tensor) {
    uint64_t expected = 1;
    for (size_t i = tensor.shape.size(); i--;) {
        if (tensor.shape[i] != 1 && uint64_t(tensor.stride[i]) != expected) return false;
        expected *= uint64_t(tensor.shape[i]);
    }
    return true;
}

TensorView locate(const PickledTensor& tensor, const Entries& entries, const std::string& root,
                  const std::string& file) {
    std::string label = "tensor " + in_quotes(tensor.name);
    if (tensor.stride.size() != tensor.shape.size())
        throw read_error(file, label + " has shape and strides of different length");
    auto entry = entries.find(root + "data/" + tensor.storage);
    if (entry == entries.end())
        throw read_error(file, label + " lies in storage " + in_quotes(tensor.storage) +
                                   ", which the archive lacks");
    std::optional<uint64_t> storage = byte_count(tensor.dtype, {tensor.storage_elements});
    if (!storage || *storage != entry->second.size)
        throw read_error(file, "storage " + in_quotes(tensor.storage) + " has " +
                                   std::to_string(entry->second.size) + " bytes, but should hold " +
                                   std::to_string(tensor.storage_elements) + " numbers of type " +
                                   name_of(tensor.dtype));
    std::optional<uint64_t> count = element_count(tensor.shape);
    uint64_t elements = uint64_t(tensor.storage_elements), offset = uint64_t(tensor.offset);
    if (!count || offset > elements || *count > elements - offset)
        throw read_error(file, label + " of shape " + shape_text(tensor.shape) +
                                   " does not fit in its storage of " + std::to_string(elements) +
                                   " numbers");
    if (*count > 0 && !contiguous(tensor))
        throw read_error(file,
                         label + " has strides " + shape_text(tensor.stride) +
                             ", which are not those of a row-major tensor",
                         "save it again after calling contiguous() on every tensor");
    size_t item = size_of(tensor.dtype);
    return {tensor.dtype, tensor.shape, entry->second.data + offset * item, size_t(*count) * item};
}

} // namespace

TensorMap parse_torch_archive(const std::byte* data, size_t size, const std::string& file) {
    require_zip(data, size, file);
    Entries entries = parse_zip(data, size, file);
    std::string root = find_root(entries, file);
    auto order = entries.find(root + "byteorder");
    if (order != entries.end() &&
        std::string_view(reinterpret_cast<const char*>(order->second.data), order->second.size) != "little")
        throw read_error(file, "was saved on a big-endian machine", "save it again on a little-endian one");
    const ZipEntry& pickle = entries.at(root + "data.pkl");
    TensorMap tensors;
    for (PickledTensor& tensor : read_pickled_tensors(pickle.data, pickle.size, file))
        tensors.emplace(tensor.name, locate(tensor, entries, root, file));
    return tensors;
}

} // namespace mc::model
