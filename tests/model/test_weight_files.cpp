// SPDX-License-Identifier: LGPL-2.1-or-later
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

TEST(weights_that_torch_wrote_in_shards) {
    TemporaryFolder folder;
    write_pth(folder / "model/pytorch_model-00001-of-00002.bin", {named("a", "AAAA")});
    CHECK_ERROR(open_weight_shards(folder / "model"), MC_ERROR_NOT_FOUND, "has only 1 of the 2 shards");
    write_pth(folder / "model/pytorch_model-00002-of-00002.bin", {named("b", "BBBB")});
    write_pth(folder / "model/training_args.bin", {named("c")});
    const WeightFiles files = open_weight_shards(folder / "model");
    CHECK_EQ(files.tensors.size(), size_t(2));
    CHECK_EQ(bytes_of(files.tensors.at("b")), "BBBB");
    // The same weights by the other format, beside them.
    write_safetensors(folder / "model/model.safetensors", {named("d", "DDDD")});
    CHECK_EQ(open_weight_shards(folder / "model").tensors.count("d"), size_t(1));
    CHECK_EQ(open_weight_shards(folder / "model").tensors.size(), size_t(1));
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
    write_safetensors(folder / "twice/model_2.safetensors", {named("a")});
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

// Files that other programs leave beside the weights, some of them under the weights' own ending.
TEST(side_files_are_none_of_the_weights) {
    const char* const side[] = {"._model.safetensors",
                                ".model.safetensors",
                                "._model-00001-of-00002.safetensors",
                                "._model.safetensors.index.json",
                                ".DS_Store",
                                "Thumbs.db",
                                "desktop.ini",
                                "other.safetensors.part",
                                "other.safetensors.incomplete",
                                "other.safetensors.aria2",
                                "other.safetensors.crdownload",
                                "other.safetensors.index.json.tmp",
                                "model.safetensors.lock",
                                "model.safetensors~"};
    TemporaryFolder folder;
    write_safetensors(folder / "model/model.safetensors", {named("a", "AAAA")});
    for (const char* name : side) {
        write_file(folder / (std::string("model/") + name), "\x05\x16\x07 nothing of a model");
        CHECK_EQ(open_weight_shards(folder / "model").tensors.size(), size_t(1));
    }
    // Alone they are told for what they are.
    auto alone = [&](const std::string& name) {
        std::filesystem::remove_all(folder / "alone");
        write_file(folder / ("alone/" + name), "x");
        return folder / "alone";
    };
    CHECK_ERROR(open_weight_shards(alone("._model.safetensors")), MC_ERROR_NOT_FOUND,
                "no *.safetensors file, only '._model.safetensors', which macOS keeps beside a file");
    CHECK_ERROR(open_weight_shards(alone("model.safetensors.part")), MC_ERROR_NOT_FOUND,
                "only 'model.safetensors.part', an unfinished download");
    CHECK_ERROR(open_weight_shards(alone(".DS_Store")), MC_ERROR_NOT_FOUND, "holds no *.safetensors file;");
    CHECK_ERROR(open_weight_file(alone("Wan2.1_VAE.pth.incomplete") + "/Wan2.1_VAE.pth"), MC_ERROR_NOT_FOUND,
                "only 'Wan2.1_VAE.pth.incomplete', an unfinished download");
    CHECK_ERROR(open_weight_file(alone("._Wan2.1_VAE.pth") + "/Wan2.1_VAE.pth"), MC_ERROR_NOT_FOUND,
                "only '._Wan2.1_VAE.pth', which macOS keeps");
    // aria2 gives a file its full length at the start, and keeps its own beside it until the end.
    write_file(folder / "model/model.safetensors.aria2", "x");
    CHECK_ERROR(
        open_weight_shards(folder / "model"), MC_ERROR_READ,
        "model.safetensors: is not downloaded completely: 'model.safetensors.aria2' is still beside it");
    std::filesystem::create_symlink(folder / "gone", folder / "link.safetensors");
    CHECK_ERROR(open_weight_file(folder / "link.safetensors"), MC_ERROR_NOT_FOUND,
                "is a link to a file that is not there");
}

TEST(variants_beside_the_weights) {
    TemporaryFolder folder;
    auto holds = [&](const std::string& name, const std::string& data) {
        const WeightFiles files = open_weight_shards(folder / name);
        return files.tensors.size() == 2 && bytes_of(files.tensors.at("a")) == data;
    };
    auto single = [&](const std::string& path, const std::string& data) {
        write_safetensors(folder / path, {named("a", data), named("b", data)});
    };
    auto shards = [&](const std::string& path, const std::string& data, const std::string& behind = "") {
        write_safetensors(folder / (path + "-00001-of-00002" + behind + ".safetensors"), {named("a", data)});
        write_safetensors(folder / (path + "-00002-of-00002" + behind + ".safetensors"), {named("b", data)});
    };
    auto index = [&](const std::string& path, const std::string& set, const std::string& behind = "") {
        write_file(folder / path, R"({"weight_map": {"a": ")" + set + "-00001-of-00002" + behind +
                                      R"(.safetensors", "b": ")" + set + "-00002-of-00002" + behind +
                                      R"(.safetensors"}})");
    };
    // The set without a variant counts, single or in shards, with or without indices.
    single("single/model.safetensors", "full");
    single("single/model.fp16.safetensors", "half");
    CHECK(holds("single", "full"));
    shards("single/model.bf16", "bf16");
    CHECK(holds("single", "full"));
    index("single/model.safetensors.index.bf16.json", "model.bf16");
    CHECK(holds("single", "full"));
    shards("shards/diffusion_pytorch_model", "full");
    single("shards/diffusion_pytorch_model.bf16.safetensors", "half");
    CHECK(holds("shards", "full"));
    shards("shards/diffusion_pytorch_model.fp16", "half");
    shards("shards/diffusion_pytorch_model", "half", ".fp32");
    CHECK(holds("shards", "full"));
    index("shards/diffusion_pytorch_model.fp16.safetensors.index.json", "diffusion_pytorch_model.fp16");
    CHECK(holds("shards", "full"));
    index("shards/diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model");
    index("shards/diffusion_pytorch_model.safetensors.index.fp32.json", "diffusion_pytorch_model", ".fp32");
    CHECK(holds("shards", "full"));
    // A variant alone is taken, also when the other set's index came along without its shards.
    single("one/model.fp16.safetensors", "half");
    CHECK(holds("one", "half"));
    shards("some/model.fp16", "half");
    CHECK(holds("some", "half"));
    index("some/model.safetensors.index.fp16.json", "model.fp16");
    CHECK(holds("some", "half"));
    index("some/model.safetensors.index.json", "model");
    CHECK(holds("some", "half"));
    shards("old/model", "half", ".fp16");
    CHECK(holds("old", "half"));
    index("old/model.safetensors.index.fp16.json", "model", ".fp16");
    CHECK(holds("old", "half"));
    // Nobody can tell which of two is meant.
    single("one/model.bf16.safetensors", "bf16");
    CHECK_ERROR(open_weight_shards(folder / "one"), MC_ERROR_READ,
                "two variants of its weights ('model.bf16.safetensors', 'model.fp16.safetensors')");
    // A name with dots is no variant of another, and half a set does not give way to a variant.
    single("dots/SkyReels-V2-1.3B.safetensors", "dots");
    CHECK(holds("dots", "dots"));
    write_safetensors(folder / "parts/model.one.safetensors", {named("a", "part")});
    write_safetensors(folder / "parts/model.two.safetensors", {named("b")});
    CHECK(holds("parts", "part"));
    shards("half/model.fp16", "half");
    write_safetensors(folder / "half/model-00001-of-00002.safetensors", {named("a")});
    CHECK_ERROR(open_weight_shards(folder / "half"), MC_ERROR_NOT_FOUND, "has only 1 of the 2 shards");
    CHECK_ERROR(open_weight_shards(folder / "half"), MC_ERROR_NOT_FOUND, "missing files of 'model'");
    // Damage is told of the set that counts; another one does not stand in for it.
    write_file(folder / "bad/model.safetensors", "damaged");
    single("bad/model.fp16.safetensors", "half");
    CHECK_ERROR(open_weight_shards(folder / "bad"), MC_ERROR_READ, "bad/model.safetensors: is too short");
    write_file(folder / "bad/model.fp16.safetensors", "damaged");
    CHECK_ERROR(open_weight_shards(folder / "bad"), MC_ERROR_READ, "bad/model.safetensors: is too short");
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
    write_file(folder / "weights.onnx", "x");
    CHECK_ERROR(open_weight_file(folder / "weights.onnx"), MC_ERROR_READ, "tells no format");
    // Opening a pipe that nobody writes to must not wait.
    CHECK_EQ(::mkfifo((folder / "pipe.pth").c_str(), 0600), 0);
    CHECK_ERROR(open_weight_file(folder / "pipe.pth"), MC_ERROR_READ, "not a regular file");
}
