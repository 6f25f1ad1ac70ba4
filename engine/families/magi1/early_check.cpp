// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/early_check.h"

#include "engine/families/magi1/memory_plan.h"
#include "engine/networks/magi_dit/magi_dit_files.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/vit_vae/vit_vae_files.h"
#include "engine/processor.h"
#include "engine/session/memory.h"
#include "engine/session/streaming.h"
#include "engine/session/text_encoder.h"

namespace mc::magi1 {

namespace {

using model::magi1::Folder;

struct Early {
    Folder folder;
    VideoSettings settings;
};

// No weight file is opened, nor looked for, before the request is found possible.
Early look(const std::string& config, const session::Request& request) {
    const auto [runtime, transformer] = model::magi1::read_configuration(model::JsonObject::read(config));
    VideoSettings settings = complete(request, {runtime, transformer});
    return {Folder::open(config), std::move(settings)};
}

session::MemoryForecast forecast(const Early& early, const session::LoadOptions& options, at::Device device,
                                 const session::Request& request) {
    const Folder& folder = early.folder;
    set_thread_count(session::thread_count(options)); // each takes memory
    session::MemoryForecast f;
    f.device = device;
    f.precision = session::precision_on(device, options);
    model::VitVaeConfig vae_config;
    model::TextEncoderConfig text_config;
    const auto vae_tensors = model::open_vit_vae(folder.places.vae, vae_config);
    const std::shared_ptr<const model::Tensors> text_tensors =
        model::open_t5_text_encoder(folder.places.text_encoder, text_config);
    const auto weights = weight_bytes(*model::open_magi_dit(folder.places.weights, folder.transformer),
                                      *vae_tensors, *text_tensors, f.precision);
    const vit_vae::VitVae vae(Weights(*vae_tensors, at::kMeta), vae_config, f.precision);
    f.free = session::free_memory(device);
    f.text_on_demand = session::TextEncoder::on_demand(weights.text_encoder);
    f.text_device = text_device(weights, device, f.free);
    bool known = false;
    if (f.text_on_demand) {
        const LibraryThreads library(device.is_cpu() ? 1 : session::thread_count(options)); // as in a session
        session::TextEncoder encoder(text_tensors, text_config, Precision::FLOAT32, f.text_device, {});
        known = text_known(encoder, text::Tokenizer(folder.places.tokenizer), folder.transformer.text_rows,
                           early.settings);
    }
    Planned planned{{folder.runtime, folder.transformer},
                          folder.text_encoder,
                          vae,
                          f.precision,
                          device,
                          f.text_device,
                          f.text_on_demand ? weights.text_encoder : 0,
                          known};
    MemoryPlan plan = plan_memory(early.settings, planned);
    f.transformer = weights.transformer, f.text_encoder = weights.text_encoder, f.vae_weights = weights.vae;
    const auto total = [&] { return f.weights() + plan.total(); };
    if (total() > f.free && !device.is_cpu()) { // as the session will move it
        planned.text_device = f.text_device = at::kCPU;
        plan = plan_memory(early.settings, planned);
    }
    if (total() > f.free && !device.is_cpu()) { // as the model and the session will
        const session::Streaming none{0, magi_dit::Network::layer_bytes(folder.transformer, f.precision)};
        const int64_t layers = folder.transformer.layers;
        const session::Streaming s = session::stream_to_fit(none, layers, device, total(), f.free)
                                         .value_or(session::most_streamed(none, layers, device));
        f.transformer -= s.freed();
        f.streamed = s.host_bytes();
    }
    f.keys_values = plan.keys_values, f.cache = plan.cache, f.activations = plan.activations;
    f.vae = plan.vae, f.text = plan.text;
    f.total = total();
    if (f.total > f.free) f.would_fit = what_fits(request, planned, f.free - f.weights());
    return f;
}

} // namespace

session::MemoryForecast forecast_memory(const std::string& config, const session::LoadOptions& options,
                                        const session::Request& request) {
    const at::Device device = session::choose_device(options, {});
    return forecast(look(config, request), options, device, request);
}

void check_early(const std::string& config, const session::LoadOptions& options,
                 const session::Request& request) {
    // Whether auto takes a GPU, and why not, is found out and told once, when the model is opened.
    const bool open = options.opened || options.device != "auto" || !session::has_driver(options.cuda);
    const at::Device device = open ? session::choose_device(options, options.log) : at::kCPU;
    const Early early = look(config, request);
    if (!open) return;
    const session::MemoryForecast f = forecast(early, options, device, request);
    session::check_weights_fit(f.weights(), f.precision, device);
    session::check_memory(
        f.total, "The model with this request", [&](int64_t) { return f.would_fit; }, device);
}

} // namespace mc::magi1
