// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A SkyReels-V2 model in memory: Wan's transformer and VAE, UMT5, and what is known of its caches.
#include <memory>
#include <optional>
#include <string>

#include "engine/families/skyreels_v2/folder.h"
#include "engine/families/skyreels_v2/memory_plan.h"
#include "engine/model/calibration.h"
#include "engine/networks/wan_dit/orders.h"
#include "engine/networks/wan_dit/transformer.h"
#include "engine/networks/wan_vae/wan_vae.h"
#include "engine/text/tokenizer.h"

namespace mc::skyreels_v2 {

// Where each part lies when they do not share a folder (the golden weights).
struct ModelParts {
    std::string transformer, vae, text_encoder, tokenizer; // folder or file each; tokenizer: spiece.model
};

struct Model final : session::Family {
    static std::shared_ptr<const Model> open(const std::string& path, const session::LoadOptions& options);
    static std::shared_ptr<const Model> open(const model::skyreels_v2::Folder& folder,
                                             const session::LoadOptions& options);
    static std::shared_ptr<const Model> open_parts(const ModelParts& parts,
                                                   const session::LoadOptions& options);

    // Throws what speaks against the request, before a weight file is opened.
    static session::Forecast look(const std::string& path, const session::LoadOptions& options,
                                  const session::Request& request);

    std::unique_ptr<session::Video> begin(session::Request request) const override;
    Planned planned() const; // of no request in particular; points into this
    Planned planned(const session::Parts& parts) const;
    session::Movable movable() const;
    int64_t bytes() const override;
    ModelFamily name() const override { return ModelFamily::SKYREELS_V2; }

    model::TransformerConfig transformer_config;
    model::VaeConfig vae_config;
    model::TextEncoderConfig text_config;
    model::GenerationDefaults defaults;
    std::optional<model::Calibration> calibration; // of the caches: motioncache.json in the folder
    std::unique_ptr<text::Tokenizer> tokenizer;
    bool byte_fallback = true; // of the tokenizer: model/tokenizer_json.h
    std::unique_ptr<session::TextEncoder> text_encoder;
    std::unique_ptr<wan_dit::Transformer> transformer;
    std::unique_ptr<wan_vae::WanVae> vae;
    wan_dit::Ranks ranks; // that windows are spread over
    bool weights_in_bytes = false;
    std::function<void(int level, const std::string& text)> log;
};

// The transformer alone, as a worker has it. path: where it lies here; empty: where rank 0 has it. Throws MC_ERROR_READ
// for other weights.
std::unique_ptr<wan_dit::Transformer> open_shared(const wan_dit::SharedModel& shared, const std::string& path,
                                                  const session::LoadOptions& options);

// Makes room for a worker's part of windows: layers go to the host where its device is short.
wan_dit::Room make_room(wan_dit::Transformer& transformer, const wan_dit::SharedModel& shared,
                        const wan_dit::Spread& spread, int rank,
                        const std::vector<wan_dit::Window::Shape>& shapes, const session::LoadOptions& options);

} // namespace mc::skyreels_v2
