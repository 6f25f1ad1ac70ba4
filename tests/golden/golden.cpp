// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs golden cases and says how far the engine is from what they expect; tests/golden.sh builds and starts it.
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <cstdio>
#include <filesystem>
#include <fnmatch.h>
#include <fstream>
#include <iostream>

#include "engine/cuda/load_cuda.h"
#include "tests/golden/distance.h"
#include "tests/golden/runner.h"

namespace mc::golden {
namespace {

constexpr const char* help = R"(usage: tests/golden.sh [OPTION...] FOLDER...
Runs every case of each FOLDER (FOLDER/cases/NAME, FOLDER/GROUP/cases/NAME and what FOLDER/INDEX.json lists) with every
file layout that it names and prints the worst difference divided by its tolerance. Ends with 1 when a case fails, 2
when there is nothing to run. Tables that INDEX.json lists as "other" are judged and counted beside the cases.
  --precision P   float32 (default) or bfloat16: then the distance from float32 is printed instead of a verdict
  --layout L      only this one (original, diffusers)
  --case PATTERN  only cases whose name matches (shell style)
  --device D      cpu (default) or cuda:N
  --complete      a case that is not implemented counts as failed
  --verbose       every tensor
  --checksums     a checksum of every tensor that the engine gave, instead of figures: to compare two builds bit by bit
)";

struct Options {
    std::vector<std::string> folders;
    Precision precision = Precision::FLOAT32;
    std::string layout, pattern = "*", device = "cpu";
    bool complete = false, verbose = false, checksums = false;
};

struct Counts {
    int passed = 0, failed = 0, absent = 0;
    bool any() const { return passed || failed || absent; }
};

Options parse(const std::vector<std::string>& arguments) {
    Options options;
    for (size_t i = 0; i < arguments.size(); i++) {
        const std::string& name = arguments[i];
        const auto value = [&]() -> const std::string& {
            if (i + 1 == arguments.size())
                throw Error(MC_ERROR_SETTINGS, name + " needs a value; see --help.");
            return arguments[++i];
        };
        if (name == "--precision") {
            const std::string& wanted = value();
            if (wanted != "float32" && wanted != "bfloat16")
                throw Error(MC_ERROR_SETTINGS,
                            "Precision \"" + wanted + "\" is unknown; take float32 or bfloat16.");
            options.precision = wanted == "bfloat16" ? Precision::BFLOAT16 : Precision::FLOAT32;
        } else if (name == "--layout") {
            options.layout = value();
        } else if (name == "--case") {
            options.pattern = value();
        } else if (name == "--device") {
            options.device = value();
        } else if (name == "--complete") {
            options.complete = true;
        } else if (name == "--verbose") {
            options.verbose = true;
        } else if (name == "--checksums") {
            options.checksums = true;
        } else if (name.starts_with("-")) {
            throw Error(MC_ERROR_SETTINGS, "Option " + name + " is unknown; see --help.");
        } else {
            options.folders.push_back(name);
        }
    }
    if (options.folders.empty())
        throw Error(MC_ERROR_SETTINGS, "No folder of golden cases given; see --help.");
    return options;
}

struct CaseSource {
    std::string folder, name;
    std::string group = "";      // a word before the name where the names of several groups are alike
    std::string table_path = ""; // of a JSON file that is a case by itself
    std::string label() const { return group.empty() ? name : group + "/" + name; }
};

void add_cases(const std::string& folder, const std::string& pattern, std::vector<CaseSource>& sources) {
    std::vector<std::string> names;
    if (std::filesystem::is_directory(folder + "/cases"))
        for (const auto& entry : std::filesystem::directory_iterator(folder + "/cases"))
            if (std::filesystem::exists(entry.path() / "case.json")) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names)
        if (fnmatch(pattern.c_str(), name.c_str(), 0) == 0) sources.push_back({folder, name});
}

// What INDEX.json lists besides: cases that are not there, which then fail, and tables. A copy of a part of a golden
// folder may list no cases.
void add_listed(const std::string& folder, const std::string& pattern, std::vector<CaseSource>& sources) {
    std::ifstream stream(folder + "/INDEX.json");
    if (!stream) return;
    const Json index = Json::parse(stream);
    const auto wanted = [&](const std::string& name) {
        return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    };
    for (const Json& entry : index.at("cases")) {
        const std::string name = entry.at("name"), group = entry.at("group");
        if (wanted(name) && std::none_of(sources.begin(), sources.end(), [&](const CaseSource& source) {
                return source.folder == folder + "/" + group && source.name == name;
            }))
            sources.push_back({folder + "/" + group, name, group});
    }
    for (const auto& [kind, path] : index.at("other").items())
        if (wanted(kind) && path.get<std::string>().ends_with(".json"))
            sources.push_back({folder, kind, "", path});
}

std::vector<CaseSource> find_cases(const Options& options) {
    std::vector<CaseSource> sources;
    for (const std::string& folder : options.folders) {
        if (!std::filesystem::is_directory(folder))
            throw Error(MC_ERROR_NOT_FOUND,
                        "There is no folder " + folder + "; give one that holds golden cases.");
        add_cases(folder, options.pattern, sources);
        std::vector<std::string> groups;
        for (const auto& entry : std::filesystem::directory_iterator(folder))
            if (entry.is_directory()) groups.push_back(entry.path());
        std::sort(groups.begin(), groups.end());
        for (const std::string& group : groups) {
            const size_t before = sources.size();
            add_cases(group, options.pattern, sources);
            for (size_t i = before; i < sources.size(); i++)
                sources[i].group = std::filesystem::path(group).filename();
        }
        add_listed(folder, options.pattern, sources);
    }
    return sources;
}

void print_line(const std::string& name, const std::string& layout, const std::string& figure,
                const std::string& tensor, const std::string& verdict) {
    std::printf("%-51s %-10s %9s  %-24s %s\n", name.c_str(), layout.c_str(), figure.c_str(), tensor.c_str(),
                verdict.c_str());
    std::fflush(stdout);
}

std::string figure_of(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
}

// Failures before passes, larger ratios before smaller ones.
bool worse(const Finding& a, const Finding& b) {
    return std::make_pair(!a.failure.empty(), a.ratio) < std::make_pair(!b.failure.empty(), b.ratio);
}

// FNV-1a over the bytes.
std::string checksum_of(const at::Tensor& tensor) {
    if (!tensor.defined()) return "undefined";
    const at::Tensor t = tensor.to(at::kCPU).contiguous();
    const auto* bytes = static_cast<const uint8_t*>(t.const_data_ptr());
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < t.nbytes(); i++) sum = (sum ^ bytes[i]) * 0x100000001b3;
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(sum));
    return text;
}

void judge(const Runner& runner, const Run& run, const std::string& label, const Options& options,
           Counts& counts) {
    const Produced produced = runner.run(run);
    const std::vector<Finding> findings = compare(run.file, produced);
    if (options.checksums) {
        for (const auto& [name, tensor] : produced.tensors)
            std::printf("%s %s %s %s\n", label.c_str(), run.layout.c_str(), name.c_str(),
                        checksum_of(tensor).c_str());
        const bool failed = std::any_of(findings.begin(), findings.end(), [](auto& f) { return f.failed(); });
        (failed ? counts.failed : counts.passed)++;
        return;
    }
    const Finding& worst = *std::max_element(findings.begin(), findings.end(), worse);
    const bool failed = worst.failed();
    print_line(label, run.layout, worst.failure.empty() ? figure_of(worst.ratio) : "-", worst.name,
               failed ? "FAIL" + (worst.failure.empty() ? "" : ": " + worst.failure) : "pass");
    if (options.verbose)
        for (const Finding& finding : findings)
            print_line("", "", figure_of(finding.ratio), finding.name, finding.failure);
    (failed ? counts.failed : counts.passed)++;
}

// Figures, no verdict: how far the case in bfloat16 is from the same case in float32.
void measure(const Runner& runner, Run run, const Options& options, Counts& counts) {
    run.precision = Precision::FLOAT32;
    const Produced exact = runner.run(run);
    run.precision = Precision::BFLOAT16;
    const std::vector<Distance> distances = measure_distance(run.file, runner.run(run), exact);
    for (const Distance& d : distances) {
        if (!options.verbose && &d != &distances.front()) continue;
        print_line(run.file.name, run.layout, figure_of(d.relative), d.name,
                   "largest " + figure_of(d.largest));
    }
    counts.passed++;
}

std::string failure_of(const std::exception& error) {
    const auto* torch = dynamic_cast<const c10::Error*>(&error);
    return std::string("FAIL: ") + (torch ? torch->what_without_backtrace() : error.what());
}

void run_case(const CaseSource& source, const Options& options, at::Device device, Counts& counts) {
    std::string layout = "-";
    try {
        const CaseFile file = source.table_path.empty()
                                  ? CaseFile::open(source.folder, source.name)
                                  : CaseFile::open_table(source.folder, source.table_path, source.name);
        const Runner runner = runner_of(file);
        if (options.precision == Precision::BFLOAT16 && !runner.has_precision) return;
        for (const std::string& each : layouts_of(file)) {
            if (!options.layout.empty() && each != "-" && each != options.layout) continue;
            layout = each;
            const Run run{file, layout, options.precision, device};
            try {
                options.precision == Precision::FLOAT32 ? judge(runner, run, source.label(), options, counts)
                                                        : measure(runner, run, options, counts);
            } catch (const std::exception& error) {
                print_line(source.label(), layout, "-", "-", failure_of(error));
                counts.failed++;
            }
        }
    } catch (const NotImplemented& absent) {
        print_line(source.label(), "-", "-", "-", "not implemented: " + absent.reason);
        counts.absent++;
    } catch (const std::exception& error) {
        print_line(source.label(), layout, "-", "-", failure_of(error));
        counts.failed++;
    }
}

int main(const std::vector<std::string>& arguments) {
    if (std::count(arguments.begin(), arguments.end(), "--help")) {
        std::cout << help;
        return 0;
    }
    Options options;
    std::vector<CaseSource> sources;
    std::optional<at::Device> device;
    try {
        options = parse(arguments);
        device = device_by_name(options.device); // before any other work
        sources = find_cases(options);
        if (sources.empty())
            throw Error(MC_ERROR_NOT_FOUND, "No case found; give a folder that holds cases/NAME/case.json.");
    } catch (const Error& error) {
        std::fprintf(stderr, "golden: %s\n", error.what());
        return 2;
    } catch (const c10::Error& error) { // a name that is no device
        std::fprintf(stderr, "golden: %s\n", error.what_without_backtrace());
        return 2;
    }
    const c10::InferenceMode inference;
    Counts counts, tables;
    if (options.precision == Precision::FLOAT32)
        print_line("case", "layout", "worst/tol", "tensor", "result");
    else
        print_line("case", "layout", "rel. L2", "tensor", "bfloat16 against float32");
    for (const CaseSource& source : sources)
        run_case(source, options, *device, source.table_path.empty() ? counts : tables);
    if (options.precision == Precision::FLOAT32)
        std::printf("golden: %d passed, %d failed, %d not implemented\n", counts.passed, counts.failed,
                    counts.absent);
    else
        std::printf("golden: %d measured, %d failed\n", counts.passed, counts.failed);
    if (tables.any())
        std::printf("tables: %d passed, %d failed, %d not implemented\n", tables.passed, tables.failed,
                    tables.absent);
    counts.passed += tables.passed, counts.failed += tables.failed, counts.absent += tables.absent;
    return counts.failed || (options.complete && counts.absent) || (!counts.passed && !counts.absent);
}

} // namespace
} // namespace mc::golden

int main(int argc, char** argv) {
    return mc::golden::main({argv + 1, argv + argc});
}
