// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes the seeds in corpus/ anew from the golden weights and the demo model: real headers, names and
// pickles, with a few tensors of few bytes. Usage, from the source root: make-fuzz-corpus tests/fuzz/corpus
#include <nlohmann/json.hpp>

#include "engine/model/calibration.h"
#include "engine/model/weight_files.h"
#include "tests/model/memory_file.h"
#include "tests/model/npz_writer.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::test;
using nlohmann::json;

// The first `count` tensors of a file, each side at most `side`, with bytes where they are small.
static std::vector<StoredTensor> shrunk(const model::TensorMap& tensors, size_t count, int64_t side) {
    std::vector<StoredTensor> list;
    for (const auto& [name, view] : tensors) {
        if (list.size() == count) break;
        StoredTensor tensor{name, model::name_of(view.dtype), view.shape, ""};
        for (int64_t& s : tensor.shape) s = std::min(s, side);
        tensor.data = bytes_of(view).substr(0, bytes_of(tensor));
        list.push_back(tensor);
    }
    return list;
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const std::string corpus = argv[1], golden = source_path("tests/golden/data/weights/");
    auto tensors = [&](const std::string& file) { return model::open_weight_file(golden + file); };

    const std::string safetensors = corpus + "/safetensors/";
    write_safetensors(
        safetensors + "transformer",
        shrunk(tensors("diffusers/transformer/diffusion_pytorch_model.safetensors").tensors, 4, 3));
    write_safetensors(
        safetensors + "bf16",
        shrunk(tensors("original_nofps/diffusion_pytorch_model-00001-of-00002.safetensors").tensors, 3, 2));
    write_safetensors(safetensors + "vae",
                      shrunk(tensors("diffusers/vae/diffusion_pytorch_model.safetensors").tensors, 3, 2));
    write_safetensors(safetensors + "types", {{"a", "F64", {1}, "12345678"},
                                              {"b", "I64", {0, 2}, ""},
                                              {"c", "I32", {1}, "1234"},
                                              {"d", "I16", {}, "12"},
                                              {"e", "I8", {1}, "1"},
                                              {"f", "U8", {2}, "12"},
                                              {"g", "BOOL", {1}, "1"},
                                              {"h", "F16", {1, 1}, "12"}});
    write_safetensors(safetensors + "empty", {});
    const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
    write_file(safetensors + "padded_header", safetensors_bytes(header + "   ", "x"));
    write_file(safetensors + "padded_header_zeros", safetensors_bytes(header + std::string(3, '\0'), "x"));
    write_file(safetensors + "padded_end", safetensors_bytes(header, std::string("x\0\0\0", 4)));

    const std::string pth = corpus + "/torch_archive/";
    write_pth(pth + "vae", shrunk(tensors("original/Wan2.1_VAE.pth").tensors, 3, 2));
    write_pth(pth + "text_encoder",
              shrunk(tensors("original/models_t5_umt5-xxl-enc-bf16.pth").tensors, 3, 2));
    // What sizes are inferred from.
    write_pth(pth + "vae_stages",
              {{"encoder.conv1.weight", "F32", {1, 1, 1, 1, 1}, "abcd"},
               {"conv2.weight", "BOOL", {16, 1, 1, 1, 1}, "0123456789abcdef"},
               {"encoder.downsamples.0.residual.2.weight", "F32", {1, 1, 1, 1, 1}, "abcd"},
               {"encoder.downsamples.1.resample.1.weight", "U8", {1}, "a"},
               {"encoder.downsamples.1.time_conv.weight", "U8", {1}, "a"},
               {"encoder.downsamples.2.residual.2.weight", "U8", {2, 1, 1, 1, 1}, "ab"}});
    write_pth(pth + "text_sizes", {{"token_embedding.weight", "U8", {4, 2}, "abcdefgh"},
                                   {"blocks.0.pos_embedding.embedding.weight", "I8", {8, 1}, "01234567"},
                                   {"blocks.0.ffn.fc1.weight", "U8", {2, 2}, "abcd"},
                                   {"blocks.0.attn.q.weight", "U8", {2, 2}, "abcd"},
                                   {"blocks.0.norm1.weight", "F16", {1}, "ab"}});
    PickleWriter shared;
    shared.op("}q\x01")
        .text("a")
        .tensor("DoubleStorage", "0", 2, 1, {1}, {1})
        .op("s")
        .text("b")
        .tensor("LongStorage", "1", 2, 0, {2, 1}, {1, 7})
        .op("s");
    shared.op("(")
        .text("c")
        .tensor("IntStorage", "0", 4, 0, {0}, {1})
        .text("d")
        .tensor("ShortStorage", "1", 8, 2, {2, 3}, {3, 1})
        .op("u");
    shared.op("}").text("_metadata").op("r").op(std::string("\x02\0\0\0", 4)).ordered_dict().op("sb.");
    write_pth(pth + "shared", shared.bytes, {{"0", "0123456789abcdef"}, {"1", "0123456789abcdef"}});
    PickleWriter numbers;
    numbers.op("}NN\x88\x86q\x05h\x05\x85")
        .integer(70000)
        .integer(-5)
        .integer(int64_t(1) << 40)
        .op("\x87j")
        .op(std::string("\x05\0\0\0", 4))
        .op("\x85.");
    write_pth(pth + "opcodes", numbers.bytes, {});
    // As PyTorch writes them: later protocols, parameters, strides, checkpoints, TorchScript.
    for (const char* name : {"protocol2", "protocol5", "parameters_with_state", "tensor_with_state",
                             "checkpoint2", "checkpoint5", "whole_module", "script", "before_1_6"})
        write_file(pth + "torch_" + name,
                   read_file(source_path(std::string("tests/model/torch_files/") + name + ".pth")));
    // What they seldom use.
    PickleWriter seldom;
    seldom.bytes = "\x80\x05\x95\2" + std::string(7, '\0') + "}\x94";
    seldom.op("\x8c\1x").op("\x8e\1" + std::string(7, '\0') + "a").op("s").op("\x8c\1y");
    seldom.op("\x96\1" + std::string(7, '\0') + "a").op("s").op("\x8d\1" + std::string(7, '\0') + "z");
    seldom.op("(N\x91s")
        .op("U\1u")
        .op("\x8f(NN\x90s")
        .op(std::string("T\1\0\0\0t", 6))
        .op("B")
        .op(std::string("\1\0\0\0b", 5))
        .op("s");
    seldom.op("\x8c\1w").tensor("FloatStorage", "0", 4, 0, {2, 2}, {1, 2}).op("(N1(0N0s.");
    write_pth(pth + "seldom", seldom.bytes, {{"0", "0123456789abcdef"}});
    write_file(pth + "zip64", with_zip64_end(read_file(pth + "vae")));

    const std::string npz = corpus + "/npz/";
    write_file(npz + "tokens",
               npz_bytes({{"caption_token.npy", npy_bytes(npy_header("<f8", "(1, 2)"), std::string(16, 'x'))},
                          {"logo_token.npy", npy_bytes(npy_header("<f4", "(1, 2)"), "01234567")},
                          {"other_tokens.npy", npy_bytes(npy_header("<f2", "(2, 2)", true), "01234567")}}));
    write_file(npz + "versions", npz_bytes({{"a.npy", npy_bytes(npy_header("|u1", "()"), "x", 2)},
                                            {"b.npy", npy_bytes(npy_header("<i8", "(0, 3)"), "", 3)}}));
    write_file(
        npz + "records",
        npz_bytes({{"a.npy", npy_bytes("{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (1,), }",
                                       "01234567")}}));
    write_file(npz + "zip64",
               with_zip64_end(npz_bytes({{"a.npy", npy_bytes(npy_header(">f8", "(1,)"), "01234567")}})));

    const std::string config = corpus + "/config/";
    auto seed = [&](const std::string& name, const std::string& kind, const std::string& file) {
        write_file(config + name, kind + json::parse(read_file(file)).dump());
    };
    seed("transformer_original", "t", golden + "original/config.json");
    seed("transformer_original_nofps", "n", golden + "original_nofps/config.json");
    seed("transformer_diffusers", "t", golden + "diffusers/transformer/config.json");
    seed("transformer_diffusers_nofps", "n", golden + "diffusers_nofps/transformer/config.json");
    auto edited = [&](const std::string& name, const std::string& file, const std::string& key,
                      const json& value) {
        json text = json::parse(read_file(golden + file));
        text[key] = value;
        write_file(config + name, "t" + text.dump());
    };
    edited("transformer_original_i2v", "original/config.json", "in_dim", 36);
    edited("transformer_diffusers_i2v", "diffusers/transformer/config.json", "image_dim", 1280);
    seed("vae", "v", golden + "diffusers/vae/config.json");
    seed("text_encoder", "e", golden + "diffusers/text_encoder/config.json");
    seed("text_encoder_t5", "5", source_path("tests/golden/data/magi1/t5/weights/t5-v1_1-xxl/config.json"));
    seed("generation", "g", source_path("models/demo/generation_config.json"));
    write_file(
        config + "generation_other",
        R"(G{"negative_prompt":"\u8272 x","long_video":"latent","attention":"full","addnoise_condition":20})");
    write_file(
        config + "index",
        R"(i{"metadata":{"total_size":8},"weight_map":{"a.weight":"m-00001-of-00002.safetensors","a.bias":"m-00002-of-00002.safetensors"}})");
    model::Calibration calibration;
    calibration.fingerprint = 0x0123456789abcdef;
    calibration.least = 0.01, calibration.most = 0.5;
    for (model::CalibratedPreset* preset : {&calibration.quality, &calibration.balanced, &calibration.fast}) {
        preset->speedup = 2, preset->psnr = 30, preset->ssim = 0.9;
    }
    calibration.fast.settings.vote.reset();
    calibration.fast.settings.reuse = CacheReuse::TAYLOR;
    calibration.fast.settings.weights = CacheWeights::MEAN;
    calibration.fast.settings.distance = CacheDistance::TOKEN;
    write_file(config + "calibration", "c" + json::parse(model::calibration_text(calibration)).dump());
}
