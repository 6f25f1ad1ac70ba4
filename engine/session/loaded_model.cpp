#include "engine/session/loaded_model.h"

#include <c10/core/InferenceMode.h>
#include <filesystem>
#include <thread>

#include "engine/model/fingerprint.h"
#include "engine/model/tokenizer_json.h"
#include "engine/processor.h"
#include "engine/session/memory.h"

namespace mc::session {

int64_t held_bytes(const model::Tensors& transformer, const model::Tensors& vae,
                          const model::Tensors& text, Precision precision) {
    auto as = [](const model::Tensors& t, int64_t element) {
        int64_t sum = 0;
        for (const auto& [name, view] : t.all())
            sum += static_cast<int64_t>(view.bytes / size_of(view.dtype)) * element;
        return sum;
    };
    int64_t element = precision == Precision::FLOAT32 ? 4 : 2;
    return as(transformer, element) + as(text, element) + as(vae, 4);
}

void check_weights_fit(int64_t bytes, Precision precision) {
    check_memory(bytes, "The model",
                 precision == Precision::FLOAT32 ? "set precision=bfloat16 to halve it, or use a smaller model."
                                                 : "use a smaller model or a machine with more memory.");
}

int thread_count(const LoadOptions& o) {
    return o.threads > 0 ? o.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

static std::shared_ptr<LoadedModel> load(std::shared_ptr<LoadedModel> m, const model::Tensors& transformer,
                                         const model::Tensors& vae, const model::Tensors& text,
                                         const std::string& tokenizer, const LoadOptions& o) {
    c10::InferenceMode guard;
    m->device = choose_device(o.device, o.cuda, o.log);
    m->precision = o.precision.value_or(m->device.is_cpu() ? Precision::FLOAT32 : Precision::BFLOAT16);
    m->threads = thread_count(o);
    m->log = o.log;
    set_thread_count(m->threads);
    if (m->device.is_cpu()) check_weights_fit(held_bytes(transformer, vae, text, m->precision), m->precision);

    size_t total = transformer.bytes() + vae.bytes() + text.bytes(), done = 0;
    const char* part = "text encoder";
    auto loaded = [&](size_t bytes) {
        done += bytes;
        if (o.progress) o.progress(static_cast<double>(done) / total, part);
    };
    m->tokenizer = std::make_unique<text::Tokenizer>(tokenizer);
    m->byte_fallback = model::tokenizer_byte_fallback(tokenizer);
    m->text_encoder = std::make_unique<text::Umt5Encoder>(Weights(text, m->device, o.cancel, loaded),
                                                          m->text_config, m->precision);
    part = "transformer";
    m->transformer = std::make_unique<transformer::Transformer>(
        Weights(transformer, m->device, o.cancel, loaded), m->transformer_config, m->precision);
    part = "vae";
    m->vae = std::make_unique<vae::WanVae>(Weights(vae, m->device, o.cancel, loaded), m->vae_config);
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

std::shared_ptr<const LoadedModel> LoadedModel::open(const std::string& path, const LoadOptions& options) {
    auto folder = model::ModelFolder::open(path);
    auto m = std::make_shared<LoadedModel>();
    m->transformer_config = folder->transformer;
    m->vae_config = folder->vae;
    m->text_config = folder->text_encoder;
    m->defaults = folder->defaults;
    auto transformer = folder->transformer_tensors();
    const std::string calibration = model::calibration_file(path);
    if (options.calibration && std::filesystem::exists(calibration))
        m->calibration = model::read_calibration(calibration, model::fingerprint(*transformer));
    return load(m, *transformer, *folder->vae_tensors(), *folder->text_encoder_tensors(),
                folder->tokenizer_file, options);
}

std::shared_ptr<const LoadedModel> LoadedModel::open_parts(const Parts& parts, const LoadOptions& options) {
    auto m = std::make_shared<LoadedModel>();
    auto transformer = model::open_transformer(parts.transformer, m->transformer_config);
    auto vae = model::open_vae(parts.vae, m->vae_config);
    auto text = model::open_text_encoder(parts.text_encoder, m->text_config);
    return load(m, *transformer, *vae, *text, parts.tokenizer, options);
}

int64_t LoadedModel::bytes() const {
    return transformer->bytes() + vae->bytes() + text_encoder->bytes();
}

} // namespace mc::session
