// SPDX-License-Identifier: LGPL-2.1-or-later
// A device's row kernels with one thread a row, as the fake device runs them. With the threads of a GPU:
// cuda_on_cpu_test.cpp.
#include "tests/kernels/rows.h"
#include "kernels/rows/one_by_one.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

static const rows::Launchers one_by_one{true,         rows::residual_norm, rows::project, rows::reuse,
                                        rows::change, rows::quantize,      rows::restore};

TEST(residual_norm) {
    fuzz_residual_norm(one_by_one, rows::MOST_WIDTH);
}
TEST(project) {
    fuzz_project(one_by_one, rows::MOST_WIDTH);
}
TEST(reuse) {
    fuzz_reuse(one_by_one, rows::MOST_WIDTH);
}
TEST(change) {
    fuzz_change(one_by_one, rows::MOST_WIDTH);
}

TEST(codes) {
    fuzz_codes(one_by_one, rows::MOST_WIDTH);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
