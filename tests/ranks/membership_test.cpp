// SPDX-License-Identifier: LGPL-2.1-or-later
// Which of several processes this one is, by what torchrun and mpirun set.
#include "engine/ranks/membership.h"

#include <map>

#include "engine/error.h"
#include "tests/check.h"

using namespace mc;

TEST(the_environment_says_where_the_ranks_are) {
    std::map<std::string, std::string> set;
    const auto read = [&] {
        return ranks::membership_of_environment([&](const char* name) {
            const auto at = set.find(name);
            return at == set.end() ? nullptr : at->second.c_str();
        });
    };
    CHECK(!read());
    set["WORLD_SIZE"] = "1";
    CHECK(!read());
    set = {{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_ADDR", "head"}, {"MASTER_PORT", "29500"}};
    CHECK(read() && read()->rank == 1 && read()->size == 2 && read()->master == "head" && read()->port == 29500);
    CHECK(!read()->store_is_there);
    set["TORCHELASTIC_USE_AGENT_STORE"] = "True", set["TORCHELASTIC_RESTART_COUNT"] = "3";
    CHECK(read()->store_is_there && read()->prefix == "motioncache/3/");
    set = {{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
           {"MASTER_ADDR", "head"}, {"MASTER_PORT", "1"}};
    CHECK(read()->rank == 3 && read()->size == 4 && read()->local_rank == 1);
    set.erase("MASTER_PORT");
    CHECK_ERROR(read(), MC_ERROR_SETTINGS, "set MASTER_ADDR to the host of rank 0");
    set = {{"WORLD_SIZE", "2"}};
    CHECK_ERROR(read(), MC_ERROR_SETTINGS, "set RANK, 0 for the one with the pipeline");
    set["RANK"] = "2", set["MASTER_ADDR"] = "head", set["MASTER_PORT"] = "1";
    CHECK_ERROR(read(), MC_ERROR_SETTINGS, "this one is RANK=2: ranks go from 0 to 1");
    set["WORLD_SIZE"] = "two";
    CHECK_ERROR(read(), MC_ERROR_SETTINGS, "WORLD_SIZE=two, which must be a number");
}

int main(int argc, char** argv) {
    return test::run_tests(argc, argv);
}
