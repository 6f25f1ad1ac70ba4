// SPDX-License-Identifier: LGPL-2.1-or-later
// The golden cases unit_vae_*, with both file layouts and each arithmetic in float32.
#include "tests/check.h"

#include "tests/networks/wan_vae/vaes.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <set>

#include "tests/golden/case_file.h"

using namespace mc::wan_vae;
using namespace mc::wan_vae::test;
using mc::golden::CaseFile;

namespace {

at::Tensor tensor(const mc::golden::TensorFile& file, const std::string& name) {
    const mc::model::TensorView& view = file.tensors.at(name);
    at::Tensor t = at::empty(view.shape, at::kFloat);
    view.read(t.mutable_data_ptr());
    return t;
}

void check_close(const at::Tensor& value, const at::Tensor& expected) {
    CHECK(value.scalar_type() == at::kFloat && value.sizes() == expected.sizes());
    CHECK(at::allclose(value, expected, 1e-4, 1e-4));
}

void each_way(const char* name, const std::function<void(const CaseFile&, const WanVae&)>& body) {
    const CaseFile file = CaseFile::open(golden_folder(), name);
    for (const char* layout : {"original", "diffusers"}) {
        const Opened opened(golden_folder() + "/" +
                            file.json.at("weights").at("vae").at(layout).get<std::string>());
        for (Arithmetic arithmetic : {Arithmetic::AUTO, Arithmetic::PLAIN, Arithmetic::DEVICE})
            body(file, *opened.vae(arithmetic));
    }
}

} // namespace

TEST(golden_decode) {
    each_way("unit_vae_decode", [](const CaseFile& file, const WanVae& vae) {
        std::set<std::string> seen;
        const auto trace = [&](const std::string& name, const at::Tensor& value) {
            if (!file.expected.has(name)) return;
            seen.insert(name);
            check_close(value, tensor(file.expected, name));
        };
        const at::Tensor latents = tensor(file.inputs, "latents")[0];
        check_close(vae.decoder()->decode(latents, {}, trace), tensor(file.expected, "video")[0]);
        CHECK_EQ(seen.size() + 1, file.expected.tensors.size());
    });
}

TEST(golden_stream) {
    each_way("unit_vae_stream", [](const CaseFile& file, const WanVae& vae) {
        const at::Tensor latents = tensor(file.inputs, "latents")[0];
        const auto stream = vae.decoder();
        for (int64_t k = 0; k < latents.size(1); k++) {
            check_close(stream->decode(latents.narrow(1, k, 1)),
                        tensor(file.expected, "frames." + std::to_string(k)));
            const auto& expected = file.json.at("slots").at(k);
            const std::vector<at::Tensor> slots = stream->slots();
            CHECK_EQ(slots.size(), expected.size());
            for (size_t i = 0; i < std::min(slots.size(), expected.size()); i++) {
                CHECK_EQ(slots[i].defined(), expected[i].is_object());
                if (!slots[i].defined() || !expected[i].is_object()) continue;
                CHECK(slots[i].sizes().vec() == expected[i].at("shape").get<std::vector<int64_t>>());
                CHECK_NEAR(slots[i].mean().item<double>(), expected[i].at("mean").get<double>(), 1e-4);
                CHECK_NEAR(slots[i].abs().mean().item<double>(), expected[i].at("mean_abs").get<double>(),
                           1e-4);
            }
        }
    });
}

TEST(golden_encode) {
    each_way("unit_vae_encode", [](const CaseFile& file, const WanVae& vae) {
        const at::Tensor video = tensor(file.inputs, "video")[0];
        check_close(vae.encode(video), tensor(file.expected, "latents")[0]);
        check_close(vae.encode(video.narrow(1, 0, 1)), tensor(file.expected, "latents_first_frame")[0]);
    });
}

TEST(golden_encode_tail) {
    each_way("unit_vae_encode_tail", [](const CaseFile& file, const WanVae& vae) {
        check_close(vae.encode(tensor(file.inputs, "video")[0]), tensor(file.expected, "latents")[0]);
    });
}
