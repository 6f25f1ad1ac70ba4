// SPDX-License-Identifier: LGPL-2.1-or-later
// Argument: the source tree's root; then names of tests to run.
#include "tests/check.h"

#include "tests/networks/wan_vae/vaes.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

std::string mc::wan_vae::test::source_root;

at::Tensor mc::wan_vae::test::noise(std::vector<int64_t> shape) {
    return at::randn(shape, at::make_generator<at::CPUGeneratorImpl>(3));
}

int main(int argc, char** argv) {
    if (argc < 2) return std::fprintf(stderr, "usage: vae_test SOURCE_ROOT [TEST...]\n"), 2;
    mc::wan_vae::test::source_root = argv[1];
    c10::InferenceMode inference;
    return mc::test::run_tests(argc - 1, argv + 1);
}
