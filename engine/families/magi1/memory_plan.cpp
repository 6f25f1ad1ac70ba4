// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/memory_plan.h"

#include <algorithm>
#include <cmath>

#include "engine/families/magi1/captions.h"
#include "engine/own_stream.h"

namespace mc::magi1 {

using networks::KeyStore;

constexpr int64_t COMPARED = 256 << 20; // bytes of scores while keys are chosen, at most

WeightBytes weight_bytes(const model::Tensors& transformer, const model::Tensors& vae,
                         const model::Tensors& text, Precision precision) {
    int64_t layers = 0, others = 0, numbers = 0; // outside of the layers all is float32, and what is no matrix
    for (const auto& [name, view] : transformer.all())
        (name.starts_with("videodit_blocks.layers.") && view.shape.size() > 1 ? layers : others) +=
            int64_t(view.bytes / size_of(view.dtype));
    for (const auto& [name, view] : vae.all()) numbers += int64_t(view.bytes / size_of(view.dtype));
    return {layers * (precision == Precision::FLOAT32 ? 4 : 2) + others * 4,
            session::TextEncoder::weight_bytes(text, Precision::FLOAT32), numbers * 4};
}

vit_vae::Tiles tiles_of(const model::magi1::Runtime& runtime) {
    vit_vae::Tiles tiles;
    tiles.frames = std::max(1, runtime.frame_rate / 2 / LATENT) * LATENT; // whole latent frames
    return tiles;
}

bool text_known(session::TextEncoder& encoder, const text::Tokenizer& tokenizer, int64_t text_rows,
                const VideoSettings& settings) {
    return encoder.knows(caption_ids(settings.prompt, tokenizer, text_rows));
}

MemoryPlan plan_memory(const VideoSettings& settings, const Planned& model) {
    const model::MagiDitConfig& c = model.facts.transformer;
    const SamplerSettings& s = settings.sampler;
    const magi_dit::Passes::Shape shape{CHUNK, settings.height / 8, settings.width / 8, Sampler::at_once(s)};
    const KeyStore::Shape page = magi_dit::Passes::page_shape(c, shape);
    const kernels::Store store = networks::store_for(model.precision, model.device);
    const bool cached = s.cache.kind() != CacheKind::NONE;
    const int64_t window = s.stages.window,
                  latents = c.latent_channels() * CHUNK * shape.height * shape.width * 4;

    MemoryPlan plan;
    int64_t lasting = s.stages.most_kept(cached);
    // Nothing is forgotten before the first time, whatever the ranges; then old and new are there for a moment.
    if (s.compression) {
        const int64_t kept = s.compression->kept, others = cached ? window + (s.passes_finished ? 1 : 0) : 1,
                      all = s.stages.chunks ? *s.stages.chunks - (cached ? 0 : 1) : 2 * kept + others;
        lasting = all <= kept ? all : kept + std::min(all, kept + others);
    }
    const int64_t passing = (cached ? 0 : window) + (s.copy_above ? 1 : 0) + (s.guides.empty() ? 0 : 1);
    plan.keys_values = lasting * KeyStore::bytes_of_page(page, store) +
                       passing * KeyStore::bytes_of_page(page, store, KeyStore::Lasting::FORWARD);
    if (s.compression) { // queries of every layer, and what is compared of one
        const int64_t asking = asking_tokens(s.compression->how.queries, page.tokens / CHUNK, page.tokens);
        plan.keys_values += c.layers * asking * c.width * 4 +
                            (s.compression->kept + 1) * page.tokens * 5 * c.groups * c.head() * 4 + COMPARED;
    }
    // Patch embeddings of two rows, and what was added last.
    if (cached) plan.cache = window * (2 * page.tokens * c.width * 4 + latents);
    const int64_t branches = s.guides.empty() ? 1 : 3;
    plan.activations = magi_dit::Passes::bytes(c, model.precision, model.device, shape, lasting + passing) +
                       (4 + branches) * (window + 2) * latents + workspace_bytes(model.device);
    plan.vae = model.vae.decode_bytes(CHUNK, shape.height, shape.width, tiles_of(model.facts.runtime));
    if (settings.given)
        plan.vae = std::max(
            plan.vae,
            model.vae.encode_bytes(settings.given, shape.height, shape.width, tiles_of(model.facts.runtime)) +
                int64_t(settings.given) * LATENT * 3 * settings.height * settings.width * 4);
    plan.text = model.text_bytes(c.text_rows);
    return plan;
}

std::string what_fits(const session::Request& request, const Planned& model, int64_t free) {
    const VideoSettings s = complete(request, model.facts);
    constexpr int SIDE = 16;
    const auto smaller = [&](int rows) {
        session::Request r = request;
        r.height = rows * SIDE;
        r.width = std::max(2, int(std::lround(double(s.width) * rows / s.height))) * SIDE;
        return r;
    };
    const auto fits = [&](int rows) {
        return session::fits(free, [&] { return plan_memory(complete(smaller(rows), model.facts), model); });
    };
    for (int rows = s.height / SIDE - 1; rows >= 2; rows--)
        if (fits(rows)) {
            const session::Request r = smaller(rows);
            return "width=" + std::to_string(*r.width) + " height=" + std::to_string(*r.height) +
                   " would fit.";
        }
    return "no smaller picture of this model would fit: use a smaller model.";
}

} // namespace mc::magi1
