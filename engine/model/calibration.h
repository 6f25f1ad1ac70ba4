// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// motioncache.json beside a model: what motioncache-calibrate measured of MotionCache on exactly these
// weights. No Torch.
#include <cstdint>
#include <string>

#include "engine/cache/motioncache.h"
#include "engine/model/json_object.h"

namespace mc::model {

// Settings of MotionCache and what they gave against the same run without a cache.
struct CalibratedPreset {
    cache::MotionCacheSettings settings;
    double speedup = 0;        // of the denoising: time without / time with
    double psnr = 0;            // of the decoded frames: the least mean at the requests that were measured
    double ssim = 0;            // of the decoded frames, as calibrated
    double psnr_calibrated = 0; // mean at the request of the calibration alone; 0: not known
    bool operator==(const CalibratedPreset&) const = default;
};

struct Calibration {
    uint64_t fingerprint = 0;     // of the transformer's weights
    cache::Polynomial polynomial; // of every preset; not negative and nowhere falling between the next two
    double least = 0, most = 0;   // distances in which it was fitted
    cache::Path path;             // of every preset, if there is one
    CalibratedPreset quality, balanced, fast;
    bool operator==(const Calibration&) const = default;
};

std::string calibration_file(const std::string& model_folder);

// Throws MC_ERROR_NOT_FOUND when there is no such file; MC_ERROR_READ when it is damaged, lacks a field or
// has an unknown one, when a value is out of its range or the polynomial falls where it was fitted, and when
// it belongs to other weights than those of `fingerprint`. The remedy is to calibrate (again), or to fetch weights
// again that do not fit though they should be unchanged.
Calibration read_calibration(const std::string& file, uint64_t fingerprint);
// As read_calibration, without the comparison with the weights.
Calibration parse_calibration(const JsonObject& json);

// The file's text: indented, fields in a fixed order, numbers such that reading gives the same ones. Throws
// MC_ERROR_SETTINGS for what parse_calibration would not give back equal.
std::string calibration_text(const Calibration& calibration);
// Atomic: a concurrent reader sees the old file or the new one. Throws MC_ERROR_SETTINGS when it
// cannot be written.
void write_calibration(const std::string& file, const Calibration& calibration);

} // namespace mc::model
