// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/check.h"

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
