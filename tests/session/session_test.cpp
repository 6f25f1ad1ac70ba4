// SPDX-License-Identifier: LGPL-2.1-or-later
// The session as its users meet it: what it refuses, what it promises (same request, same video), how it ends.
#include <ATen/ATen.h>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <thread>

#include "engine/families/skyreels_v2/window_plan.h"
#include "engine/session/memory.h"
#include "tests/session/demo.h"

using namespace mc;
using namespace mc::session;
using test::demo;
using test::root;
using test::small;

static at::Tensor run(std::shared_ptr<const Family> model, Request request) {
    Session s(model, std::move(request));
    std::vector<at::Tensor> parts;
    int64_t next = 0;
    while (auto frames = s.next()) {
        CHECK_EQ(frames->first, next);
        next += frames->pixels.size(1);
        parts.push_back(frames->pixels);
    }
    return at::cat(parts, 1); // [3, frames, H, W]
}
static at::Tensor bytes_of(const at::Tensor& pixels) {
    return (pixels / 2 + 0.5).clamp(0, 1).mul(255).to(at::kByte);
}

TEST(exactly_the_frames_asked_for) {
    auto m = demo();
    for (int frames : {1, 2, 9, 10, 17}) {
        Request r = small();
        r.num_frames = frames;
        at::Tensor video = run(m, r);
        CHECK_EQ(video.size(1), frames);
        CHECK_EQ(video.size(2), 48);
        CHECK_EQ(video.size(3), 64);
    }
}

TEST(same_request_same_bytes_and_seeds_differ) {
    auto m = demo();
    at::Tensor a = run(m, small()), b = run(demo(), small());
    CHECK(at::equal(a, b));
    Request other = small();
    other.seed = 6;
    CHECK(!at::equal(a, run(m, other)));
}

// Two elements that share a model do this.
TEST(sessions_of_a_model_may_sample_at_once) {
    auto m = demo(2);
    std::vector<Request> requests(3, small());
    for (size_t i = 0; i < requests.size(); i++) requests[i].seed = int64_t(i), requests[i].num_frames = 33;
    requests[2].width = 32, requests[2].prompt = "a blue fish under water";
    std::vector<at::Tensor> alone, beside(requests.size());
    for (const Request& r : requests) alone.push_back(run(m, r));
    std::vector<std::thread> threads;
    for (size_t i = 0; i < requests.size(); i++) threads.emplace_back([&, i] { beside[i] = run(m, requests[i]); });
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < requests.size(); i++) CHECK(at::equal(alone[i], beside[i]));
}

// FNV-1a of the video's 8-bit samples.
static uint64_t digest(const at::Tensor& video) {
    at::Tensor bytes = bytes_of(video).contiguous();
    uint64_t hash = 14695981039346656037u;
    for (int64_t i = 0; i < bytes.numel(); i++)
        hash = (hash ^ bytes.const_data_ptr<uint8_t>()[i]) * 1099511628211u;
    return hash;
}

TEST(same_bytes_in_another_process) {
    std::string command =
        std::filesystem::read_symlink("/proc/self/exe").string() + " '" + root + "' --digest";
    for (int threads : {1, 2}) {
        FILE* other = popen((command + " " + std::to_string(threads)).c_str(), "r");
        unsigned long long theirs = 0;
        CHECK_EQ(std::fscanf(other, "%llx", &theirs), 1);
        pclose(other);
        CHECK_EQ(digest(run(demo(threads), small())), theirs);
    }
}

TEST(another_number_of_threads_moves_little) {
    at::Tensor a = bytes_of(run(demo(1), small())), b = bytes_of(run(demo(2), small()));
    at::Tensor d = (a.to(at::kInt) - b.to(at::kInt)).abs();
    double within = (d <= 1).to(at::kFloat).mean().item<double>();
    std::printf("     samples within 1 of 255: %.5f, largest difference %d\n", within, d.max().item<int>());
    CHECK(within >= 0.999);
}

TEST(frames_leave_chunk_by_chunk) {
    auto m = demo();
    Request r = small();
    r.ar_step = 2;
    Session s(m, r);
    auto first = s.next();
    CHECK(first.has_value());
    Stats early = s.stats();
    CHECK_EQ(first->pixels.size(1), 9); // a chunk of three latent frames, the video's first
    CHECK(early.forwards < early.forwards_total);
    while (s.next()) {
    }
    Stats late = s.stats();
    CHECK_EQ(late.forwards, late.forwards_total);
    CHECK_EQ(late.frames, 17);
    CHECK_EQ(late.chunks, late.chunks_total);
    CHECK(late.flop_transformer > 0 && late.flop_vae > 0 && late.flop_text > 0);
    CHECK(late.seconds_transformer > 0);
    CHECK(!s.next().has_value());
}

TEST(windows_joined_either_way) {
    auto m = demo();
    for (auto joint : {LongVideo::PIXEL, LongVideo::LATENT}) {
        Request r = small();
        r.num_frames = 50;
        r.base_num_frames = 21;
        r.overlap_history = 9;
        r.long_video = joint;
        r.addnoise_condition = 20;
        at::Tensor video = run(m, r);
        CHECK_EQ(video.size(1), 50);
        CHECK(at::equal(video, run(m, r)));
    }
}

// An overlap that is not 4k + 1 frames: no more windows than the video fills, and the last one gets the end image.
TEST(the_last_window_ends_in_the_end_image) {
    auto m = demo();
    for (auto joint : {LongVideo::PIXEL, LongVideo::LATENT}) {
        Request r = small();
        r.width = r.height = 32;
        r.attention = Attention::FULL;
        r.causal_block_size = 1;
        r.ar_step = 0;
        r.num_frames = 33;
        r.base_num_frames = 17;
        r.overlap_history = 8;
        r.long_video = joint;
        r.image = sampler::Image{32, 32, std::vector<uint8_t>(32 * 32 * 3, 100)};
        r.end_image = sampler::Image{32, 32, std::vector<uint8_t>(32 * 32 * 3, 10)};
        Session s(m, r);
        while (s.next()) {
        }
        CHECK_EQ(s.stats().frames, 33);
        CHECK_EQ(s.stats().forwards, s.stats().forwards_total);
        CHECK_EQ(s.stats().chunks, s.stats().chunks_total);
        at::Tensor dark = run(m, r);
        r.end_image = sampler::Image{32, 32, std::vector<uint8_t>(32 * 32 * 3, 200)};
        CHECK(!at::equal(dark, run(m, r)));
    }
}

TEST(guidance_off_runs_one_branch) {
    auto m = demo();
    Request r = small();
    Session with(m, r);
    r.guidance_scale = 1;
    Session without(m, r);
    CHECK_EQ(with.stats().forwards_total, 2 * without.stats().forwards_total);
    CHECK(without.next().has_value());
}

TEST(refusals_name_the_setting_and_the_remedy) {
    auto m = demo();
    auto refused = [&](const char* text, const std::function<void(Request&)>& change) {
        Request r = small();
        change(r);
        CHECK_ERROR(Session(m, r), MC_ERROR_SETTINGS, text);
    };
    refused("prompt", [](Request& r) { r.prompt = ""; });
    refused("prompt", [](Request& r) { r.prompt = " \n\t "; });
    refused("UTF-8", [](Request& r) { r.prompt = "a \xff ball"; });
    refused("65536", [](Request& r) { r.prompt = std::string(100000, 'a'); });
    refused("48 and 64", [](Request& r) { r.width = 50; });
    refused("height", [](Request& r) { r.height = 0; });
    refused("height", [](Request& r) { r.height = -16; });
    refused("num-frames", [](Request& r) { r.num_frames = 0; });
    refused("num-frames", [](Request& r) { r.num_frames = -5; });
    refused("steps", [](Request& r) { r.steps = 0; });
    refused("causal-block-size", [](Request& r) { r.causal_block_size = 0; });
    refused("ar-step", [](Request& r) { r.ar_step = -1; });
    refused("addnoise-condition", [](Request& r) { r.addnoise_condition = 1000; });
    refused("guidance-scale", [](Request& r) { r.guidance_scale = NAN; });
    refused("shift", [](Request& r) { r.shift = 0; });
    refused("seed", [](Request& r) { r.seed = -2; });
    refused("frame-rate-n", [](Request& r) { r.frame_rate_n = 0; });
    refused("frame rate", [](Request& r) { r.frame_rate_n = 1001; });
    refused("1026 latent frames is longer than the 1024", [](Request& r) {
        r.num_frames = r.base_num_frames = 4101;
        r.ar_step = 1000;
    });
    sampler::Image picture{16, 16, std::vector<uint8_t>(16 * 16 * 3, 100)};
    refused("causal-block-size=1", [&](Request& r) { r.image = picture; });
    refused("end-image needs image", [&](Request& r) {
        r.causal_block_size = 1;
        r.end_image = picture;
    });
    refused("overlap-history", [](Request& r) {
        r.num_frames = 100;
        r.base_num_frames = 21;
        r.overlap_history = 21;
    });
}

TEST(an_image_starts_the_video) {
    auto m = demo();
    Request r = small();
    r.causal_block_size = 1;
    r.ar_step = 0;
    r.num_frames = 5;
    r.image = sampler::Image{64, 48, std::vector<uint8_t>(64 * 48 * 3, 200)};
    at::Tensor video = run(m, r);
    CHECK_EQ(video.size(1), 5);
    // The first frame is the picture, through the VAE and back.
    at::Tensor picture = at::full({3, 1, 48, 64}, 200 / 127.5 - 1);
    at::Tensor back = m->vae->decoder()->decode(m->vae->encode(picture)).clamp(-1, 1);
    CHECK_NEAR((video.narrow(1, 0, 1) - back).abs().max().item<double>(), 0, 1e-4);
    Request still = r; // one frame: nothing is left to sample
    still.num_frames = 1;
    for (auto attention : {Attention::FULL, Attention::CAUSAL, Attention::KV}) {
        still.attention = attention;
        video = run(m, still);
        CHECK_EQ(video.size(1), 1);
        CHECK_NEAR((video - back).abs().max().item<double>(), 0, 1e-4);
    }
    r.end_image = sampler::Image{64, 48, std::vector<uint8_t>(64 * 48 * 3, 30)};
    CHECK_ERROR(Session(m, r), MC_ERROR_SETTINGS, "attention=full");
    r.attention = Attention::FULL;
    CHECK_EQ(run(m, r).size(1), 5);
}

TEST(too_large_is_refused_before_it_is_allocated) {
    auto m = demo();
    Request r = small();
    r.width = r.height = 8192;
    r.base_num_frames = r.num_frames = 4005;
    CHECK_ERROR(Session(m, r), MC_ERROR_MEMORY, "GiB");
    CHECK_ERROR(check_memory(free_memory() * 2, "It", "do less."), MC_ERROR_MEMORY, "are free; do less.");
}

// The least of all that limits a process, in a tree of files as the kernel shows them.
TEST(free_memory_is_the_least_of_all_limits) {
    namespace fs = std::filesystem;
    const fs::path root = fs::temp_directory_path() / ("motioncache-limits-" + std::to_string(::getpid()));
    const auto write = [&](const char* file, const char* text) {
        fs::create_directories((root / file).parent_path());
        std::ofstream(root / file) << text;
    };
    write("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    8000 kB\nBuffers: 1 kB\n");
    CHECK_EQ(free_memory(root), 8000 * 1024);
    write("proc/self/cgroup", "1:name=systemd:/a\n0::/user.slice/my.service\n");
    CHECK_EQ(free_memory(root), 8000 * 1024);
    write("sys/fs/cgroup/user.slice/memory.max", "5000000");
    write("sys/fs/cgroup/user.slice/memory.current", "1000000");
    write("sys/fs/cgroup/user.slice/my.service/memory.max", "max");
    write("sys/fs/cgroup/user.slice/my.service/memory.current", "900000");
    CHECK_EQ(free_memory(root), 4000000);
    write("sys/fs/cgroup/user.slice/memory.stat", "anon 700000\ninactive_file 200000\nactive_file 1\n");
    CHECK_EQ(free_memory(root), 4200000);
    write("sys/fs/cgroup/user.slice/my.service/memory.max", "800000"); // more is in use: a limit set later
    CHECK_EQ(free_memory(root), 0);
    write("proc/self/cgroup", "4:cpu,memory:/docker/x\n");
    write("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "3000000");
    write("sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", "1000000");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000000");
    CHECK_EQ(free_memory(root), 2000000);

    rlimit before{};
    CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    write("proc/self/statm", "1000 10 5");
    const rlimit limit{1024 * 4096 + (rlim_t(1) << 45), before.rlim_max};
    if (limit.rlim_cur <= before.rlim_max) {
        fs::remove(root / "proc/self/cgroup");
        fs::remove(root / "proc/meminfo");
        CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
        const int64_t left = free_memory(root);
        setrlimit(RLIMIT_AS, &before);
        CHECK_EQ(left, 24 * 4096 + (int64_t(1) << 45));
    }
    fs::remove_all(root);
}

static int64_t resident_bytes() {
    int64_t total = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * 4096;
}

// A thousand chunks one after the other in a thousand steps: the plan alone takes gigabytes, so it is checked too.
TEST(a_plan_is_known_before_it_is_made) {
    for (auto attention : {Attention::FULL, Attention::KV}) {
        const skyreels_v2::WindowSettings s{60, 12, 3, 20, false, 6, 0, attention};
        const auto plan = skyreels_v2::plan_window(s, skyreels_v2::time_grid(30, 8));
        int64_t bytes = plan.rows.capacity() * sizeof(skyreels_v2::MatrixRow) +
                        plan.turns.capacity() * sizeof(std::vector<sampler::ChunkTurn>);
        for (size_t row = 0; row < plan.rows.size(); row++) {
            bytes += plan.rows[row].timestep.capacity() * sizeof(int64_t) +
                     plan.rows[row].state.capacity() * sizeof(int) + plan.rows[row].update.capacity() / 8;
            bytes += plan.turns[row].capacity() * sizeof(sampler::ChunkTurn);
        }
        const int64_t planned = skyreels_v2::plan_bytes(s, 30);
        CHECK(planned >= bytes);
        CHECK(planned < 3 * bytes);
    }
}

// Planning costs nothing worth mentioning however long the video: windows alike share their plan.
TEST(a_day_of_video_is_planned_in_little_memory) {
    auto m = demo();
    Request r = small();
    r.num_frames = 2000000;
    r.base_num_frames = 21;
    r.overlap_history = 9;
    int64_t before = resident_bytes();
    Session s(m, r);
    CHECK_EQ(s.stats().frames_total, 2000000);
    CHECK(resident_bytes() - before < int64_t(128) << 20);
}

TEST(cancel_ends_a_session) {
    auto m = demo();
    McCancel token;
    Request r = small();
    r.cancel = Cancel(&token);
    Session s(m, r);
    token.set = true;
    CHECK_ERROR(s.next(), MC_CANCELLED, "");
    LoadOptions o;
    o.cancel = Cancel(&token);
    CHECK_ERROR(open_family(root + "/models/demo", o), MC_CANCELLED, "");
}

TEST(bad_devices_are_named) {
    LoadOptions o;
    for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda0", "cpu:1"}) {
        o.device = name;
        CHECK_ERROR(open_family(root + "/models/demo", o), MC_ERROR_SETTINGS, name);
    }
}

TEST(nan_in_the_weights_is_an_error) {
    namespace fs = std::filesystem;
    fs::path folder = fs::temp_directory_path() / ("motioncache-nan-" + std::to_string(::getpid()));
    fs::copy(root + "/models/demo", folder, fs::copy_options::recursive);
    fs::remove(folder /
               "motioncache.json"); // is of other weights now, which is refused before anything is computed
    const struct {
        const char *part, *file, *named;
    } cases[] = {{"transformer", "diffusion_pytorch_model.safetensors", "The transformer produced NaN"},
                 {"vae", "diffusion_pytorch_model.safetensors", "The VAE produced NaN"},
                 {"text_encoder", "model.safetensors", "The text encoder produced NaN"}};
    for (const auto& c : cases) {
        fs::path file = folder / c.part / c.file;
        fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
        std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
        uint64_t header = 0;
        f.read(reinterpret_cast<char*>(&header), 8);
        f.seekp(8 + header); // the numbers behind it: all ones are NaN in every float type
        std::string ones(fs::file_size(file) - 8 - header, '\xff');
        f.write(ones.data(), ones.size());
        f.close();
        LoadOptions o;
        o.device = "cpu";
        auto m = open_family(folder, o);
        CHECK_ERROR(run(m, small()), MC_ERROR_NUMBERS, c.named);
        fs::copy(fs::path(root) / "models/demo" / c.part, folder / c.part,
                 fs::copy_options::overwrite_existing | fs::copy_options::recursive);
    }
    fs::remove_all(folder);
}

// A cache that computes everything changes nothing, whatever its reuse rule; one that reuses does.
TEST(caches_that_compute_everything_change_nothing) {
    auto m = demo();
    Request r = small();
    r.steps = 6;
    r.attention = Attention::KV;
    r.cache.kind = CacheKind::NONE;
    const at::Tensor video = run(m, r);
    cache::MotionCacheSettings settings;
    settings.warmup = 0;
    settings.threshold = 1e-9;
    for (CacheReuse reuse : {CacheReuse::REPEAT, CacheReuse::TAYLOR, CacheReuse::SOLVER}) {
        settings.reuse = reuse;
        r.cache_settings = settings;
        CHECK_NEAR((run(m, r) - video).abs().max().item<double>(), 0, 1e-3);
        cache::MotionCacheSettings coarser = settings;
        coarser.threshold = 0.5;
        r.cache_settings = coarser;
        CHECK((run(m, r) - video).abs().max().item<double>() > 1e-2);
    }
}

int main(int argc, char** argv) {
    root = argv[1];
    if (argc == 4 && std::string(argv[2]) == "--digest") {
        std::printf("%llx\n",
                    static_cast<unsigned long long>(digest(run(demo(std::stoi(argv[3])), small()))));
        return 0;
    }
    return mc::test::run_tests(argc - 1, argv + 1);
}
