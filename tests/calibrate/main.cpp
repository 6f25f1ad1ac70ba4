#include "tests/check.h"

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
