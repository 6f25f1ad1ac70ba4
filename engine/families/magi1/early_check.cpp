// SPDX-License-Identifier: LGPL-2.1-or-later
// What speaks against a request before weights are read.
#include "engine/families/magi1/model.h"
#include "engine/networks/magi_dit/magi_dit_files.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/vit_vae/vit_vae_files.h"

namespace mc::magi1 {

namespace {

using model::magi1::Folder;

session::MemoryForecast forecast(const Folder& folder, const VideoSettings& settings,
                                 const session::LoadOptions& options, at::Device device,
                                 const session::Request& request) {
    const Precision precision = session::precision_on(device, options);
    model::VitVaeConfig vae_config;
    model::TextEncoderConfig text_config;
    const auto vae_tensors = model::open_vit_vae(folder.places.vae, vae_config);
    const std::shared_ptr<const model::Tensors> text =
        model::open_t5_text_encoder(folder.places.text_encoder, text_config);
    const vit_vae::VitVae vae(Weights(*vae_tensors, at::kMeta), vae_config, precision);
    const auto planned = [&](const session::Parts& parts) {
        return Planned{parts, {folder.runtime, folder.transformer}, vae};
    };
    return session::forecast(
        {[&](session::TextEncoder& encoder) {
             return text_known(encoder, text::Tokenizer(folder.places.tokenizer), folder.transformer.text_rows,
                               settings);
         },
         [&](const session::Parts& parts) { return plan_memory(settings, planned(parts)); },
         [&](const session::Parts& parts, int64_t free) { return what_fits(request, planned(parts), free); }},
        {{precision, Precision::FLOAT32, device, device, text_config},
         weight_bytes(*model::open_magi_dit(folder.places.weights, folder.transformer), *vae_tensors, *text, precision),
         folder.transformer.layers,
         magi_dit::Network::layer_bytes(folder.transformer, precision),
         text},
        options);
}

} // namespace

session::Forecast Model::look(const std::string& config, const session::LoadOptions& options,
                              const session::Request& request) {
    const auto [runtime, transformer] = model::magi1::read_configuration(model::JsonObject::read(config));
    const VideoSettings settings = complete(request, {runtime, transformer});
    return [settings, folder = Folder::open(config), &options, &request](at::Device device) {
        return forecast(folder, settings, options, device, request);
    };
}

} // namespace mc::magi1
