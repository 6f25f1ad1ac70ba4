// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A MAGI-1 model in memory: its transformer, the ViT VAE, the table of special tokens, and T5 while it is needed.
#include <functional>
#include <memory>
#include <string>

#include "engine/families/magi1/captions.h"
#include "engine/families/magi1/folder.h"
#include "engine/families/magi1/memory_plan.h"
#include "engine/networks/magi_dit/passes.h"
#include "engine/networks/vit_vae/vit_vae.h"

namespace mc::magi1 {

struct Model final : session::Family {
    // config: the JSON file.
    static std::shared_ptr<const Model> open(const std::string& config, const session::LoadOptions& options);
    // Throws what speaks against the request, before a weight file is opened or looked for.
    static session::Forecast look(const std::string& config, const session::LoadOptions& options,
                                  const session::Request& request);

    std::unique_ptr<session::Video> begin(session::Request request) const override;
    Planned planned() const; // of no request in particular; points into this
    Planned planned(const session::Parts& parts) const;
    session::Movable movable() const;
    int64_t bytes() const override;
    ModelFamily name() const override { return ModelFamily::MAGI1; }

    model::magi1::Folder folder;
    SpecialTokens tokens;
    std::unique_ptr<magi_dit::Network> transformer;
    std::unique_ptr<vit_vae::VitVae> vae;
    std::unique_ptr<text::Tokenizer> tokenizer;
    std::unique_ptr<session::TextEncoder> text_encoder;
    std::function<void(int level, const std::string& text)> log;
};

} // namespace mc::magi1
