// SPDX-License-Identifier: LGPL-2.1-or-later
// Ids of the golden case, and tokenizer files that are none. Argument: the folder of golden data.
#include <ATen/ATen.h>

#include "tests/check.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "engine/error.h"
#include "engine/text/tokenizer.h"
#include "tests/golden/case_file.h"

using mc::text::Tokenizer;
using Ids = std::vector<int64_t>;

namespace {

std::string golden_folder;

std::string model_file() {
    return golden_folder + "/weights/diffusers/tokenizer/spiece.model";
}

std::string model_bytes() {
    std::ifstream file(model_file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// A file with these bytes that goes away again.
struct TemporaryFile {
    std::string path =
        std::filesystem::temp_directory_path() / ("tokenizer_test." + std::to_string(getpid()));
    explicit TemporaryFile(const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
    ~TemporaryFile() { std::filesystem::remove(path); }
};

// What `work` writes to the standard error stream.
std::string written_to_stderr(const std::function<void()>& work) {
    TemporaryFile file("");
    std::fflush(stderr);
    int kept = dup(2);
    FILE* target = std::fopen(file.path.c_str(), "w");
    dup2(fileno(target), 2);
    work();
    std::fflush(stderr);
    dup2(kept, 2);
    close(kept);
    std::fclose(target);
    std::ifstream in(file.path);
    return {std::istreambuf_iterator<char>(in), {}};
}

void check_refused(const std::string& bytes, const char* what) {
    TemporaryFile file(bytes);
    CHECK_ERROR(Tokenizer{file.path}, MC_ERROR_READ, what);
    CHECK_ERROR(Tokenizer{file.path}, MC_ERROR_READ, file.path);
}

} // namespace

// Both libraries have a FLAGS_minloglevel. What stands behind LibTorch's decides whether it throws or aborts.
TEST(the_library_leaves_libtorch_alone) {
#ifdef __SANITIZE_ADDRESS__
    SKIP("the sanitizers allow no library with symbols of its own");
#endif
    Tokenizer tokenizer(model_file());
    bool thrown = false;
    try {
        at::empty({int64_t(1) << 50});
    } catch (const c10::Error&) {
        thrown = true;
    }
    CHECK(thrown);
}

TEST(ids_are_those_of_the_golden_case) {
    auto golden = mc::golden::CaseFile::open(golden_folder, "unit_tokenizer");
    const auto& weights = golden.json.at("weights").at("tokenizer");
    int with_bytes = 0;
    for (const char* layout : {"original", "diffusers"}) {
        Tokenizer tokenizer(golden_folder + "/" + weights.at(layout).get<std::string>() + "/spiece.model");
        for (const auto& entry : golden.json.at("texts")) {
            std::string text = entry.at("text");
            if (entry.contains("text_repeat")) {
                text.clear();
                for (int i = 0; i < entry["text_repeat"][1]; i++)
                    text += (i ? " " : "") + entry["text_repeat"][0].get<std::string>();
            }
            Ids ids = entry.at("ids");
            CHECK(tokenizer.encode(text, 512, true) == ids);
            with_bytes += entry.contains("ids_without_byte_fallback");
            CHECK(tokenizer.encode(text, 512, false) == entry.value("ids_without_byte_fallback", ids));
        }
    }
    CHECK_EQ(with_bytes, 6);
}

TEST(truncation_keeps_the_end_token) {
    Tokenizer tokenizer(model_file());
    Ids ids = tokenizer.encode("A woman walks along the river at dusk.");
    CHECK_EQ(ids.size(), 10u);
    CHECK(tokenizer.encode("A woman walks along the river at dusk.", 10) == ids);
    CHECK(tokenizer.encode("A woman walks along the river at dusk.", 4) == (Ids{ids[0], ids[1], ids[2], 1}));
    CHECK(tokenizer.encode("A woman walks along the river at dusk.", 1) == Ids{1});
}

TEST(the_longest_prompt_is_cut_and_keeps_its_end) {
    std::string text;
    while (text.size() < 65536 - 4) text += "\u4ebb "; // of no piece: all bytes
    Ids ids = Tokenizer(model_file()).encode(text);
    CHECK_EQ(ids.size(), 512u);
    CHECK_EQ(ids.back(), 1);
}

TEST(files_that_cannot_be_read_are_refused) {
    CHECK_ERROR(Tokenizer{"/nowhere/spiece.model"}, MC_ERROR_NOT_FOUND, "/nowhere/spiece.model");
    CHECK_ERROR(Tokenizer{golden_folder}, MC_ERROR_READ, "cannot be read");
}

TEST(files_that_are_no_model_are_refused) {
    std::string model = model_bytes();
    check_refused("", "another kind of file");
    check_refused("a red ball bouncing over green hills", "");
    check_refused(std::string(1000, '\0'), "");
    check_refused(model.substr(0, model.size() / 2), "cut off");
    check_refused(model.substr(0, model.size() - 1), "cut off");
    check_refused("PK\x03\x04" + model, "");
}

// The library itself would read outside of its memory at the first prompt.
TEST(damaged_character_maps_are_refused_or_harmless) {
    std::string model = model_bytes();
    size_t name = model.find("nmt_nfkc");
    CHECK(name != model.npos);
    size_t trie = name + 8 + 4 + 4; // behind the map's key and length, and the size of its trie
    for (size_t byte = 0; byte < 4; byte++) {
        std::string damaged = model;
        for (size_t i = trie + byte; i < trie + 4000; i += 4) damaged[i] = char(i * 37);
        TemporaryFile file(damaged);
        try {
            Tokenizer(file.path).encode(
                "caf\u00e9 \uff11\uff12\uff13 \U0001F44B"); // harmless, or else refused
            CHECK(byte == 0);                               // the label of a unit
        } catch (const mc::Error& e) {
            CHECK(std::string(e.what()).find("character map") != std::string::npos);
        }
    }
    for (char size : {'\x00', '\x7F'}) {
        std::string damaged = model;
        damaged[trie - 2] = damaged[trie - 1] = size;
        check_refused(damaged, "character map");
    }
}

TEST(nothing_is_written_to_stderr) {
    std::string model = model_bytes();
    std::string written = written_to_stderr([&] {
        Tokenizer(model_file()).encode("caf\u00e9");
        for (const std::string& bytes : {std::string(), model.substr(0, 4000), std::string("text")}) {
            TemporaryFile file(bytes);
            try {
                Tokenizer tokenizer(file.path);
            } catch (const mc::Error&) {
            }
        }
    });
    CHECK_EQ(written, "");
}

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s GOLDEN_FOLDER [CASE...]\n", argv[0]);
        return 2;
    }
    golden_folder = argv[1];
    return mc::test::run_tests(argc - 1, argv + 1);
}
