// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of families with their networks; that of their folders, without Torch, is in engine/model/model_folder.cpp.
#include "engine/error.h"
#include "engine/families/magi1/model.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/model/model_folder.h"
#include "engine/networks/wan_dit/worker.h"
#include "engine/processor.h"
#include "engine/ranks/group.h"
#include "engine/request/field.h"
#include "engine/session/memory.h"

namespace mc::session {

namespace {

// `place`: as the family's claim() names it (engine/model/claim.h).
struct Listed {
    const char* name;
    std::shared_ptr<const Family> (*open)(const std::string& place, const LoadOptions& options);
    Forecast (*look)(const std::string& place, const LoadOptions& options, const Request& request);
    bool in_ranks; // several processes may make a video together
};

template <class Model>
std::shared_ptr<const Family> open(const std::string& place, const LoadOptions& options) {
    return Model::open(place, options);
}

constexpr Listed FAMILIES[] = {
    {"skyreels-v2", open<skyreels_v2::Model>, skyreels_v2::Model::look, true},
    {"magi1", open<magi1::Model>, magi1::Model::look, false},
};

const Listed& listed(const std::string& name) {
    for (const Listed& family : FAMILIES)
        if (name == family.name) return family;
    throw Error(MC_ERROR_INTERNAL,
                "Nothing makes videos with models of the family " + name + "; please report this.");
}

// Refuses options that the family does not know: they are fields, as the settings of a request are.
void check_options(const LoadOptions& options, const Listed& family) {
    Fields fields;
    if (options.weights_in_bytes) fields.model.weights_precision = StoredPrecision::INT8;
    for (size_t i = 0; i < families().size(); i++)
        if (families()[i].name == std::string(family.name)) check_fields(fields, ModelFamily(i));
}

// Before the others are met, who might not have come.
void check_alone(const LoadOptions& options, const Listed& family) {
    const auto member = options.group ? std::nullopt : ranks::membership_of_environment();
    const int processes = options.group ? options.group->size() : member ? member->size : 1;
    if (processes > 1 && !family.in_ranks)
        throw Error(MC_ERROR_SETTINGS, "This is one of " + std::to_string(processes) +
                                           " processes (WORLD_SIZE), but a video of this model, of the family " +
                                           family.name + ", is made by one: unset WORLD_SIZE.");
}

} // namespace

std::shared_ptr<const Family> open_family(const std::string& path, const LoadOptions& options) {
    const model::FoundModel found = model::find_model(path);
    const Listed& family = listed(found.family);
    check_options(options, family);
    check_alone(options, family);
    LoadOptions together = options;
    if (!together.group) together.group = ranks::group_of_process(options.cancel);
    if (const auto& group = together.group) {
        if (group->rank() != 0)
            throw Error(MC_ERROR_SETTINGS, "This is one of " + std::to_string(group->size()) +
                                               " processes (WORLD_SIZE), rank " + std::to_string(group->rank()) +
                                               ", but rank 0 has the pipeline: start motioncache-worker here.");
    }
    return family.open(found.place, together);
}

void run_worker(ranks::Group& group, const std::string& path, const LoadOptions& options) {
    if (group.rank() == 0)
        throw Error(MC_ERROR_SETTINGS, "A worker is one of several processes and never rank 0, which has the pipeline: "
                                       "set RANK to 1 or more.");
    set_thread_count(thread_count(options));
    const LibraryThreads library(1);
    wan_dit::follow_orders(
        group, {[&](const wan_dit::SharedModel& shared, Cancel cancel) {
                    LoadOptions o = options;
                    o.cancel = cancel;
                    if (options.log) options.log(4, "opens " + (path.empty() ? shared.path : path));
                    return skyreels_v2::open_shared(shared, path, o);
                },
                [&](wan_dit::Transformer& transformer, const wan_dit::SharedModel& shared,
                    const wan_dit::Spread& spread, int rank, const std::vector<wan_dit::Window::Shape>& shapes) {
                    return skyreels_v2::make_room(transformer, shared, spread, rank, shapes, options);
                },
                [&](const std::string& text) {
                    if (options.log) options.log(4, text);
                }});
}

void check_early(const std::string& path, const LoadOptions& options, const Request& request) {
    const model::FoundModel found = model::find_model(path);
    const Listed& family = listed(found.family);
    check_options(options, family);
    check_alone(options, family);
    // Whether auto takes a GPU, and why not, is found out and told once, when the model is opened.
    const bool open = options.opened || options.device != "auto" || !has_driver(options.cuda);
    const at::Device device = open ? choose_device(options, options.log) : at::kCPU;
    const Forecast forecast = family.look(found.place, options, request);
    if (!open) return;
    const MemoryForecast f = forecast(device);
    check_weights_fit(f.weights(), f.precision, device, f.saved ? std::optional(f.weights() - f.saved) : std::nullopt);
    check_memory(f.total, "The model with this request", [&](int64_t) { return f.would_fit; }, device);
}

MemoryForecast forecast_memory(const std::string& path, const LoadOptions& options, const Request& request) {
    const model::FoundModel found = model::find_model(path);
    const Listed& family = listed(found.family);
    check_options(options, family);
    const at::Device device = choose_device(options, {});
    return family.look(found.place, options, request)(device);
}

} // namespace mc::session
