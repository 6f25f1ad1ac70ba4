#include <filesystem>
#include <sys/stat.h>

#include "engine/error.h"
#include "engine/model/weight_files.h"
#include "tests/check.h"
#include "tests/model/memory_file.h"
#include "tests/model/weight_writer.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;

namespace {

StoredTensor named(const std::string& name, const std::string& data = "") {
    return {name, "F32", {1}, data};
}

} // namespace

TEST(weights_of_one_file_and_of_shards) {
    TemporaryFolder folder;
    write_safetensors(folder / "one/model.safetensors", {named("a", "AAAA"), named("b")});
    CHECK_EQ(open_weight_shards(folder / "one").tensors.size(), size_t(2));
    CHECK_EQ(open_weight_file(folder / "one/model.safetensors").tensors.size(), size_t(2));

    write_safetensors(folder / "two/model-00001-of-00002.safetensors", {named("a", "AAAA")});
    write_safetensors(folder / "two/model-00002-of-00002.safetensors", {named("b", "BBBB")});
    WeightFiles files = open_weight_shards(folder / "two");
    CHECK_EQ(files.tensors.size(), size_t(2));
    CHECK_EQ(bytes_of(files.tensors.at("b")), "BBBB");

    write_file(
        folder / "two/model.safetensors.index.json",
        R"({"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
    CHECK_EQ(open_weight_shards(folder / "two").tensors.size(), size_t(2));
    // A file that the index does not name is none of this set.
    write_safetensors(folder / "two/other.safetensors", {named("a")});
    CHECK_EQ(open_weight_shards(folder / "two").tensors.size(), size_t(2));
}

TEST(weights_of_an_incomplete_or_contradictory_folder) {
    TemporaryFolder folder;
    std::filesystem::create_directories(folder / "none");
    CHECK_ERROR(open_weight_shards(folder / "none"), MC_ERROR_NOT_FOUND, "holds no *.safetensors file");
    CHECK_ERROR(open_weight_shards(folder / "absent"), MC_ERROR_NOT_FOUND, "cannot be listed");

    write_safetensors(folder / "gap/m-00001-of-00003.safetensors", {named("a")});
    write_safetensors(folder / "gap/m-00003-of-00003.safetensors", {named("c")});
    CHECK_ERROR(open_weight_shards(folder / "gap"), MC_ERROR_NOT_FOUND, "has only 2 of the 3 shards");

    write_safetensors(folder / "twice/model.safetensors", {named("a")});
    write_safetensors(folder / "twice/model.fp16.safetensors", {named("a")});
    CHECK_ERROR(open_weight_shards(folder / "twice"), MC_ERROR_READ,
                "'a', which another file of the folder holds too");

    auto indexed = [&](const std::string& name, const std::string& index) {
        write_safetensors(folder / (name + "/m.safetensors"), {named("a"), named("b")});
        write_file(folder / (name + "/m.safetensors.index.json"), index);
        return folder / name;
    };
    CHECK_ERROR(
        open_weight_shards(indexed(
            "more", R"({"weight_map": {"a": "m.safetensors", "b": "m.safetensors", "c": "m.safetensors"}})")),
        MC_ERROR_READ, "lists tensor 'c', which no shard holds");
    CHECK_ERROR(open_weight_shards(indexed("less", R"({"weight_map": {"a": "m.safetensors"}})")),
                MC_ERROR_READ, "does not list tensor 'b'");
    CHECK_ERROR(open_weight_shards(indexed("lost", R"({"weight_map": {"a": "n.safetensors"}})")),
                MC_ERROR_NOT_FOUND, "n.safetensors: there is no such file");
    CHECK_ERROR(open_weight_shards(indexed("outside", R"({"weight_map": {"a": "../m.safetensors"}})")),
                MC_ERROR_READ, "expected the name of a .safetensors file in the same folder");
    CHECK_ERROR(open_weight_shards(indexed("empty", R"({"weight_map": {}})")), MC_ERROR_NOT_FOUND,
                "holds no *.safetensors");
    CHECK_ERROR(open_weight_shards(indexed("mapless", "{}")), MC_ERROR_READ, "field 'weight_map' is missing");
    write_file(folder / "less/n.safetensors.index.json", "{}");
    CHECK_ERROR(open_weight_shards(folder / "less"), MC_ERROR_READ, "two indices");
}

TEST(files_that_are_not_what_they_should_be) {
    TemporaryFolder folder;
    CHECK_ERROR(open_weight_file(folder / "absent.pth"), MC_ERROR_NOT_FOUND,
                "absent.pth: there is no such file");
    CHECK_ERROR(open_weight_file(folder.path), MC_ERROR_READ, "not a regular file");
    write_file(folder / "empty.pth", "");
    CHECK_ERROR(open_weight_file(folder / "empty.pth"), MC_ERROR_READ, "is empty");
    write_file(folder / "pointer.safetensors",
               "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5\n");
    CHECK_ERROR(open_weight_file(folder / "pointer.safetensors"), MC_ERROR_READ, "Git LFS pointer");
    CHECK_ERROR(open_weight_file(folder / "pointer.safetensors"), MC_ERROR_READ, "git lfs pull");
    write_file(folder / "weights.bin", "x");
    CHECK_ERROR(open_weight_file(folder / "weights.bin"), MC_ERROR_READ, "tells no format");
    // Opening a pipe that nobody writes to must not wait.
    CHECK_EQ(::mkfifo((folder / "pipe.pth").c_str(), 0600), 0);
    CHECK_ERROR(open_weight_file(folder / "pipe.pth"), MC_ERROR_READ, "not a regular file");
}
