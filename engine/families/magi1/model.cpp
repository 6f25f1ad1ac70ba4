// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/model.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include "engine/device.h"
#include "engine/families/magi1/video.h"
#include "engine/networks/magi_dit/magi_dit_files.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/vit_vae/vit_vae_files.h"
#include "engine/own_stream.h"
#include "engine/session/device_errors.h"
#include "engine/session/memory.h"

namespace mc::magi1 {

std::shared_ptr<const Model> Model::open(const std::string& config, const session::LoadOptions& options) {
    c10::InferenceMode guard;
    auto m = std::make_shared<Model>();
    m->folder = model::magi1::Folder::open(config);
    const model::magi1::Places& places = m->folder.places;
    m->placement = session::choose_placement(options);
    m->log = options.log;
    const auto [device, precision, threads] = m->placement;
    const auto transformer = model::open_magi_dit(places.weights, m->folder.transformer);
    model::VitVaeConfig vae_config;
    const auto vae = model::open_vit_vae(places.vae, vae_config);
    model::TextEncoderConfig text_config;
    const std::shared_ptr<const model::Tensors> text =
        model::open_t5_text_encoder(places.text_encoder, text_config);
    const WeightBytes weights = weight_bytes(*transformer, *vae, *text, precision);
    const at::Device text_on = text_device(weights, device, session::free_memory(device));
    m->tokenizer = std::make_unique<text::Tokenizer>(places.tokenizer);
    m->tokens = SpecialTokens::open(places.special_tokens, m->folder.transformer.text_width);
    // In float32 whatever the precision, as published.
    m->text_encoder =
        std::make_unique<session::TextEncoder>(text, text_config, Precision::FLOAT32, text_on, options.log);
    const bool read_text = !m->text_encoder->on_demand();
    int64_t bytes = weights.transformer + weights.vae + (read_text && text_on == device ? weights.text_encoder : 0);
    const int64_t streamed =
        session::stream_to_load(magi_dit::Network::layer_bytes(m->folder.transformer, precision),
                                m->folder.transformer.layers, device, bytes, "", m->log);
    session::check_weights_fit(bytes, precision, device);
    session::with_memory_told(device, "The model", bytes, "use a smaller model or another device.", [&] {
        const AtWork loading;
        const c10::OptionalDeviceGuard on_device(device.is_cpu() ? std::nullopt : std::optional(device));
        const session::ReadingTime time(options.log);
        {
            session::LoadProgress progress(options,
                                           transformer->bytes() + vae->bytes() + (read_text ? text->bytes() : 0));
            if (read_text) m->text_encoder->read(progress.part("text encoder", *text, text_on));
            m->transformer =
                std::make_unique<magi_dit::Network>(progress.part("transformer", *transformer, device),
                                                    m->folder.transformer, precision, std::nullopt, streamed);
            m->vae = std::make_unique<vit_vae::VitVae>(progress.part("vae", *vae, device), vae_config, precision);
        }
        wait_for(device); // sessions read the weights in streams of their own
        time.tell("model", m->bytes());
    });
    clear_workspaces(device); // of this thread's stream
    return m;
}

std::unique_ptr<session::Video> Model::begin(session::Request request) const {
    return begin_video(*this, std::move(request));
}

Planned Model::planned() const {
    return planned(session::parts_of(placement, *text_encoder));
}

Planned Model::planned(const session::Parts& parts) const {
    return {parts, {folder.runtime, folder.transformer}, *vae};
}

session::Movable Model::movable() const {
    const auto one = magi_dit::Network::layer_bytes(folder.transformer, placement.precision);
    return {placement, *text_encoder, folder.transformer.layers,
            [=, this] { return session::Streaming{transformer->streamed(), one}; },
            [this](int64_t layers) { transformer->stream(layers); }, "", log};
}

int64_t Model::bytes() const {
    return transformer->bytes() + vae->bytes() + text_encoder->bytes();
}

} // namespace mc::magi1
