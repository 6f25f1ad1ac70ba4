// SPDX-License-Identifier: LGPL-2.1-or-later
// What precision=auto takes, and what is said of it. `precision_test float32|bfloat16`: what it is to be here; the
// environment says whether there are matrix units (kernels::matrix_units).
#include "engine/error.h"
#include "engine/networks/linear.h"
#include "engine/session/loading.h"
#include "kernels/gemm.h"
#include "tests/check.h"

using namespace mc;

static Precision expected;
static std::string expected_name;

namespace {

struct Placed {
    Precision precision;
    std::string said;
};
Placed placed(std::optional<Precision> wish) {
    session::LoadOptions o;
    Placed p;
    o.device = "cpu";
    o.threads = 1;
    o.precision = wish;
    o.log = [&](int, const std::string& text) { p.said += text + "\n"; };
    p.precision = session::choose_placement(o).precision;
    return p;
}

} // namespace

TEST(auto_takes_what_is_faster_and_says_so) {
    const Placed p = placed({});
    CHECK(p.precision == expected);
    CHECK(p.said.find("precision is " + expected_name + ", as ") != std::string::npos);
    CHECK(session::precision_on(at::kCPU, {}) == expected); // what a plan of the memory is made with
}

TEST(what_is_asked_for_is_taken) {
    for (Precision wish : {Precision::FLOAT32, Precision::BFLOAT16}) {
        const Placed p = placed(wish);
        CHECK(p.precision == wish);
        CHECK(p.said.find(", as it is faster") == std::string::npos);
    }
}

TEST(matrix_units_take_bfloat16_from_memory) {
    if (expected == Precision::FLOAT32) {
        CHECK(kernels::matrix_units() == kernels::MatrixUnits::NONE);
        return;
    }
    CHECK(kernels::matrix_units() == kernels::MatrixUnits::EMULATED);
    CHECK(networks::store_for(Precision::BFLOAT16, at::kCPU) == kernels::Store::BF16);
    CHECK(placed({}).said.find("emulation of matrix units") != std::string::npos);
}

TEST(a_misspelt_environment_variable_is_refused) {
    const std::string before = std::getenv("MOTIONCACHE_AMX");
    setenv("MOTIONCACHE_AMX", "on", 1);
    std::string said;
    try {
        placed({});
    } catch (const Error& e) {
        said = e.what();
    }
    setenv("MOTIONCACHE_AMX", before.c_str(), 1);
    CHECK(said.find("MOTIONCACHE_AMX is \"on\"") != std::string::npos);
}

int main(int, char** argv) {
    expected_name = argv[1];
    expected = expected_name == "float32" ? Precision::FLOAT32 : Precision::BFLOAT16;
    return mc::test::run_tests(1, argv);
}
