// SPDX-License-Identifier: LGPL-2.1-or-later
// The file of a calibration: opened, compared with the weights, written.
#include "engine/model/calibration.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "engine/model/fingerprint.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace fs = std::filesystem;

namespace {

std::string calibrate(const std::string& file) {
    const std::string folder = fs::path(file).parent_path().string();
    return "run motioncache-calibrate " + (folder.empty() ? "." : folder);
}

} // namespace

std::string calibration_file(const std::string& model_folder) {
    return model_folder + "/motioncache.json";
}

Calibration read_calibration(const std::string& file, uint64_t fingerprint) {
    std::error_code error;
    if (!fs::exists(file, error))
        throw not_found(file, "the model has no calibration of its own", calibrate(file));
    if (fs::is_regular_file(file, error) && fs::file_size(file, error) == 0 && !error)
        throw read_error(file, "is empty", calibrate(file));
    const Calibration calibration = parse_calibration(JsonObject::read(file, calibrate(file)));
    if (calibration.fingerprint != fingerprint)
        throw read_error(file,
                         "belongs to other weights (" + fingerprint_text(calibration.fingerprint) +
                             "; these are " + fingerprint_text(fingerprint) + ")",
                         calibrate(file) + ", or fetch the weights again if they should be unchanged");
    return calibration;
}

void write_calibration(const std::string& file, const Calibration& calibration) {
    const std::string text = calibration_text(calibration), draft = file + ".new";
    std::FILE* stream = std::fopen(draft.c_str(), "wb");
    bool written = stream && std::fwrite(text.data(), 1, text.size(), stream) == text.size();
    if (stream) written = std::fclose(stream) == 0 && written;
    written = written && std::rename(draft.c_str(), file.c_str()) == 0;
    if (written) return;
    const int reason = errno;
    if (stream) std::remove(draft.c_str());
    throw Error(MC_ERROR_SETTINGS, file + ": cannot be written (" + std::strerror(reason) +
                                       "); make its folder writable or free space on the disk.");
}

} // namespace mc::model
