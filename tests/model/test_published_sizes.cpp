// SPDX-License-Identifier: LGPL-2.1-or-later
// The published models by shape: files of the real names and sizes, all holes.
#include "engine/error.h"
#include "engine/families/skyreels_v2/folder.h"
#include "tests/check.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;

namespace {

void check_names(const Tensors& tensors, const std::vector<PublishedTensor>& published, size_t count,
                 const std::string& dtype) {
    CHECK_EQ(published.size(), count);
    CHECK_EQ(tensors.all().size(), count);
    for (const PublishedTensor& tensor : published) {
        const TensorView& view = tensors.get(tensor.diffusers, tensor.shape);
        CHECK_EQ(std::string(name_of(view.dtype)), dtype);
    }
}

void check_folder(const std::string& path, const PublishedTransformer& model) {
    auto folder = skyreels_v2::Folder::open(path);
    const TransformerConfig& config = folder->transformer;
    CHECK(config.width == model.width && config.heads == model.heads && config.layers == model.layers &&
          config.ffn == model.ffn);
    CHECK(config.head() == 128 && config.text_width == 4096 && config.text_rows == 512 &&
          config.in_channels == 16);
    CHECK_EQ(config.fps_embedding, model.fps);
    auto transformer = folder->transformer_tensors();
    check_names(*transformer, published_tensors(model), model.tensors, model.dtype);
    CHECK_EQ(int64_t(transformer->bytes()), model.parameters * (std::string(model.dtype) == "BF16" ? 2 : 4));
    CHECK(folder->vae.base == 96 && folder->vae.latent_channels == 16 && folder->vae.residual_blocks == 2);
    auto vae = folder->vae_tensors();
    check_names(*vae, published_vae(), 194, "F32");
    CHECK_EQ(vae->bytes(), size_t(126'892'531) * 4);
    CHECK(folder->text_encoder.layers == 24 && folder->text_encoder.heads == 64 &&
          folder->text_encoder.vocabulary == 256384);
    check_names(*folder->text_encoder_tensors(), published_text_encoder(), 242, "BF16");
}

void check_original(const PublishedTransformer& model) {
    TemporaryFolder folder;
    write_original_folder(folder.path, model);
    check_folder(folder.path, model);
    bool for_720p = std::string(model.name).find("720P") != std::string::npos;
    CHECK_EQ(skyreels_v2::Folder::open(folder.path)->defaults.height, for_720p ? 720 : 544);
}

void check_diffusers(const PublishedTransformer& model) {
    TemporaryFolder folder;
    write_diffusers_folder(folder.path, model);
    check_folder(folder.path, model);
}

} // namespace

TEST(published_1_3b_540p_original) {
    check_original(DF_1_3B_540P);
}
TEST(published_1_3b_540p_diffusers) {
    check_diffusers(DF_1_3B_540P);
}
TEST(published_14b_540p_original) {
    check_original(DF_14B_540P);
}
TEST(published_14b_540p_diffusers) {
    check_diffusers(DF_14B_540P);
}
TEST(published_14b_720p_original) {
    check_original(DF_14B_720P);
}
TEST(published_14b_720p_diffusers) {
    check_diffusers(DF_14B_720P);
}
