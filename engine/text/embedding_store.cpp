// SPDX-License-Identifier: LGPL-2.1-or-later
// A file: lines of text (magic, encoder, ids, how many numbers), the numbers as they lie in memory, and the SHA-256 of
// all that in 64 letters.
#include "engine/text/embedding_store.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <glib/gstdio.h>

namespace mc::text {
namespace {

namespace fs = std::filesystem;

constexpr const char* ENDING = ".embeddings";
constexpr size_t DIGEST = 64;

std::string sha256(const std::string& bytes, size_t size) {
    gchar* digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, reinterpret_cast<const guchar*>(bytes.data()), size);
    std::string text = digest;
    g_free(digest);
    return text;
}

std::string ids_text(const std::vector<int64_t>& ids) {
    std::string text;
    for (int64_t id : ids) text += std::to_string(id) + " ";
    return text;
}

std::string head(const EmbeddingStore::Key& key, size_t numbers) {
    return "text by motioncachegen 1 " + std::to_string(G_BYTE_ORDER) + "\n" + key.encoder + "\n" +
           ids_text(key.ids) + "\n" + std::to_string(numbers) + "\n";
}

} // namespace

std::string EmbeddingStore::default_folder() {
    const char* own = std::getenv("MOTIONCACHE_CACHE");
    return own && *own ? std::string(own) + "/text" : std::string(g_get_user_cache_dir()) + "/motioncachegen/text";
}

EmbeddingStore::EmbeddingStore(std::string folder, Log log, uint64_t most)
    : folder_(std::move(folder)), log_(std::move(log)), most_(most) {}

std::string EmbeddingStore::file(const Key& key) const {
    const std::string named = key.encoder + "\n" + ids_text(key.ids);
    return folder_ + "/" + sha256(named, named.size()) + ENDING;
}

std::optional<std::vector<float>> EmbeddingStore::find(const Key& key, size_t numbers) const {
    const std::string path = file(key), begin = head(key, numbers);
    const size_t data = numbers * sizeof(float), size = begin.size() + data + DIGEST;
    std::error_code code;
    if (!fs::is_regular_file(path, code)) return {};
    std::string bytes;
    if (fs::file_size(path, code) == size && !code) {
        bytes.resize(size);
        std::ifstream in(path, std::ios::binary);
        if (!in.read(bytes.data(), std::streamsize(size))) bytes.clear();
    }
    if (!bytes.starts_with(begin) || bytes.substr(size - DIGEST) != sha256(bytes, size - DIGEST)) {
        if (log_) log_(4, "the embeddings in " + path + " are damaged; they are made again");
        return {};
    }
    std::vector<float> values(numbers);
    std::memcpy(values.data(), bytes.data() + begin.size(), data);
    fs::last_write_time(path, fs::file_time_type::clock::now(), code);
    return values;
}

void EmbeddingStore::keep(const Key& key, const float* values, size_t numbers) {
    std::string bytes = head(key, numbers);
    const size_t begin = bytes.size();
    bytes.resize(begin + numbers * sizeof(float));
    std::memcpy(bytes.data() + begin, values, numbers * sizeof(float));
    bytes += sha256(bytes, bytes.size());
    if (bytes.size() > most_) return;

    const std::string path = file(key);
    GError* error = nullptr;
    std::string fault;
    // A prompt may be private: for the user alone.
    if (g_mkdir_with_parents(folder_.c_str(), 0700))
        fault = g_strerror(errno);
    else if (!g_file_set_contents_full(path.c_str(), bytes.data(), gssize(bytes.size()),
                                       G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
        fault = error->message;
    g_clear_error(&error);
    if (!fault.empty()) {
        if (log_ && !told_) log_(4, "embeddings of texts are not kept in " + folder_ + ": " + fault);
        told_ = true;
        return;
    }
    remove_oldest(path);
}

// Unfinished files, which end in six letters more, are counted and removed as well: somebody's crash left them.
void EmbeddingStore::remove_oldest(const std::string& except) const {
    struct File {
        fs::file_time_type time;
        uint64_t size;
        fs::path path;
    };
    std::vector<File> files;
    uint64_t sum = 0;
    std::error_code code;
    for (fs::directory_iterator i(folder_, code), end; !code && i != end; i.increment(code)) {
        std::error_code gone; // another process removes files too
        if (i->path().filename().string().find(ENDING) == std::string::npos || !i->is_regular_file(gone)) continue;
        const File f{i->last_write_time(gone), i->file_size(gone), i->path()};
        if (gone) continue;
        sum += f.size;
        files.push_back(f);
    }
    std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.time < b.time; });
    for (const File& f : files) {
        if (sum <= most_) break;
        if (f.path == except || !fs::remove(f.path, code)) continue;
        sum -= f.size;
    }
}

} // namespace mc::text
