// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Which of several processes this one is, as torchrun, mpirun or a shell loop say it in the environment. No Torch.
#include <functional>
#include <optional>
#include <string>

namespace mc::ranks {

struct Membership {
    int rank = 0, size = 1; // 0 owns the pipeline
    std::string master;     // host of rank 0, where all meet
    int port = 0;
    bool store_is_there = false; // torchrun's agent listens at the port; else rank 0 does
    std::string prefix; // of the names in the store: a restart by torchrun meets nothing of the run before
    int local_rank = 0, local_size = 1; // among those of this host
};

// RANK and WORLD_SIZE, or what Open MPI and MPICH say instead; MASTER_ADDR and MASTER_PORT. Empty: one process, for
// WORLD_SIZE is not set or 1. Throws MC_ERROR_SETTINGS for what makes no sense, with the variable.
// variable: std::getenv; "" counts as not set.
std::optional<Membership>
membership_of_environment(const std::function<const char*(const char* name)>& variable = {});

} // namespace mc::ranks
