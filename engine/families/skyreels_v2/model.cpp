// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/model.h"

#include <c10/core/InferenceMode.h>
#include <filesystem>

#include "engine/families/skyreels_v2/video.h"
#include "engine/model/fingerprint.h"
#include "engine/model/tokenizer_json.h"

namespace mc::skyreels_v2 {

using session::LoadOptions;

int64_t held_bytes(const model::Tensors& transformer, const model::Tensors& vae, const model::Tensors& text,
                   Precision precision) {
    auto as = [](const model::Tensors& t, int64_t element) {
        int64_t sum = 0;
        for (const auto& [name, view] : t.all()) sum += int64_t(view.bytes / size_of(view.dtype)) * element;
        return sum;
    };
    int64_t element = precision == Precision::FLOAT32 ? 4 : 2;
    return as(transformer, element) + as(text, element) + as(vae, 4);
}

static std::shared_ptr<Model> load(std::shared_ptr<Model> m, const model::Tensors& transformer,
                                   const model::Tensors& vae, const model::Tensors& text,
                                   const std::string& tokenizer, const LoadOptions& o) {
    c10::InferenceMode guard;
    m->placement = session::place(o);
    m->log = o.log;
    const auto [device, precision, threads] = m->placement;
    if (device.is_cpu()) session::check_weights_fit(held_bytes(transformer, vae, text, precision), precision);

    session::LoadProgress progress(o, transformer.bytes() + vae.bytes() + text.bytes());
    m->tokenizer = std::make_unique<text::Tokenizer>(tokenizer);
    m->byte_fallback = model::tokenizer_byte_fallback(tokenizer);
    m->text_encoder = std::make_unique<text::Umt5Encoder>(progress.part("text encoder", text, device),
                                                          m->text_config, precision);
    m->transformer = std::make_unique<transformer::Transformer>(
        progress.part("transformer", transformer, device), m->transformer_config, precision);
    m->vae = std::make_unique<vae::WanVae>(progress.part("vae", vae, device), m->vae_config);
    if (m->transformer_config.text_width != m->text_config.width)
        throw Error(MC_ERROR_READ, "The text encoder gives rows of " + std::to_string(m->text_config.width) +
                                       " but the transformer takes " +
                                       std::to_string(m->transformer_config.text_width) +
                                       "; the folder mixes parts of different models.");
    if (m->transformer_config.out_channels != m->vae_config.latent_channels)
        throw Error(MC_ERROR_READ,
                    "The transformer makes latents of " + std::to_string(m->transformer_config.out_channels) +
                        " channels but the VAE takes " + std::to_string(m->vae_config.latent_channels) +
                        "; the folder mixes parts of different models.");
    return m;
}

std::shared_ptr<const Model> Model::open(const std::string& path, const LoadOptions& options) {
    return open(*model::ModelFolder::open(path), options);
}

std::shared_ptr<const Model> Model::open(const model::ModelFolder& folder, const LoadOptions& options) {
    auto m = std::make_shared<Model>();
    m->transformer_config = folder.transformer;
    m->vae_config = folder.vae;
    m->text_config = folder.text_encoder;
    m->defaults = folder.defaults;
    auto transformer = folder.transformer_tensors();
    const std::string calibration = model::calibration_file(folder.path);
    if (options.calibration && std::filesystem::exists(calibration))
        m->calibration = model::read_calibration(calibration, model::fingerprint(*transformer));
    return load(m, *transformer, *folder.vae_tensors(), *folder.text_encoder_tensors(), folder.tokenizer_file,
                options);
}

std::shared_ptr<const Model> Model::open_parts(const Parts& parts, const LoadOptions& options) {
    auto m = std::make_shared<Model>();
    auto transformer = model::open_transformer(parts.transformer, m->transformer_config);
    auto vae = model::open_vae(parts.vae, m->vae_config);
    auto text = model::open_text_encoder(parts.text_encoder, m->text_config);
    return load(m, *transformer, *vae, *text, parts.tokenizer, options);
}

std::unique_ptr<session::Video> Model::begin(session::Request request) const {
    return begin_video(*this, std::move(request));
}

int64_t Model::bytes() const {
    return transformer->bytes() + vae->bytes() + text_encoder->bytes();
}

} // namespace mc::skyreels_v2
