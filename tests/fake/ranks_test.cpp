// SPDX-License-Identifier: LGPL-2.1-or-later
// Processes with a device each that make a video together, against one: the tokens of every kind of video divided, in
// both precisions, by way of the hosts or by a link; what a rank takes of the device; what goes wrong. The others are
// this program, as a worker with a fake device.
//   fake_ranks_test SOURCE_ROOT [TEST...]
#include <ATen/ATen.h>
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "engine/networks/wan_dit/traffic.h"
#include "engine/session/family.h"
#include "tests/fake/fake_device.h"
#include "tests/ranks/processes.h"
#include "tests/session/demo.h"
#include "tests/session/variants.h"

using namespace mc;
using namespace mc::session;
using namespace mc::test;
using namespace std::chrono_literals;

namespace {

using Model = std::shared_ptr<const skyreels_v2::Model>;
struct Opened {
    at::Device device = fake::device();
    Precision precision = Precision::FLOAT32;
    bool tokens_only = true;
    bool in_bytes = false;
    std::vector<std::string>* said = nullptr; // of the log
};
Model open(const std::shared_ptr<ranks::Group>& group, const Opened& how = {}) {
    LoadOptions o;
    o.opened = how.device;
    o.threads = 1;
    o.precision = how.precision;
    o.weights_in_bytes = how.in_bytes;
    o.group = group;
    o.tokens_only = how.tokens_only;
    if (how.said) o.log = [said = how.said](int, const std::string& text) { said->push_back(text); };
    return skyreels_v2::Model::open(test::root + "/models/demo", o);
}

double apart(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
}

// The same bytes as one process but for products of other numbers of rows, which ATen's CPU may add in another order,
// as a GPU's library may: pixels of [-1, 1] differ by some float32 roundings, through all layers and steps. In bfloat16
// every sum near the middle between two numbers may then round the other way, and the two videos are as far from each
// other as either is from float32: so the limit is that of session_test, to float32.
bool same(const at::Tensor& one, const at::Tensor& several) {
    return apart(one, several) <= 3e-5;
}
double psnr(const at::Tensor& a, const at::Tensor& b) {
    return 10 * std::log10(4 / ((a - b).square().mean().item<double>() + 1e-20));
}
bool as_near(const at::Tensor& exact, const at::Tensor& one, const at::Tensor& several) {
    std::printf("     bfloat16: %.1f dB to float32, %.1f alone\n", psnr(several, exact), psnr(one, exact));
    return psnr(several, exact) > 32;
}

// A link of fake devices: pieces pass through files.
class FileLink final : public ranks::DeviceLink {
  public:
    FileLink(const std::string& key, int rank) : key_(key), rank_(rank) {}
    void exchange(const std::vector<ranks::Piece>& to, const std::vector<ranks::Piece>& from) override {
        since_ = std::chrono::steady_clock::now().time_since_epoch().count();
        for (const ranks::Piece& p : to) {
            const std::string name = name_of(rank_, p.rank, sent_[p.rank]++);
            const at::Tensor bytes = p.part.cpu().view(at::kByte);
            std::ofstream(name + ".new", std::ios::binary)
                .write(static_cast<const char*>(bytes.const_data_ptr()), static_cast<std::streamsize>(bytes.nbytes()));
            std::filesystem::rename(name + ".new", name);
        }
        for (const ranks::Piece& p : from) {
            const std::string name = name_of(p.rank, rank_, received_[p.rank]++);
            while (!std::filesystem::exists(name)) {
                if (aborted_) throw std::runtime_error("aborted");
                std::this_thread::sleep_for(50us);
            }
            at::Tensor bytes = at::empty(p.part.sizes(), p.part.options().device(at::kCPU));
            std::ifstream(name, std::ios::binary)
                .read(static_cast<char*>(bytes.mutable_data_ptr()), static_cast<std::streamsize>(bytes.nbytes()));
            std::filesystem::remove(name);
            p.part.copy_(bytes);
        }
        since_ = 0;
        exchanges++;
    }
    State state() override {
        const int64_t since = since_;
        if (!since) return {fault, 0ms};
        using std::chrono::steady_clock;
        const auto waits = steady_clock::now().time_since_epoch() - steady_clock::duration(since);
        return {fault, std::chrono::duration_cast<std::chrono::milliseconds>(waits)};
    }
    void abort() noexcept override { aborted_ = true; }
    static inline int64_t exchanges = 0;
    static inline std::string fault; // before a link is opened

  private:
    std::string name_of(int from, int to, int64_t n) const {
        return key_ + "." + std::to_string(from) + "." + std::to_string(to) + "." + std::to_string(n);
    }
    const std::string key_;
    const int rank_;
    std::map<int, int64_t> sent_, received_;
    std::atomic<int64_t> since_{0};
    std::atomic<bool> aborted_{false};
};
const ranks::DeviceLinks files{
    "files",
    [](at::Device) -> std::string { // how the test says it, for all ranks
        const std::string names = std::getenv("LINK_NAMES") ? std::getenv("LINK_NAMES") : "";
        const char* rank = std::getenv("RANK");
        return names == "own" ? std::string("device of ") + (rank ? rank : "0") : names;
    },
    [] {
        static int links = 0;
        return "/tmp/fake_link." + std::to_string(::getpid()) + "." + std::to_string(links++);
    },
    [](at::Device, const std::string& key, int rank, int,
       std::chrono::milliseconds) -> std::unique_ptr<ranks::DeviceLink> {
        return std::make_unique<FileLink>(key, rank);
    }};
// As long as it lives, workers that are started too.
struct LinkNames {
    explicit LinkNames(const char* names) { ::setenv("LINK_NAMES", names, 1); }
    ~LinkNames() { ::unsetenv("LINK_NAMES"); }
};

Request chunks() {
    Request r = test::small();
    r.attention = Attention::KV, r.num_frames = 45, r.steps = 6;
    return r;
}

// Both ranks of a group in this process.
struct Two {
    std::unique_ptr<ranks::Group> one, zero;
    explicit Two(ranks::Limits limits = {}) {
        const int port = free_port();
        std::thread meets([&] { one = std::make_unique<ranks::Group>(member(1, port), "test", limits); });
        zero = std::make_unique<ranks::Group>(member(0, port), "test", limits);
        meets.join();
    }
};

int work(int argc, char** argv) { // as motioncache-worker does, on the fake device
    LoadOptions o;
    o.threads = 1;
    o.opened = std::string(argv[2]) == "cpu" ? at::Device(at::kCPU) : at::Device(argv[2]);
    o.log = [](int, const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); };
    try {
        ranks::Group group(*ranks::membership_of_environment(), ranks::version());
        run_worker(group, "", o);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
    return fake::counts.races == 0 ? 0 : 3;
}

} // namespace

TEST(tokens_divided_among_devices_make_the_video_of_one) {
    const int port = free_port();
    std::vector<Worker> others = workers(port, 2);
    {
        const auto group = meet(port);
        std::map<std::string, at::Tensor> exact;
        for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
            const Model together = open(group, {.precision = precision}),
                        alone = open(nullptr, {.precision = precision});
            for (const Variant& v : variants()) {
                static const std::set<std::string> FLOAT32_ALONE{"kv, no guidance", "image, kv", "taylor"},
                    BOTH{"kv", "full", "causal", "full, teacache", "kv, flowcache", "motioncache"};
                if (!BOTH.count(v.name) && (precision == Precision::BFLOAT16 || !FLOAT32_ALONE.count(v.name))) continue;
                Stats one{}, two{};
                const int64_t before = group->traffic().sent;
                const at::Tensor expected = video(alone, v.request, &one), made = video(together, v.request, &two);
                const int64_t sent = group->traffic().sent - before, forwards = std::max<int64_t>(1, two.forwards);
                std::printf("     %-20s %s: %.2g from one process, %lld bytes sent per forward\n", v.name,
                            name_of(precision), apart(expected, made), static_cast<long long>(sent / forwards));
                std::fflush(stdout);
                if (precision == Precision::FLOAT32) exact[v.name] = expected;
                const bool alike = precision == Precision::FLOAT32 ? same(expected, made)
                                                                   : as_near(exact.at(v.name), expected, made);
                if (!alike)
                    test::fail(__FILE__, __LINE__, v.name);
                CHECK_EQ(one.flop_transformer, two.flop_transformer);
                CHECK_EQ(one.count.tokens_computed, two.count.tokens_computed);
                CHECK_EQ(one.count.tokens_reused, two.count.tokens_reused);
                if (v.name != std::string("full")) continue;
                wan_dit::Window::Shape shape{}; // every forward is about all tokens: six latent frames of 3 x 2
                shape.width = 48 / 8, shape.height = 32 / 8;
                const auto& config = together->transformer_config;
                const int64_t element = precision == Precision::FLOAT32 ? 4 : 2,
                              counted = wan_dit::token_bytes(config, 36, 2, element).by_leader +
                                        wan_dit::branch_bytes(config, shape, 6, false).to_worker;
                CHECK(counted <= sent / forwards && sent / forwards < counted + 1000);
            }
        }
        CHECK_EQ(fake::counts.races.load(), 0);
    }
    CHECK_EQ(others[0].wait(), 0);
}

TEST(branches_and_the_tokens_of_each_and_fewer_tokens_than_processes) {
    const int port = free_port();
    const std::vector<Worker> others = workers(port, 4);
    const auto group = meet(port, {}, 4);
    const Model alone = open(nullptr);
    {
        const Model together = open(group, {.tokens_only = false});
        for (const Variant& v : variants())
            if (const std::string name = v.name; name == "kv, flowcache" || name == "taylor" || name == "causal")
                CHECK(same(video(alone, v.request), video(together, v.request)));
    }
    Request r = test::small();
    r.width = 16, r.height = 16, r.num_frames = 9, r.causal_block_size = 1;
    r.attention = Attention::FULL, r.ar_step = 0;
    const Model together = open(group); // three tokens
    CHECK(same(video(alone, r), video(together, r)));
}

// Eight bits and layers that the host keeps, on both sides of the exchange.
TEST(eight_bits_and_streamed_layers) {
    const int port = free_port();
    const std::vector<Worker> others = workers(port, 2);
    const Opened coded{.precision = Precision::BFLOAT16, .in_bytes = true};
    const Model together = open(meet(port), coded), alone = open(nullptr, coded);
    Request r = test::small();
    r.attention = Attention::KV;
    const at::Tensor exact = video(open(nullptr), r);
    r.kv_precision = StoredPrecision::INT8;
    const at::Tensor one = video(alone, r), two = video(together, r);
    CHECK(psnr(one, exact) > 25 && psnr(two, exact) > psnr(one, exact) - 3);
    together->transformer->stream(4);
    CHECK(at::equal(two, video(together, r)));
}

TEST(what_is_planned_is_what_rank_0_takes) {
    const int port = free_port();
    const std::vector<Worker> others = workers(port, 2);
    const Model together = open(meet(port), {.precision = Precision::BFLOAT16});
    const Model alone = open(nullptr, {.precision = Precision::BFLOAT16});
    for (const Variant& v : variants()) {
        const std::string name = v.name;
        if (name != "kv" && name != "full" && name != "taylor" && name != "causal") continue;
        Request r = v.request;
        r.steps = 2, r.ar_step = 0, r.width = 160, r.height = 96;
        int64_t keys[2];
        for (const Model& model : {alone, together}) {
            const size_t before = fake::use().used;
            fake::forget_most();
            Session s(model, r);
            const int64_t planned = s.stats().bytes_planned - s.stats().bytes_weights;
            keys[model == together] = s.stats().bytes_keys_values;
            while (s.next()) {
            }
            const auto taken = int64_t(fake::use().most - before);
            std::printf("     %-8s %s: %6.1f MB planned, %6.1f MB taken\n", v.name,
                        model == together ? "one of two" : "alone     ", planned / 1e6, taken / 1e6);
            CHECK(taken <= planned);
            CHECK(planned < 3 * taken);
        }
        CHECK_EQ(keys[1], keys[0] / 2);
    }
}

TEST(one_that_dies_or_fails_is_one_error_and_ends_the_other) {
    for (bool dies : {true, false}) {
        const int port = free_port();
        std::vector<Worker> others = workers(port, 2);
        const Model model = open(meet(port));
        Session s(model, chunks());
        CHECK(s.next().has_value());
        if (dies)
            others[0].kill(SIGKILL);
        else
            fake::fail(fake::Failure::ALLOCATOR, 100); // in the middle of a forward of rank 0
        McStatus status{};
        std::string said;
        const double took = seconds_of([&] { said = error_of([&] { s.next(); }, &status); });
        fake::fail(fake::Failure::NONE, 0);
        CHECK(took < 10);
        CHECK_EQ(status, dies ? MC_ERROR_DEVICE : MC_ERROR_MEMORY);
        CHECK(has(said, dies ? "has ended" : "This video ran out of memory"));
        if (dies) continue;
        CHECK(seconds_of([&] { CHECK_EQ(others[0].wait(), 1); }) < 30); // it waits for rank 0's rows
    }
}

TEST(where_all_ranks_have_a_link_rows_go_by_it) {
    const LinkNames names("own");
    const int port = free_port();
    const std::vector<Worker> others = workers(port, 2);
    const auto group = meet(port);
    const Model alone = open(nullptr);
    std::vector<std::string> said;
    const Model together = open(group, {.said = &said});
    for (const Variant& v : variants()) {
        if (const std::string name = v.name; name != "kv" && name != "full" && name != "motioncache") continue;
        Stats stats{};
        const int64_t before = group->traffic().sent, exchanged = FileLink::exchanges;
        const at::Tensor made = video(together, v.request, &stats);
        CHECK(same(video(alone, v.request), made));
        CHECK(FileLink::exchanges - exchanged >= 2 * together->transformer_config.layers);
        if (v.name != std::string("full")) continue; // counted as by way of the hosts
        wan_dit::Window::Shape shape{};
        shape.width = 48 / 8, shape.height = 32 / 8;
        const auto& config = together->transformer_config;
        const int64_t sent = (group->traffic().sent - before) / stats.forwards,
                      counted = wan_dit::token_bytes(config, 36, 2, 4).by_leader +
                                wan_dit::branch_bytes(config, shape, 6, false).to_worker;
        CHECK(counted <= sent && sent < counted + 1000);
    }
    CHECK_EQ(std::count(said.begin(), said.end(),
                        "the ranks exchange the rows that they divide from device to device (files)"), 1);
}

TEST(else_by_way_of_the_hosts_and_the_log_says_why) {
    const auto why = [](const char* names, bool off) {
        const LinkNames set(names);
        const int port = free_port();
        const std::vector<Worker> others = workers(port, 2);
        std::vector<std::string> said;
        const Model model = open(meet(port), {.said = &said});
        if (off) ::setenv("MOTIONCACHE_NCCL", "off", 1);
        const int64_t before = FileLink::exchanges;
        video(model, test::small());
        ::unsetenv("MOTIONCACHE_NCCL");
        CHECK_EQ(FileLink::exchanges, before);
        std::string all;
        for (const std::string& line : said) all += line + "\n";
        return all;
    };
    const std::string begin = "the ranks exchange the rows that they divide by way of their hosts (Gloo): ";
    CHECK(has(why("one", false), begin + "ranks 0 and 1 share fake:0"));
    CHECK(has(why("", false), begin + "fake:0 of rank 0 has no library for more"));
    CHECK(has(why("own", true), begin + "MOTIONCACHE_NCCL is off"));
}

// A device waits for one that is gone: nobody else does, so that nobody would notice.
TEST(a_link_is_aborted_when_a_rank_is_gone) {
    const LinkNames names("own");
    const int port = free_port();
    std::vector<Worker> others = workers(port, 2);
    ranks::Limits limits;
    limits.silent = 2s;
    const Model model = open(meet(port, limits));
    Session s(model, chunks());
    CHECK(s.next().has_value());
    others[0].kill(SIGKILL);
    McStatus status{};
    std::string said;
    const double took = seconds_of([&] { said = error_of([&] { while (s.next()) {} }, &status); });
    CHECK_EQ(status, MC_ERROR_DEVICE);
    CHECK(has(said, "rank 1 ("));
    CHECK(took < 20);
}

TEST(a_device_that_comes_to_no_end_is_one_error) {
    const LinkNames names("own");
    enum { WAITS, FAULT, BY_HOST };
    for (int how : {WAITS, FAULT, BY_HOST}) {
        ranks::Limits limits;
        limits.still = 3s;
        const Two both(limits);
        std::shared_ptr<ranks::DeviceLink> link, other;
        if (how != BY_HOST) {
            const std::string key = files.key();
            link = both.zero->open_link(fake::device(), key), other = both.one->open_link(fake::device(), key);
        }
        const at::Tensor numbers = at::arange(6, at::kFloat), from_zero = numbers.to(fake::device()),
                         from_one = (numbers + 1).to(fake::device()), to_zero = at::zeros_like(from_zero),
                         to_one = at::zeros_like(from_zero);
        std::thread beside([&] { both.one->exchange({{0, from_one}}, {{0, to_one}}, other.get()); });
        both.zero->exchange({{1, from_zero}}, {{1, to_zero}}, link.get());
        beside.join();
        CHECK(at::equal(to_zero.cpu(), numbers + 1) && at::equal(to_one.cpu(), numbers));
        if (how == FAULT) FileLink::fault = "a wire is cut";
        McStatus status{};
        std::string said;
        const double took = seconds_of([&] {
            said = error_of([&] { both.zero->exchange({{1, from_zero}}, {{1, to_zero}}, link.get()); }, &status);
        });
        FileLink::fault.clear();
        CHECK_EQ(status, MC_ERROR_DEVICE);
        CHECK(has(said, how == WAITS ? "has waited 3 s for its device, or another rank's, to exchange: start all ranks again."
                        : how == FAULT ? "could not exchange with the devices of the others: start all ranks again."
                                       : "has given nothing of its device for 3 s: see what its motioncache-worker wrote last"));
        CHECK(took < 20);
    }
}

// By way of the hosts, in memory that stays in place: what the system refuses of it is not the device's.
TEST(memory_of_the_host_that_ends_is_one_error_and_not_the_devices) {
    const Two both;
    const at::Tensor numbers = at::arange(6, at::kFloat), from_zero = numbers.to(fake::device()),
                     to_zero = at::zeros_like(from_zero);
    for (int64_t which : {0, 1}) { // of what is sent, of what is received
        fake::fail(fake::Failure::ALLOCATOR, which);
        McStatus status{};
        const std::string said =
            error_of([&] { both.zero->exchange({{1, from_zero}}, {{1, to_zero}}, nullptr); }, &status);
        CHECK(fake::failed_pinned());
        CHECK_EQ(status, MC_ERROR_MEMORY);
        CHECK(has(said, "The system gave no 1 MiB of main memory") && has(said, "ulimit -l"));
    }
    fake::fail(fake::Failure::NONE, 0);
    at::Tensor there = at::zeros_like(numbers); // nobody is lost
    std::thread beside([&] { both.one->exchange({{0, numbers + 1}}, {{0, there}}); });
    both.zero->exchange({{1, from_zero}}, {{1, to_zero}}, nullptr);
    beside.join();
    CHECK(at::equal(there, numbers) && at::equal(to_zero.cpu(), numbers + 1));
}

TEST(devices_that_do_not_go_together_are_refused) {
    const int port = free_port();
    worker_begins[1] = "cpu";
    const std::vector<Worker> others = workers(port, 2);
    worker_begins[1] = "fake:0";
    const auto group = meet(port);
    McStatus status{};
    {
        const Model model = open(group);
        CHECK(has(error_of([&] { video(model, test::small()); }, &status),
                  "computes on cpu and rank 0 on fake:0, and they would divide the tokens of a forward: give it --device "
                  "cuda:0, or both the CPU."));
        CHECK_EQ(status, MC_ERROR_SETTINGS);
    }
    const Model model = open(group, {.tokens_only = false});
    Request r = test::small();
    CHECK(apart(video(open(nullptr), r), video(model, r)) < 0.01); // a branch each
    r.attention = Attention::KV, r.kv_precision = StoredPrecision::INT8;
    CHECK(has(error_of([&] { video(model, r); }, &status), "and kv-precision=int8 is for GPUs: give it --device cuda:0"));
    CHECK_EQ(status, MC_ERROR_SETTINGS);
}

int main(int argc, char** argv) {
    ranks::register_links(fake::device().type(), &files);
    if (argc > 2 && std::string(argv[1]) == "--work") return work(argc, argv);
    test::root = argv[1];
    worker_program = "/proc/self/exe";
    worker_begins = {"--work", "fake:0"};
    return test::run_tests(argc - 1, argv + 1);
}
