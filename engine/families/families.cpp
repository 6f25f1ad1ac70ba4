// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of families with their networks; that of their folders, without Torch, is in engine/model/model_folder.cpp.
#include "engine/error.h"
#include "engine/families/magi1/early_check.h"
#include "engine/families/magi1/model.h"
#include "engine/families/skyreels_v2/early_check.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/model/model_folder.h"
#include "engine/request/field.h"

namespace mc::session {

namespace {

// `place`: as the family's recogniser names it.
struct Listed {
    const char* name;
    std::shared_ptr<const Family> (*open)(const std::string& place, const LoadOptions& options);
    void (*check_early)(const std::string& place, const LoadOptions& options, const Request& request);
    MemoryForecast (*forecast_memory)(const std::string& place, const LoadOptions& options,
                                      const Request& request);
};

template <class Model>
std::shared_ptr<const Family> open(const std::string& place, const LoadOptions& options) {
    return Model::open(place, options);
}

constexpr Listed FAMILIES[] = {
    {"skyreels-v2", open<skyreels_v2::Model>, skyreels_v2::check_early, skyreels_v2::forecast_memory},
    {"magi1", open<magi1::Model>, magi1::check_early, magi1::forecast_memory},
};

const Listed& listed(const std::string& name) {
    for (const Listed& family : FAMILIES)
        if (name == family.name) return family;
    throw Error(MC_ERROR_INTERNAL,
                "Nothing makes videos with models of the family " + name + "; please report this.");
}

// What a family does not know of the options, which are fields as those of a request are.
void check_options(const LoadOptions& options, const Listed& family) {
    Fields fields;
    if (options.weights_in_bytes) fields.model.weights_precision = StoredPrecision::INT8;
    for (size_t i = 0; i < families().size(); i++)
        if (families()[i].name == std::string(family.name)) check_fields(fields, static_cast<ModelFamily>(i));
}

} // namespace

std::shared_ptr<const Family> open_family(const std::string& path, const LoadOptions& options) {
    const model::FoundModel found = model::find_model(path);
    const Listed& family = listed(found.family);
    check_options(options, family);
    return family.open(found.place, options);
}

void check_early(const std::string& path, const LoadOptions& options, const Request& request) {
    const model::FoundModel found = model::find_model(path);
    const Listed& family = listed(found.family);
    check_options(options, family);
    family.check_early(found.place, options, request);
}

MemoryForecast forecast_memory(const std::string& path, const LoadOptions& options, const Request& request) {
    const model::FoundModel found = model::find_model(path);
    const Listed& family = listed(found.family);
    check_options(options, family);
    return family.forecast_memory(found.place, options, request);
}

} // namespace mc::session
