// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's captions: their ids, and tables of special tokens that are none. What stands in front of a caption is a
// golden case.
#include <ATen/ATen.h>

#include "engine/error.h"
#include "engine/families/magi1/captions.h"
#include "tests/check.h"
#include "tests/model/npz_writer.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::test;
using magi1::SpecialTokens;

namespace {

template <class T>
std::string array(const char* descr, int64_t rows, int64_t width, T value) {
    std::string data;
    for (int64_t i = 0; i < rows * width; i++)
        data.append(reinterpret_cast<const char*>(&value), sizeof value);
    return npy_bytes(npy_header(descr, "(" + std::to_string(rows) + ", " + std::to_string(width) + ")"),
                     data);
}

struct Table {
    TemporaryFolder folder;
    std::string caption = array("<f8", 1, 4, 0.25), logo = array("<f4", 1, 4, 0.5f),
                others = array("<f8", 17, 4, 1. / 3);
    SpecialTokens open(int64_t width = 4) const {
        write_file(folder / "t.npz", npz_bytes({{"caption_token.npy", caption},
                                                {"logo_token.npy", logo},
                                                {"other_tokens.npy", others}}));
        return SpecialTokens::open(folder / "t.npz", width);
    }
};

} // namespace

TEST(a_caption_is_cleaned_before_it_becomes_ids) {
    const text::Tokenizer tokenizer(source_path("models/demo/tokenizer/spiece.model"));
    size_t all = 0;
    const auto ids = magi1::caption_ids("A RED ball (see https://example.com/x)", tokenizer, 800, &all);
    CHECK(ids == tokenizer.encode("a red ball see", 800, false));
    CHECK_EQ(all, ids.size());
    CHECK_EQ(ids.back(), 1);
    CHECK_EQ(magi1::caption_ids("a red ball bouncing over green hills", tokenizer, 4).size(), size_t(4));
    CHECK_EQ(magi1::caption_ids("", tokenizer, 800).size(), size_t(1)); // the end token
    CHECK_ERROR(magi1::caption_ids("\xFF", tokenizer, 800), MC_ERROR_SETTINGS, "UTF-8");
}

TEST(special_tokens_are_rounded_to_half_precision) {
    const SpecialTokens tokens = Table().open();
    CHECK_EQ(tokens.others.size(0), 17);
    CHECK_EQ(tokens.other(SpecialTokens::HIGH_QUALITY)[0][0].item<float>(), 0.333251953125f);
    CHECK_EQ(tokens.logo[0][3].item<float>(), 0.5f);
}

TEST(tables_of_special_tokens_that_are_none) {
    const char* remedy = "use special_tokens.npz as it comes with MAGI-1";
    CHECK_ERROR(Table().open(8), MC_ERROR_READ, "array 'caption_token' is [1, 4], expected [1 or more, 8]");
    CHECK_ERROR(Table().open(8), MC_ERROR_READ, remedy);
    Table t;
    t.others = array("<f8", 16, 4, 0.);
    CHECK_ERROR(t.open(), MC_ERROR_READ, "array 'other_tokens' is [16, 4], expected [17 or more, 4]");
    t.others = array("<i8", 17, 4, int64_t(1));
    CHECK_ERROR(t.open(), MC_ERROR_READ, "is of type I64, expected float64, float32 or float16");
    t.others = array("<f8", 17, 4, double(NAN));
    CHECK_ERROR(t.open(), MC_ERROR_READ, "array 'other_tokens' holds NaN or infinity");
    t.others = array("<f8", 17, 4, 1e5); // beyond half precision
    CHECK_ERROR(t.open(), MC_ERROR_READ, "array 'other_tokens' holds NaN or infinity");
    t.others = npy_bytes(npy_header("<f8", "(68,)"), std::string(68 * 8, '\0'));
    CHECK_ERROR(t.open(), MC_ERROR_READ, "is [68], expected");

    const TemporaryFolder folder;
    write_file(folder / "t.npz", npz_bytes({{"caption_token.npy", array("<f8", 1, 4, 0.)}}));
    CHECK_ERROR(SpecialTokens::open(folder / "t.npz", 4), MC_ERROR_READ, "lacks the array 'logo_token'");
    CHECK_ERROR(SpecialTokens::open(folder / "absent.npz", 4), MC_ERROR_NOT_FOUND, "absent.npz");
    const std::string whole = read_file(source_path("tests/golden/data/magi1/text/special_tokens.npz"));
    write_file(folder / "t.npz", whole.substr(0, whole.size() / 2));
    CHECK_ERROR(SpecialTokens::open(folder / "t.npz", 64), MC_ERROR_READ, "the file was probably cut off");
    write_file(folder / "t.npz", whole);
    CHECK_EQ(SpecialTokens::open(folder / "t.npz", 64).others.size(0), 100);
}

int main(int argc, char** argv) {
    return test::run_tests(argc, argv);
}
