// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/model.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <filesystem>

#include "engine/device.h"
#include "engine/families/skyreels_v2/video.h"
#include "engine/model/fingerprint.h"
#include "engine/model/tokenizer_json.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_vae/wan_vae_files.h"
#include "engine/own_stream.h"
#include "engine/session/device_errors.h"
#include "engine/session/memory.h"

namespace mc::skyreels_v2 {

using session::LoadOptions;

static std::string smaller_layers(bool in_bytes) {
    return in_bytes ? "" : "weights-precision=int8 makes them smaller";
}

static void read_parts(Model* m, const model::Tensors& transformer, const model::Tensors& vae,
                       const std::shared_ptr<const model::Tensors>& text, at::Device text_device,
                       const std::string& tokenizer, int64_t streamed, const LoadOptions& o) {
    const auto [device, precision, threads] = m->placement;
    m->text_encoder = std::make_unique<session::TextEncoder>(text, m->text_config, precision, text_device, o.log);
    const bool read_text = !m->text_encoder->on_demand();
    session::LoadProgress progress(o, transformer.bytes() + vae.bytes() + (read_text ? text->bytes() : 0));
    m->tokenizer = std::make_unique<text::Tokenizer>(tokenizer);
    m->byte_fallback = model::tokenizer_byte_fallback(tokenizer);
    if (read_text) m->text_encoder->read(progress.part("text encoder", *text, text_device));
    m->transformer = std::make_unique<wan_dit::Transformer>(progress.part("transformer", transformer, device),
                                                            m->transformer_config, precision, std::nullopt,
                                                            o.weights_in_bytes, streamed);
    m->vae = std::make_unique<wan_vae::WanVae>(progress.part("vae", vae, device), m->vae_config, precision);
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
}

static std::shared_ptr<Model> load(std::shared_ptr<Model> m, const model::Tensors& transformer,
                                   const model::Tensors& vae, const std::shared_ptr<const model::Tensors>& text,
                                   const std::string& tokenizer, const LoadOptions& o) {
    c10::InferenceMode guard;
    m->log = o.log;
    m->weights_in_bytes = o.weights_in_bytes;
    const at::Device device = m->placement.device;
    const Precision precision = m->placement.precision;
    const WeightBytes weights =
        weight_bytes(transformer, vae, *text, precision, device, o.weights_in_bytes);
    const at::Device text_device =
        session::text_device(weights, device, session::free_memory(device));
    const bool apart = text_device != device;
    const bool on_demand = session::TextEncoder::on_demand(weights.text_encoder); // it is not part of what is read now
    int64_t bytes = weights.total() - (apart || on_demand ? weights.text_encoder : 0);
    const int64_t streamed = session::stream_to_load(
        wan_dit::Transformer::layer_bytes(m->transformer_config, precision, o.weights_in_bytes),
        m->transformer_config.layers, device, bytes, smaller_layers(o.weights_in_bytes), o.log);
    session::check_weights_fit(bytes, precision, device,
                               device.is_cpu() || !weights.saved || streamed ? std::nullopt
                                                                             : std::optional(bytes - weights.saved));
    if (apart) {
        session::check_memory(weights.text_encoder, "The text encoder on the CPU", "use a machine with more memory.");
        if (o.log) o.log(4, "the text encoder is on the CPU, to leave " + device.str() + " for the video");
    }
    session::with_memory_told(device, "The model", bytes, "use a smaller model or another device.", [&] {
        const AtWork loading;
        const c10::OptionalDeviceGuard on_device(device.is_cpu() ? std::nullopt : std::optional(device));
        const session::ReadingTime time(o.log);
        read_parts(m.get(), transformer, vae, text, text_device, tokenizer, streamed, o);
        wait_for(device); // sessions read the weights in streams of their own
        time.tell("model", m->bytes());
    });
    clear_workspaces(device); // of this thread's stream
    return m;
}

std::shared_ptr<const Model> Model::open(const std::string& path, const LoadOptions& options) {
    return open(*model::skyreels_v2::Folder::open(path), options);
}

std::shared_ptr<const Model> Model::open(const model::skyreels_v2::Folder& folder, const LoadOptions& options) {
    auto m = std::make_shared<Model>();
    m->placement = session::choose_placement(options);
    m->transformer_config = folder.transformer;
    m->vae_config = folder.vae;
    m->text_config = folder.text_encoder;
    m->defaults = folder.defaults;
    auto transformer = folder.transformer_tensors();
    const std::string calibration = model::calibration_file(folder.path);
    if (options.calibration && std::filesystem::exists(calibration))
        m->calibration = model::read_calibration(calibration, model::fingerprint(*transformer));
    std::shared_ptr<wan_dit::Workers> workers;
    if (options.group) {
        m->ranks = {options.group->size(), options.tokens_only};
        wan_dit::check_ranks(m->ranks, folder.transformer.heads);
        workers = std::make_shared<wan_dit::Workers>(
            options.group, m->ranks,
            wan_dit::SharedModel{std::filesystem::absolute(folder.path), m->placement.precision,
                                 options.weights_in_bytes, model::fingerprint(*transformer)},
            options.cancel, options.log);
    }
    load(m, *transformer, *folder.vae_tensors(), folder.text_encoder_tensors(), folder.tokenizer_file, options);
    if (workers) {
        workers->opened(m->placement.device, options.cancel);
        m->transformer->share(workers);
    }
    return m;
}

std::unique_ptr<wan_dit::Transformer> open_shared(const wan_dit::SharedModel& shared, const std::string& path,
                                                  const LoadOptions& options) {
    c10::InferenceMode guard;
    const std::string here = path.empty() ? shared.path : path;
    const auto folder = model::skyreels_v2::Folder::open(here);
    const auto tensors = folder->transformer_tensors();
    if (model::fingerprint(*tensors) != shared.fingerprint)
        throw Error(MC_ERROR_READ, "The weights in " + here + " are not those of rank 0's " + shared.path +
                                       ": give all ranks the same model.");
    const at::Device device = session::choose_device(options, options.log);
    int64_t bytes = weight_bytes(*tensors, *folder->vae_tensors(), *folder->text_encoder_tensors(), shared.precision,
                                 device, shared.in_bytes)
                        .transformer;
    const int64_t streamed = session::stream_to_load(
        wan_dit::Transformer::layer_bytes(folder->transformer, shared.precision, shared.in_bytes),
        folder->transformer.layers, device, bytes, smaller_layers(shared.in_bytes), options.log);
    session::check_weights_fit(bytes, shared.precision, device);
    std::unique_ptr<wan_dit::Transformer> transformer;
    session::with_memory_told(device, "The model", bytes, "use a smaller model or another device.", [&] {
        const AtWork loading;
        const c10::OptionalDeviceGuard on_device(device.is_cpu() ? std::nullopt : std::optional(device));
        session::LoadProgress progress(options, tensors->bytes());
        transformer = std::make_unique<wan_dit::Transformer>(progress.part("transformer", *tensors, device),
                                                                 folder->transformer, shared.precision, std::nullopt,
                                                                 shared.in_bytes, streamed);
        wait_for(device);
    });
    clear_workspaces(device); // of this thread's stream
    return transformer;
}

wan_dit::Room make_room(wan_dit::Transformer& transformer, const wan_dit::SharedModel& shared,
                        const wan_dit::Spread& spread, int rank,
                        const std::vector<wan_dit::Window::Shape>& shapes, const LoadOptions& options) {
    const model::TransformerConfig& config = transformer.config();
    wan_dit::Room room;
    room.device = transformer.device();
    for (const wan_dit::Window::Shape& shape : shapes)
        room.needed = std::max(
            room.needed,
            wan_dit::Window::bytes(config, shared.precision, room.device, shape, spread, rank).total());
    room.needed += workspace_bytes(room.device);
    const session::Streaming now{
        transformer.streamed(), wan_dit::Transformer::layer_bytes(config, shared.precision, shared.in_bytes)};
    session::stream_for_video(room.needed, now, config.layers, room.device, smaller_layers(shared.in_bytes),
                              options.log,
                              [&](int64_t layers) { transformer.stream(layers); });
    room.free = session::free_memory(room.device);
    if (room.needed > room.free)
        room.more = session::most_streamed(now, config.layers, room.device).freed() - now.freed();
    return room;
}

std::shared_ptr<const Model> Model::open_parts(const ModelParts& parts, const LoadOptions& options) {
    auto m = std::make_shared<Model>();
    m->placement = session::choose_placement(options);
    auto transformer = model::open_transformer(parts.transformer, m->transformer_config);
    auto vae = model::open_vae(parts.vae, m->vae_config);
    auto text = model::open_text_encoder(parts.text_encoder, m->text_config);
    return load(m, *transformer, *vae, std::move(text), parts.tokenizer, options);
}

std::unique_ptr<session::Video> Model::begin(session::Request request) const {
    return begin_video(*this, std::move(request));
}

Planned Model::planned() const {
    return planned(session::parts_of(placement, *text_encoder));
}

Planned Model::planned(const session::Parts& parts) const {
    return {parts, {transformer_config, vae_config, defaults, calibration ? &*calibration : nullptr}, *vae, ranks};
}

session::Movable Model::movable() const {
    const auto one = wan_dit::Transformer::layer_bytes(transformer_config, placement.precision, weights_in_bytes);
    return {placement, *text_encoder, transformer_config.layers,
            [=, this] { return session::Streaming{transformer->streamed(), one}; },
            [this](int64_t layers) { transformer->stream(layers); }, smaller_layers(weights_in_bytes), log};
}

int64_t Model::bytes() const {
    return transformer->bytes() + vae->bytes() + text_encoder->bytes();
}

} // namespace mc::skyreels_v2
