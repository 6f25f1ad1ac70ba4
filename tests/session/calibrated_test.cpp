// SPDX-License-Identifier: LGPL-2.1-or-later
// motioncache.json beside a model: what a session makes of it, and of one that is damaged or belongs to other
// weights.
#include <filesystem>
#include <fstream>

#include "engine/families/skyreels_v2/model.h"
#include "engine/model/fingerprint.h"
#include "tests/session/demo.h"
#include "tests/session/model_copy.h"

using namespace mc;
using namespace mc::session;
using cache::Decision;
using model::Calibration;
using test::small;
namespace fs = std::filesystem;

namespace {

struct Folder : test::ModelCopy {
    Folder() : ModelCopy(test::root + "/models/demo") {}
    std::string calibration() const { return model::calibration_file(path.string()); }
    std::shared_ptr<const skyreels_v2::Model> open(bool calibration = true) const {
        LoadOptions o;
        o.device = "cpu";
        o.threads = 1;
        o.calibration = calibration;
        return skyreels_v2::Model::open(path.string(), o);
    }
};

uint64_t demo_fingerprint() {
    return model::fingerprint(*model::skyreels_v2::Folder::open(test::root + "/models/demo")->transformer_tensors());
}

// A polynomial that gives 0.125 for every distance that a schedule can have, and presets that compute all
// evaluations, the first two, the first one.
Calibration calibration() {
    Calibration c;
    c.fingerprint = demo_fingerprint();
    c.polynomial.coefficients = {0, 0, 0, 1e-6, 0.125};
    c.least = 0, c.most = 10;
    for (model::CalibratedPreset* preset : {&c.quality, &c.balanced, &c.fast}) {
        preset->settings.polynomial = c.polynomial;
        preset->settings.threshold = preset == &c.quality ? 0.1 : 1000;
        preset->settings.warmup = preset == &c.fast ? 0 : 1;
        preset->speedup = 2, preset->psnr = 30, preset->ssim = 0.9;
    }
    return c;
}

} // namespace

TEST(a_calibration_is_used) {
    const Folder folder;
    model::write_calibration(folder.calibration(), calibration());
    const auto m = folder.open();
    CHECK(m->calibration.has_value() && *m->calibration == calibration());
    // Turns that reuse: of 2 chunks in 2 branches and 4 steps each.
    const struct {
        std::optional<CachePreset> preset;
        int reused;
    } cases[] = {{CachePreset::QUALITY, 0}, {CachePreset::BALANCED, 4 * 2}, {{}, 4 * 2}, {CachePreset::FAST, 4 * 3}};
    for (const auto& c : cases) {
        Request r = small();
        r.steps = 4;
        r.attention = Attention::KV;
        r.cache.preset = c.preset;
        std::vector<double> distances;
        r.decisions = [&](const Decision& d) {
            if (!std::isnan(d.distance)) distances.push_back(d.distance);
        };
        Session s(m, r);
        while (s.next()) {
        }
        CHECK(s.stats().cache == CacheKind::MOTIONCACHE);
        CHECK_EQ(s.stats().count.turns, 4 * 4);
        CHECK_EQ(s.stats().count.reused, c.reused);
        CHECK(!distances.empty());
        for (double d : distances) CHECK_NEAR(d, 0.125, 1e-4); // the calibrated polynomial's
    }
    Request r = small();
    r.attention = Attention::CAUSAL;
    CHECK(Session(m, r).stats().cache == CacheKind::NONE);
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::NONE;
    CHECK(Session(m, r).stats().cache == CacheKind::NONE);
}

TEST(without_a_calibration_nothing_is_cached) {
    const Folder folder;
    const auto m = folder.open();
    Request r = small();
    r.attention = Attention::KV;
    CHECK(Session(m, r).stats().cache == CacheKind::NONE);
    r.cache.preset = CachePreset::BALANCED;
    CHECK_ERROR(Session(m, r), MC_ERROR_SETTINGS, "run motioncache-calibrate");
    r.cache.kind = CacheKind::MOTIONCACHE;
    CHECK_ERROR(Session(m, r), MC_ERROR_SETTINGS, "run motioncache-calibrate");
}

// One sentence with the file and what to do; and a new calibration can open the model all the same.
TEST(a_calibration_that_cannot_be_used_is_one_clear_error) {
    const Folder folder;
    const std::string good = model::calibration_text(calibration());
    const auto refused = [&](const std::string& text, const std::string& cause,
                             const std::string& other_remedy = "") {
        folder.write_calibration(text);
        try {
            folder.open();
            test::fail(__FILE__, __LINE__, "opened with a calibration that " + cause);
        } catch (const Error& e) {
            const std::string message = e.what(), remedy = "; run motioncache-calibrate " +
                                                           folder.path.string() + other_remedy + ".";
            if (e.status != MC_ERROR_READ || !message.starts_with(folder.calibration() + ": ") ||
                !message.ends_with(remedy) || message.find(cause) == std::string::npos)
                test::fail(__FILE__, __LINE__, message);
        }
        CHECK(!folder.open(false)->calibration.has_value());
    };
    const auto with = [&](const std::string& what, const std::string& instead) {
        std::string text = good;
        const size_t at = text.find(what);
        CHECK(at != std::string::npos);
        return text.replace(at, what.size(), instead);
    };
    Calibration other = calibration();
    other.fingerprint ^= 1;
    refused(model::calibration_text(other), "belongs to other weights",
            ", or fetch the weights again if they should be unchanged");
    refused(good.substr(0, good.size() / 2), "is not valid JSON");
    refused("", "is empty");
    refused(with("0.125", "NaN"), "is not valid JSON");
    refused(with("0.125", "1e999"), "is not valid JSON");
    refused(with("0.125", "null"), "'polynomial'");
    refused(with("0.125", "-0.125"), "not negative and never falls");
    refused(with("0.125", "1e300"), "'polynomial'");
    refused(with("1000.0", "-1.0"), "'threshold'");
}

TEST(a_calibration_of_other_weights_comes_in_with_the_weights) {
    // The same file is good beside the weights it was made for, and refused when these change.
    const Folder folder;
    model::write_calibration(folder.calibration(), calibration());
    CHECK(folder.open()->calibration.has_value());
    fs::remove(folder.path / "transformer");
    fs::copy(test::root + "/models/demo/transformer", folder.path / "transformer",
             fs::copy_options::recursive);
    CHECK(folder.open()->calibration.has_value());
    const fs::path file = folder.path / "transformer/diffusion_pytorch_model.safetensors";
    fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
    std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(-1, std::ios::end); // the last byte of the last tensor
    f.put('\x3c');
    f.close();
    CHECK_ERROR(folder.open(), MC_ERROR_READ, "belongs to other weights");
}

int main(int argc, char** argv) {
    test::root = argv[1];
    return test::run_tests(argc - 1, argv + 1);
}
