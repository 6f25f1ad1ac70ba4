// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Embeddings of texts on disk, so that a large encoder is not read again for a text that it has seen. No Torch here.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mc::text {

class EmbeddingStore {
  public:
    static constexpr uint64_t MOST = uint64_t(1) << 30; // bytes of all files; 512 tokens of UMT5-XXL have 8 MiB
    using Log = std::function<void(int level, const std::string& text)>;

    // $MOTIONCACHE_CACHE/text, else $XDG_CACHE_HOME/motioncachegen/text, else ~/.cache/motioncachegen/text.
    static std::string default_folder();

    // The folder is made when something is kept. Nothing here throws for what the disk does: a folder that cannot be
    // written to is told once, with level 4, and all goes on without it.
    explicit EmbeddingStore(std::string folder = default_folder(), Log log = {}, uint64_t most = MOST);

    // What the numbers depend on.
    struct Key {
        std::string encoder; // weights, precision, processor: one line of text
        std::vector<int64_t> ids;
    };
    // `numbers` of them, the bits that were kept; nothing where there is no such file, or one that is cut off, damaged
    // or of another key. A file that was found counts as new.
    std::optional<std::vector<float>> find(const Key& key, size_t numbers) const;
    // Writes beside and renames, so that no reader and no crash meets half a file, and removes the oldest files, those
    // not found for the longest time, where all together have more than `most` bytes.
    void keep(const Key& key, const float* values, size_t numbers);

    std::string file(const Key& key) const;

  private:
    void remove_oldest(const std::string& except) const;

    const std::string folder_;
    const Log log_;
    const uint64_t most_;
    bool told_ = false;
};

} // namespace mc::text
