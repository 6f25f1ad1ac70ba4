#pragma once
// The networks of a model in memory, ready to be shared by sessions.
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/cancel.h"
#include "engine/model/calibration.h"
#include "engine/model/model_folder.h"
#include "engine/session/device.h"
#include "engine/text/tokenizer.h"
#include "engine/text/umt5_encoder.h"
#include "engine/transformer/transformer.h"
#include "engine/vae/wan_vae.h"

namespace mc::session {

struct LoadOptions {
    std::string device = "auto";        // "auto", "cpu", "cuda:N"
    std::optional<Precision> precision; // unset: float32 on the CPU, bfloat16 on CUDA
    int threads = 0;                    // 0: as many as processors
    CudaFiles cuda;
    bool calibration = true; // reads motioncache.json where there is one; not when it is to be made anew
    Cancel cancel;
    std::function<void(double fraction, const char* part)> progress;
    std::function<void(int level, const std::string& text)> log;
};

// Where each part lies when they do not share a folder (the golden weights).
struct Parts {
    std::string transformer, vae, text_encoder, tokenizer; // folder or file each; tokenizer: spiece.model
};

int thread_count(const LoadOptions& options);

struct LoadedModel {
    static std::shared_ptr<const LoadedModel> open(const std::string& path, const LoadOptions& options);
    static std::shared_ptr<const LoadedModel> open_parts(const Parts& parts, const LoadOptions& options);

    model::TransformerConfig transformer_config;
    model::VaeConfig vae_config;
    model::TextEncoderConfig text_config;
    model::GenerationDefaults defaults;
    std::optional<model::Calibration> calibration; // of the caches: motioncache.json in the folder
    Precision precision = Precision::FLOAT32;
    at::Device device = at::kCPU;
    int threads = 0;
    std::unique_ptr<text::Tokenizer> tokenizer;
    bool byte_fallback = true; // of the tokenizer: model/tokenizer_json.h
    std::unique_ptr<text::Umt5Encoder> text_encoder;
    std::unique_ptr<transformer::Transformer> transformer;
    std::unique_ptr<vae::WanVae> vae;
    std::function<void(int level, const std::string& text)> log;
    int64_t bytes() const; // of all weights held
};

// The same before they are read.
int64_t held_bytes(const model::Tensors& transformer, const model::Tensors& vae, const model::Tensors& text,
                   Precision precision);
void check_weights_fit(int64_t bytes, Precision precision); // throws MC_ERROR_MEMORY

} // namespace mc::session
