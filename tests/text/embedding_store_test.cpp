// SPDX-License-Identifier: LGPL-2.1-or-later
// Embeddings on disk: the bits that were kept, and nothing else whatever lies there.
#include "engine/text/embedding_store.h"

#include <cstdlib>
#include <filesystem>

#include "tests/check.h"
#include "tests/model/weight_writer.h"

using mc::test::TemporaryFolder;
using mc::text::EmbeddingStore;
namespace fs = std::filesystem;

namespace {

const EmbeddingStore::Key KEY{"weights 1, float32", {5, 7, 1}};
const std::vector<float> ROWS{1.5f, -0.0f, 3e-42f, 1e30f, 2, 3};

size_t files_in(const std::string& folder) {
    return size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

bool same_bits(const std::optional<std::vector<float>>& found, const std::vector<float>& wanted) {
    return found && found->size() == wanted.size() && !std::memcmp(found->data(), wanted.data(), 4 * wanted.size());
}

} // namespace

TEST(what_is_kept_is_found_again) {
    TemporaryFolder folder;
    EmbeddingStore store(folder / "new/text");
    CHECK(!store.find(KEY, ROWS.size()));
    store.keep(KEY, ROWS.data(), ROWS.size());
    CHECK(same_bits(store.find(KEY, ROWS.size()), ROWS));
    CHECK(same_bits(EmbeddingStore(folder / "new/text").find(KEY, ROWS.size()), ROWS));
    CHECK_EQ(files_in(folder / "new/text"), 1u); // nothing unfinished beside it
    CHECK(fs::status(store.file(KEY)).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
    // Another text, another encoder, another width.
    CHECK(!store.find({KEY.encoder, {5, 7}}, ROWS.size()));
    CHECK(!store.find({KEY.encoder, {57, 1}}, ROWS.size()));
    CHECK(!store.find({"weights 2, float32", KEY.ids}, ROWS.size()));
    CHECK(!store.find(KEY, ROWS.size() - 1));
}

TEST(a_damaged_file_is_none_and_is_written_again) {
    TemporaryFolder folder;
    std::vector<std::string> log;
    EmbeddingStore store(folder.path, [&](int level, const std::string& text) {
        CHECK_EQ(level, 4);
        log.push_back(text);
    });
    store.keep(KEY, ROWS.data(), ROWS.size());
    const std::string path = store.file(KEY), good = mc::test::read_file(path);
    std::vector<std::string> bad{"", good.substr(0, good.size() - 1), good + "x", std::string(good.size(), '\0')};
    for (size_t at = 0; at < good.size(); at++) {
        bad.push_back(good);
        bad.back()[at] ^= 1;
    }
    for (const std::string& bytes : bad) {
        log.clear();
        mc::test::write_file(path, bytes);
        CHECK(!store.find(KEY, ROWS.size()));
        CHECK(log.size() == 1 && log[0].find("damaged") != std::string::npos && log[0].find(path) != std::string::npos);
    }
    store.keep(KEY, ROWS.data(), ROWS.size());
    CHECK(same_bits(store.find(KEY, ROWS.size()), ROWS));
    // One that lies under another one's name.
    const EmbeddingStore::Key other{KEY.encoder, {9, 7, 1}};
    fs::copy_file(path, store.file(other));
    CHECK(!store.find(other, ROWS.size()));
    // No file at all.
    fs::remove(path);
    fs::create_directory(path);
    CHECK(!store.find(KEY, ROWS.size()));
    store.keep(KEY, ROWS.data(), ROWS.size());
    CHECK(!store.find(KEY, ROWS.size()));
}

TEST(a_folder_that_cannot_be_is_told_once) {
    TemporaryFolder folder;
    mc::test::write_file(folder / "file", "in the way"); // also of a user who may write everywhere
    std::vector<std::string> log;
    EmbeddingStore store(folder / "file/text", [&](int, const std::string& text) { log.push_back(text); });
    for (int i = 0; i < 3; i++) {
        CHECK(!store.find(KEY, ROWS.size()));
        store.keep(KEY, ROWS.data(), ROWS.size());
    }
    CHECK_EQ(log.size(), 1u);
    CHECK(!log.empty() && log[0].find("not kept in " + folder.path + "/file/text: ") != std::string::npos);
}

TEST(the_oldest_files_make_room) {
    TemporaryFolder folder;
    EmbeddingStore first(folder.path);
    first.keep(KEY, ROWS.data(), ROWS.size());
    const uint64_t each = fs::file_size(first.file(KEY));
    fs::remove(first.file(KEY));

    EmbeddingStore store(folder.path, {}, 4 * each);
    const auto key = [](int64_t i) { return EmbeddingStore::Key{KEY.encoder, {i, 7, 1}}; }; // each as long as KEY
    const auto now = fs::file_time_type::clock::now();
    const auto aged = [&](int64_t i, int hours) {
        fs::last_write_time(store.file(key(i)), now - std::chrono::hours(hours));
    };
    mc::test::write_file(folder / "somebody else's", std::string(100 * each, 'x'));
    for (int64_t i = 1; i <= 4; i++) {
        store.keep(key(i), ROWS.data(), ROWS.size());
        aged(i, 10 - int(i));
    }
    for (int64_t i = 1; i <= 4; i++) { // all four fit
        CHECK(store.find(key(i), ROWS.size()));
        aged(i, 10 - int(i));
    }
    CHECK(store.find(key(1), ROWS.size())); // the oldest, but it is used
    const std::string unfinished = store.file(key(9)) + ".A1B2C3";
    mc::test::write_file(unfinished, "half a file");
    fs::last_write_time(unfinished, now - std::chrono::hours(99));
    store.keep(key(5), ROWS.data(), ROWS.size());
    CHECK(!fs::exists(unfinished) && !fs::exists(store.file(key(2))));
    for (int64_t i : {1, 3, 4, 5}) CHECK(store.find(key(i), ROWS.size()));
    CHECK(fs::exists(folder / "somebody else's"));

    EmbeddingStore tiny(folder / "tiny", {}, each - 1); // not worth a file
    tiny.keep(KEY, ROWS.data(), ROWS.size());
    CHECK(!fs::exists(tiny.file(KEY)));
}

// The environment, as the XDG base directories have it. GLib looks at it once.
TEST(the_folder_follows_the_environment) {
    ::setenv("XDG_CACHE_HOME", "/somewhere/cache", 1);
    ::unsetenv("MOTIONCACHE_CACHE");
    CHECK_EQ(EmbeddingStore::default_folder(), "/somewhere/cache/motioncachegen/text");
    ::setenv("MOTIONCACHE_CACHE", "", 1);
    CHECK_EQ(EmbeddingStore::default_folder(), "/somewhere/cache/motioncachegen/text");
    ::setenv("MOTIONCACHE_CACHE", "/own", 1);
    CHECK_EQ(EmbeddingStore::default_folder(), "/own/text");
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
