// SPDX-License-Identifier: LGPL-2.1-or-later
// A text encoder on demand, with the demo model's, which is small: when its weights are read, and that a video is the
// same whether its texts were known or not.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/networks/t5/t5_files.h"
#include "tests/model/weight_writer.h"
#include "tests/session/demo.h"

using namespace mc;
using namespace mc::session;
using test::small;
using test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

// The environment of a case, and none afterwards.
struct Environment {
    Environment(const char* when, const std::string& folder) {
        when ? ::setenv("MOTIONCACHE_TEXT_CACHE", when, 1) : ::unsetenv("MOTIONCACHE_TEXT_CACHE");
        ::setenv("MOTIONCACHE_CACHE", folder.c_str(), 1);
    }
    ~Environment() {
        ::unsetenv("MOTIONCACHE_TEXT_CACHE");
        ::unsetenv("MOTIONCACHE_CACHE");
    }
};

struct CountingFile final : model::DataFile {
    CountingFile(std::shared_ptr<const DataFile> file, size_t& bytes)
        : DataFile(file->path, file->size), inner(std::move(file)), bytes(bytes) {}
    void read(uint64_t at, void* into, size_t count) const override {
        bytes += count;
        inner->read(at, into, count);
    }
    std::shared_ptr<const DataFile> inner;
    size_t& bytes;
};

// The tensors of a file, and how many bytes of them were read.
struct CountedTensors final : model::Tensors {
    explicit CountedTensors(const std::string& path) {
        const auto opened = model::open_text_encoder(path, config);
        origin = opened->origin;
        tensors_ = opened->all();
        for (auto& [name, view] : tensors_) view.file = std::make_shared<CountingFile>(view.file, read);
    }
    model::TextEncoderConfig config;
    size_t read = 0;
};

const std::vector<int64_t> IDS{17, 4, 230, 8, 1};

std::string demo_encoder() {
    return test::root + "/models/demo/text_encoder";
}

struct Opened {
    explicit Opened(const std::string& path = demo_encoder(), Precision precision = Precision::FLOAT32)
        : tensors(std::make_shared<CountedTensors>(path)),
          encoder(tensors, tensors->config, precision, at::kCPU,
                  [this](int, const std::string& text) { log.push_back(text); }) {}
    at::Tensor rows(const std::vector<int64_t>& ids = IDS) { return TextEncoder::Use(encoder).encode(ids, {}).rows; }
    bool was_read() const { return tensors->read >= tensors->bytes(); }
    std::shared_ptr<CountedTensors> tensors;
    std::vector<std::string> log;
    TextEncoder encoder;
};

size_t files_in(const std::string& folder) {
    return fs::exists(folder) ? size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator())) : 0;
}

at::Tensor video(const std::shared_ptr<const Family>& model, const Request& r, Stats* stats = nullptr,
                 const char* prompt = nullptr) {
    Session s(model, r);
    std::vector<at::Tensor> frames;
    while (auto f = s.next()) {
        frames.push_back(f->pixels);
        if (!prompt || frames.size() > 1) continue;
        Fields change;
        change.prompt = prompt;
        s.update(change);
    }
    if (stats) *stats = s.stats();
    return at::cat(frames, 1);
}

struct Logged {
    explicit Logged(const std::string& path = test::root + "/models/demo") {
        LoadOptions o;
        o.device = "cpu", o.threads = 1, o.precision = Precision::FLOAT32;
        o.log = [this](int, const std::string& text) { reads += text.starts_with("reading the text encoder"); };
        model = skyreels_v2::Model::open(path, o);
    }
    int reads = 0;
    std::shared_ptr<const skyreels_v2::Model> model;
};

} // namespace

TEST(a_text_that_is_known_reads_no_weight) {
    TemporaryFolder cache;
    at::Tensor plain;
    {
        const Environment unset(nullptr, cache.path);
        Opened small_one;
        CHECK(!small_one.encoder.on_demand());
        plain = small_one.rows();
        CHECK(small_one.was_read() && small_one.encoder.bytes() > 0); // and it stays
        CHECK_EQ(files_in(cache / "text"), 0u);                         // without any file
        const size_t once = small_one.tensors->read;
        small_one.rows();
        CHECK_EQ(small_one.tensors->read, once);
    }
    const Environment always("always", cache.path);
    for (int run = 0; run < 3; run++) {
        Opened o;
        CHECK(o.encoder.on_demand() && o.encoder.bytes() == 0 && o.tensors->read == 0);
        CHECK(o.rows().equal(plain));
        CHECK_EQ(o.was_read(), run == 0);
        if (run) CHECK(o.tensors->read < o.tensors->bytes() / 20); // the fingerprint alone
        CHECK_EQ(o.encoder.bytes(), 0);                           // let go
        CHECK_EQ(files_in(cache / "text"), 1u);
    }
    Opened other;
    const at::Tensor rows = other.rows({17, 4, 231, 8, 1});
    CHECK(other.was_read() && !rows.equal(plain));
}

TEST(weights_stay_while_texts_are_at_hand) {
    TemporaryFolder cache;
    const Environment always("always", cache.path);
    Opened o;
    {
        TextEncoder::Use outer(o.encoder);
        o.rows();
        CHECK(o.encoder.bytes() > 0);
        const size_t once = o.tensors->read;
        outer.encode({5, 1}, {});
        CHECK_EQ(o.tensors->read, once);
    }
    CHECK_EQ(o.encoder.bytes(), 0);
    const size_t once = o.tensors->read;
    o.rows({6, 1}); // new: read again
    CHECK(o.tensors->read >= once + o.tensors->bytes());
}

TEST(other_weights_and_another_precision_have_other_files) {
    TemporaryFolder cache, folder;
    const Environment always("always", cache.path);
    const at::Tensor plain = Opened().rows();
    Opened half(demo_encoder(), Precision::BFLOAT16);
    CHECK(!half.rows().equal(plain) && half.was_read());
    // One weight of a copy.
    fs::copy(demo_encoder(), folder.path, fs::copy_options::recursive);
    const std::string file = folder / "model.safetensors";
    fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
    CHECK(Opened(folder.path).rows().equal(plain)); // the same weights elsewhere are known
    CHECK_EQ(files_in(cache / "text"), 2u);
    std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(-(420 * 128 * 2 + 2), std::ios::end); // of the final norm, which stands before the embeddings
    f.write("\x40\x40", 2); // 3 in bfloat16
    f.close();
    Opened changed(folder.path);
    CHECK(!changed.rows().equal(plain) && changed.was_read());
    CHECK_EQ(files_in(cache / "text"), 3u);
}

TEST(a_damaged_file_is_made_again) {
    TemporaryFolder cache;
    const Environment always("always", cache.path);
    const at::Tensor plain = Opened().rows();
    const std::string file = fs::directory_iterator(cache / "text")->path();
    const std::string good = test::read_file(file);
    std::string bad = good;
    bad[bad.size() / 2] ^= 0x10;
    for (const std::string& bytes : {bad, good.substr(0, 100), std::string()}) {
        test::write_file(file, bytes);
        Opened o;
        CHECK(o.rows().equal(plain) && o.was_read());
        CHECK(test::read_file(file) == good);
    }
}

TEST(never_keeps_nothing_and_what_cannot_be_written_is_told_once) {
    TemporaryFolder cache;
    const at::Tensor plain = [&] {
        const Environment never("never", cache.path);
        Opened o;
        CHECK(!o.encoder.on_demand());
        return o.rows();
    }();
    CHECK_EQ(files_in(cache.path), 0u);
    test::write_file(cache / "text", "in the way");
    const Environment always("always", cache.path);
    Opened o;
    CHECK(o.rows().equal(plain) && o.rows().equal(plain));
    CHECK_EQ(std::count_if(o.log.begin(), o.log.end(),
                           [](const std::string& text) { return text.find("are not kept in") != std::string::npos; }),
             1);
    const Environment typo("allways", cache.path);
    CHECK_ERROR(Opened(), MC_ERROR_SETTINGS, "MOTIONCACHE_TEXT_CACHE is \"allways\" but must be always or never");
}

// Whole videos: byte for byte the same, the second one from other sessions of another model in memory.
TEST(a_second_video_does_not_read_the_encoder) {
    TemporaryFolder cache;
    const Request r = small();
    Request longer = r; // a chunk starts when the one before it is done, with a prompt that has changed
    longer.num_frames = 41, longer.ar_step = 3, longer.attention = Attention::KV;
    at::Tensor plain, changed;
    {
        const Environment unset(nullptr, cache.path);
        const Logged held;
        plain = video(held.model, r);
        changed = video(held.model, longer, nullptr, "a white boat moving left on the sea");
        CHECK(!changed.equal(video(held.model, longer)));
    }
    const Environment always("always", cache.path);
    for (int run = 0; run < 2; run++) {
        const Logged o;
        Stats stats;
        const int64_t without = o.model->bytes();
        CHECK_EQ(without, o.model->transformer->bytes() + o.model->vae->bytes());
        CHECK(video(o.model, r, &stats).equal(plain));
        CHECK_EQ(o.reads, run == 0); // prompt and negative prompt in one
        CHECK_EQ(stats.bytes_weights, without);
        CHECK_EQ(o.model->bytes(), without);
    }
    for (int run = 0; run < 2; run++) { // a new prompt while it plays: read once more
        const Logged o;
        CHECK(video(o.model, longer, nullptr, "a white boat moving left on the sea").equal(changed));
        CHECK_EQ(o.reads, run == 0); // the first prompt is known from above
    }
}

TEST(a_plan_counts_the_encoder_before_the_video) {
    TemporaryFolder cache;
    const Request r = small();
    LoadOptions o;
    o.device = "cpu", o.threads = 1, o.precision = Precision::FLOAT32;
    const std::string folder = test::root + "/models/demo";
    const auto held = [&] {
        const Environment unset(nullptr, cache.path);
        return forecast_memory(folder, o, r);
    }();
    const Environment always("always", cache.path);
    const MemoryForecast f = forecast_memory(folder, o, r);
    CHECK(f.text_on_demand && !held.text_on_demand);
    CHECK_EQ(f.text, held.text + f.text_encoder);
    CHECK_EQ(f.weights(), held.weights() - f.text_encoder);
    CHECK(f.total <= held.total);
    const auto planned = [&] {
        const Stats stats = Session(test::demo(), r).stats();
        return stats.bytes_planned - stats.bytes_weights;
    };
    CHECK_EQ(planned(), f.total - f.weights());

    // Known texts need no encoder, and one that is not needs it again.
    video(skyreels_v2::Model::open(folder, o), r);
    const MemoryForecast known = forecast_memory(folder, o, r);
    CHECK_EQ(known.text, 0);
    CHECK_EQ(known.weights(), f.weights());
    CHECK_EQ(planned(), known.total - known.weights());
    Request other = r;
    other.negative_prompt = "a grey sea";
    CHECK_EQ(forecast_memory(folder, o, other).text, f.text);
}

// From nothing to all of it for a text that is not known, and never for one that is.
TEST(reading_is_told) {
    TemporaryFolder cache;
    const Environment always("always", cache.path);
    const Logged model;
    for (int run = 0; run < 2; run++) {
        std::vector<double> told;
        Session s(model.model, small());
        s.on_reading([&](double share) { told.push_back(share); });
        while (s.next()) {
        }
        CHECK_EQ(told.empty(), run == 1);
        if (run) continue;
        CHECK(told.size() > 10 && told.front() == 0 && told.back() == 1);
        for (size_t i = 1; i < told.size(); i++) CHECK(told[i] > told[i - 1]);
    }
}

int main(int argc, char** argv) {
    test::root = argv[1];
    return test::run_tests(argc - 1, argv + 1);
}
