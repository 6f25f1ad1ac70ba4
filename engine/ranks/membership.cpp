// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/ranks/membership.h"

#include <charconv>
#include <cstdlib>
#include <initializer_list>

#include "engine/error.h"

namespace mc::ranks {

namespace {

struct Named {
    const char* name;
    std::string text;
};

class Environment {
  public:
    explicit Environment(const std::function<const char*(const char*)>& variable) : variable_(variable) {}
    // The first of these that is set.
    std::optional<Named> first(std::initializer_list<const char*> names) const {
        for (const char* name : names) {
            const char* text = variable_ ? variable_(name) : std::getenv(name);
            if (text && *text) return Named{name, text};
        }
        return std::nullopt;
    }
    std::optional<int> number(std::initializer_list<const char*> names, int most) const {
        const auto set = first(names);
        if (!set) return std::nullopt;
        int value = 0;
        const char* end = set->text.data() + set->text.size();
        const auto [stop, error] = std::from_chars(set->text.data(), end, value);
        if (error != std::errc() || stop != end || value < 0 || value > most)
            throw Error(MC_ERROR_SETTINGS, std::string("The environment has ") + set->name + "=" + set->text +
                                               ", which must be a number from 0 to " + std::to_string(most) +
                                               ".");
        return value;
    }

  private:
    const std::function<const char*(const char*)>& variable_;
};

} // namespace

std::optional<Membership> membership_of_environment(const std::function<const char*(const char*)>& variable) {
    const Environment env(variable);
    constexpr int MOST = 1 << 20;
    Membership p;
    p.size = env.number({"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, MOST).value_or(1);
    if (p.size <= 1) return std::nullopt;
    const std::string several =
        "The environment asks for " + std::to_string(p.size) + " processes (WORLD_SIZE)";
    const auto rank = env.number({"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"}, MOST);
    if (!rank)
        throw Error(MC_ERROR_SETTINGS,
                    several + " but does not say which one this is: set RANK, 0 for the one with "
                              "the pipeline, or unset WORLD_SIZE.");
    p.rank = *rank;
    if (p.rank >= p.size)
        throw Error(MC_ERROR_SETTINGS, several + " and this one is RANK=" + std::to_string(p.rank) +
                                           ": ranks go from 0 to " + std::to_string(p.size - 1) + ".");
    const auto master = env.first({"MASTER_ADDR"});
    const auto port = env.number({"MASTER_PORT"}, 65535);
    if (!master || !port || *port == 0)
        throw Error(MC_ERROR_SETTINGS, several +
                                           " but not where they meet: set MASTER_ADDR to the host of rank 0, "
                                           "127.0.0.1 where all are on one, and MASTER_PORT to a free port.");
    p.master = master->text;
    p.port = *port;
    p.local_rank =
        env.number({"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"}, MOST).value_or(0);
    p.local_size =
        env.number({"LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}, MOST).value_or(1);
    const auto agent = env.first({"TORCHELASTIC_USE_AGENT_STORE"});
    p.store_is_there = agent && agent->text == "True";
    const auto attempt = env.first({"TORCHELASTIC_RESTART_COUNT"});
    p.prefix = "motioncache/" + (attempt ? attempt->text : "0") + "/";
    return p;
}

} // namespace mc::ranks
