// SPDX-License-Identifier: LGPL-2.1-or-later
// Processes that make a video together against one that makes it alone, with every attention, cache, reuse rule, image
// and joint of windows: a guidance branch each, the tokens divided, or both; and what goes wrong between them. The
// others are motioncache-worker.
//   ranks_test SOURCE_ROOT WORKER [TEST...]
#include <ATen/ATen.h>
#include <filesystem>
#include <map>
#include <thread>

#include "engine/families/skyreels_v2/inputs.h"
#include "engine/networks/wan_dit/traffic.h"
#include "engine/ranks/group.h"
#include "engine/session/family.h"
#include "tests/model/small_magi1.h"
#include "tests/ranks/processes.h"
#include "tests/session/demo.h"
#include "tests/session/variants.h"

using namespace mc;
using namespace mc::session;
using namespace mc::test;
using namespace std::chrono_literals;

namespace {

using Model = std::shared_ptr<const skyreels_v2::Model>;
Model demo(const std::shared_ptr<ranks::Group>& group, Precision precision = Precision::FLOAT32,
           bool tokens_only = false) {
    LoadOptions o;
    o.device = "cpu";
    o.threads = 1;
    o.precision = precision;
    o.group = group;
    o.tokens_only = tokens_only;
    return skyreels_v2::Model::open(test::root + "/models/demo", o);
}

// What one process makes, once for all the ways to make it together.
struct Alone {
    at::Tensor frames;
    Stats stats;
};
const Alone& alone(const test::Variant& v, Precision precision) {
    static std::map<std::pair<std::string, Precision>, Alone> made;
    const auto [found, fresh] = made.try_emplace({v.name, precision});
    Alone& a = found->second;
    if (fresh) a.frames = video(demo(nullptr, precision), v.request, &a.stats);
    return a;
}

// Chunk after chunk, so that there is much to do behind the first.
Request chunks() {
    Request r = test::small();
    r.attention = Attention::KV, r.num_frames = 45, r.steps = 6;
    return r;
}

} // namespace

TEST(two_processes_make_the_bytes_of_one) {
    const int port = free_port();
    Worker worker(port, {"--threads", "1"});
    const auto group = meet(port);
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
        const Model together = demo(group, precision);
        for (const test::Variant& v : test::variants()) {
            const auto& [expected, one] = alone(v, precision);
            Stats two{};
            const int64_t before = group->traffic().sent;
            const at::Tensor made = video(together, v.request, &two);
            const int64_t sent = group->traffic().sent - before, rows = std::max<int64_t>(1, two.forwards / 2);
            if (precision == Precision::FLOAT32)
                std::printf("     %-20s %lld bytes sent per step\n", v.name, static_cast<long long>(sent / rows));
            if (v.name == std::string("full")) { // every row is about all six latent frames
                wan_dit::Window::Shape shape{};
                shape.width = 48 / 8, shape.height = 32 / 8;
                const int64_t counted =
                    wan_dit::branch_bytes(together->transformer_config, shape, 6, false).to_worker;
                CHECK(counted <= sent / rows && sent / rows < counted + 1000);
            }
            CHECK(at::equal(expected, made));
            // Both make embeddings of patches and times.
            CHECK(one.flop_transformer <= two.flop_transformer && two.flop_transformer < 1.02 * one.flop_transformer);
            CHECK_EQ(one.count.tokens_computed, two.count.tokens_computed);
            CHECK(sent > 0);
        }
    }
}

// No row of a product depends on the rows beside it and no head on another, so not a bit is different.
TEST(tokens_divided_among_processes_make_the_bytes_of_one) {
    struct {
        const char* name;
        int size;
        bool tokens_only;
    } ways[] = {{"tokens over 2", 2, true}, {"tokens over 4", 4, true}, {"branches, tokens of each over 2", 4, false}};
    for (const auto& way : ways) {
        const int port = free_port();
        const std::vector<Worker> others = workers(port, way.size);
        const auto group = meet(port, {}, way.size);
        std::printf("     %s, bytes sent by rank 0 per forward\n", way.name);
        for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
            if (precision == Precision::BFLOAT16 && way.size == 4 && way.tokens_only) continue; // for time
            const Model together = demo(group, precision, way.tokens_only);
            for (const test::Variant& v : test::variants()) {
                const auto& [expected, one] = alone(v, precision);
                Stats several{};
                const int64_t before = group->traffic().sent;
                const at::Tensor made = video(together, v.request, &several);
                const int64_t sent = group->traffic().sent - before,
                              forwards = way.tokens_only ? several.forwards : several.forwards / 2;
                std::printf("     %-20s %s %lld\n", v.name, precision == Precision::FLOAT32 ? "float32" : "bfloat16",
                            static_cast<long long>(sent / std::max<int64_t>(1, forwards)));
                std::fflush(stdout);
                if (!at::equal(expected, made)) test::fail(__FILE__, __LINE__, std::string(way.name) + ": " + v.name);
                if (way.tokens_only) CHECK_EQ(one.flop_transformer, several.flop_transformer);
                CHECK_EQ(one.count.tokens_computed, several.count.tokens_computed);
                CHECK_EQ(one.count.tokens_reused, several.count.tokens_reused);
                if (v.name != std::string("full") || !way.tokens_only || precision != Precision::FLOAT32) continue;
                // Every forward is about all tokens: six latent frames of 3 x 2.
                wan_dit::Window::Shape shape{};
                shape.width = 48 / 8, shape.height = 32 / 8;
                const auto& config = together->transformer_config;
                const int64_t counted =
                    wan_dit::token_bytes(config, 36, way.size, 4).by_leader +
                    wan_dit::branch_bytes(config, shape, 6, false).to_worker * (way.size - 1);
                CHECK(counted <= sent / forwards && sent / forwards < counted + 1000 * (way.size - 1));
            }
        }
    }
}

TEST(fewer_tokens_than_processes) {
    const int port = free_port();
    const std::vector<Worker> others = workers(port, 4);
    Request r = test::small();
    r.width = 16, r.height = 16, r.num_frames = 9;
    r.attention = Attention::FULL, r.ar_step = 0, r.causal_block_size = 1;
    const Model together = demo(meet(port, {}, 4), Precision::FLOAT32, true); // three tokens
    CHECK(at::equal(video(demo(nullptr), r), video(together, r)));
    r.guidance_scale = 1;
    CHECK(at::equal(video(demo(nullptr), r), video(together, r)));
}

TEST(processes_that_do_not_divide_the_heads_are_refused) {
    const auto said = [](int size, int branches, int64_t heads) {
        return error_of([&] { wan_dit::spread_over({size}, branches, heads); });
    };
    CHECK(has(said(3, 2, 4), "WORLD_SIZE=3 does not fit: each process takes as many of the model's 4 attention heads; "
                             "start 2, 4, 8 of them or one."));
    CHECK(has(said(6, 2, 4), "half of the processes for each branch of guidance; start 2, 4, 8 of them or one."));
    CHECK(has(said(8, 1, 4), "and without guidance there is one branch alone; start 2, 4 of them or one."));
    CHECK(has(said(2, 1, 1), "; start one."));
    CHECK_EQ(said(2, 2, 3) + said(3, 2, 12) + said(3, 1, 12) + said(8, 2, 12) + said(8, 2, 40), "");
    wan_dit::check_ranks({8}, 4); // with guidance it can
    const int port = free_port();
    const std::vector<Worker> others = workers(port, 3);
    McStatus status{};
    const std::string error = error_of([&] { demo(meet(port, {}, 3)); }, &status);
    CHECK_EQ(status, MC_ERROR_SETTINGS);
    CHECK(has(error, "WORLD_SIZE=3 does not fit"));
}

TEST(of_four_one_that_dies_is_one_error_and_ends_the_others) {
    for (bool tokens_only : {true, false}) {
        const int port = free_port();
        std::vector<Worker> others = workers(port, 4);
        const auto group = meet(port, {}, 4);
        const Model model = demo(group, Precision::FLOAT32, tokens_only);
        Session s(model, chunks());
        CHECK(s.next().has_value());
        others[2].kill(SIGKILL);
        McStatus status{};
        std::string said;
        const double took = seconds_of([&] { said = error_of([&] { s.next(); }, &status); });
        CHECK_EQ(status, MC_ERROR_DEVICE);
        CHECK(has(said, " has ended") && has(said, ": see what its motioncache-worker wrote last"));
        CHECK(took < 10);
        // The others, which may wait for each other, end by themselves.
        const double ended = seconds_of([&] {
            for (int i : {0, 1}) CHECK_EQ(others[i].wait(), 1);
        });
        CHECK(ended < 30);
    }
}

TEST(of_four_one_that_hangs_is_one_error_within_seconds) {
    for (bool tokens_only : {true, false}) {
        const int port = free_port();
        std::vector<Worker> others = workers(port, 4);
        ranks::Limits limits;
        limits.silent = 2s;
        const auto group = meet(port, limits, 4);
        const Model model = demo(group, Precision::FLOAT32, tokens_only);
        Session s(model, chunks());
        CHECK(s.next().has_value());
        others[2].kill(SIGSTOP);
        std::string said;
        const double took = seconds_of([&] { said = error_of([&] { s.next(); }); });
        CHECK(has(said, "rank 3 ("));
        CHECK(has(said, "has given no sign of life for 2 s"));
        CHECK(took < 20);
        others[2].kill(SIGCONT);
    }
}

// Of what several do together.
TEST(one_that_cannot_go_on_is_noticed) {
    const int port = free_port();
    ranks::Limits limits;
    limits.silent = 2s;
    std::unique_ptr<ranks::Group> one;
    std::thread meets([&] { one = std::make_unique<ranks::Group>(member(1, port), "test", limits); });
    ranks::Group zero(member(0, port), "test", limits);
    meets.join();
    at::Tensor from_zero = at::arange(6), to_one = at::zeros_like(from_zero);
    at::Tensor from_one = at::zeros({4}), to_zero = at::ones({4});
    std::thread other([&] { one->exchange({{0, from_one}}, {{0, to_one}}); });
    zero.exchange({{1, from_zero}, {1, at::empty({0})}}, {{1, to_zero}});
    other.join();
    CHECK(at::equal(from_zero, to_one));
    CHECK(at::equal(from_one, to_zero));
    one->break_off();
    CHECK(has(error_of([&] { one->exchange({}, {{0, to_one}}); }), "rank 1 ("));
    std::string said;
    const double took = seconds_of([&] { said = error_of([&] { zero.exchange({}, {{1, to_zero}}); }); });
    CHECK(has(said, "rank 1 ("));
    CHECK(took < 20);
}

// torchrun's agent, which holds the list: here a group of one in a process of its own.
TEST(without_torchruns_list_nobody_works_on_unwatched) {
    const int port = free_port();
    const pid_t agent = ::fork();
    if (agent == 0) {
        ::execl("/proc/self/exe", "ranks_test", test::root.c_str(), worker_program.c_str(), "--hold",
                std::to_string(port).c_str(), static_cast<char*>(nullptr));
        ::_exit(9);
    }
    ::setenv("TORCHELASTIC_USE_AGENT_STORE", "True", 1);
    Worker worker(port, {"--threads", "1"});
    ::unsetenv("TORCHELASTIC_USE_AGENT_STORE");
    ranks::Membership p = member(0, port);
    p.prefix = "motioncache/0/", p.store_is_there = true;
    ranks::Limits limits;
    limits.silent = 2s;
    const auto group = std::make_shared<ranks::Group>(p, ranks::version(), limits);
    const Model model = demo(group);
    Session s(model, chunks());
    CHECK(s.next().has_value());
    ::kill(agent, SIGKILL);
    ::waitpid(agent, nullptr, 0);
    worker.kill(SIGSTOP);
    std::string said;
    const double took = seconds_of([&] { said = error_of([&] { s.next(); }); });
    CHECK(has(said, "torchrun's list of ranks at 127.0.0.1 port " + std::to_string(port) +
                        " has given no answer for 2 s: start all ranks again."));
    CHECK(took < 30);
    worker.kill(SIGCONT);
}

TEST(changes_while_a_video_is_made_reach_the_other_process) {
    const int port = free_port();
    Worker worker(port, {"--threads", "1"});
    const auto group = meet(port);
    const auto changed = [&](const Model& model) {
        Request r = test::small();
        r.num_frames = 33;
        Session s(model, r);
        std::vector<at::Tensor> pieces{s.next()->pixels};
        Fields change;
        change.prompt.emplace("a blue fish under water");
        change.negative_prompt.emplace("fog");
        change.prompt_transition = 1;
        s.update(change, 17);
        while (auto frames = s.next()) pieces.push_back(frames->pixels);
        return at::cat(pieces, 1);
    };
    CHECK(at::equal(changed(demo(nullptr)), changed(demo(group))));
}

TEST(sessions_share_the_other_process) {
    const int port = free_port();
    Worker worker(port, {"--threads", "1"});
    const auto group = meet(port);
    const Model model = demo(group);
    std::vector<Request> requests(2, test::small());
    requests[1].seed = 6, requests[1].prompt = "a blue fish under water";
    std::vector<at::Tensor> beside(2);
    std::vector<std::thread> threads;
    for (size_t i : {0, 1}) threads.emplace_back([&, i] { beside[i] = video(model, requests[i]); });
    for (std::thread& t : threads) t.join();
    const Model alone = demo(nullptr);
    for (size_t i : {0, 1}) CHECK(at::equal(video(alone, requests[i]), beside[i]));
}

TEST(the_worker_ends_with_rank_0) {
    const int port = free_port();
    Worker worker(port);
    if (const pid_t child = ::fork(); child == 0) { // rank 0 as a process of its own
        ::execl("/proc/self/exe", "ranks_test", test::root.c_str(), worker_program.c_str(), "--make",
                std::to_string(port).c_str(), static_cast<char*>(nullptr));
        ::_exit(9);
    } else {
        int status = 0;
        ::waitpid(child, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK_EQ(worker.wait(), 0);
    CHECK(has(worker.said(), "rank 0 has ended"));
    CHECK(has(worker.said(), "bytes were received and"));
}

TEST(a_worker_that_dies_is_one_error_within_seconds) {
    const int port = free_port();
    Worker worker(port);
    const auto group = meet(port);
    const Model model = demo(group);
    Session s(model, chunks());
    CHECK(s.next().has_value());
    worker.kill(SIGKILL);
    McStatus status{};
    std::string said;
    const double took = seconds_of([&] { said = error_of([&] { s.next(); }, &status); });
    CHECK_EQ(status, MC_ERROR_DEVICE);
    CHECK(has(said, "rank 1 ("));
    CHECK(has(said, "has ended in the middle of the work: see what its motioncache-worker wrote last, then start all "
                    "ranks again."));
    CHECK(took < 10);
    CHECK(has(error_of([&] { video(model, test::small()); }), "rank 1 (")); // and it is not waited for again
}

TEST(a_worker_that_hangs_is_one_error_within_seconds) {
    const int port = free_port();
    Worker worker(port);
    ranks::Limits limits;
    limits.silent = 2s;
    const auto group = meet(port, limits);
    const Model model = demo(group);
    Session s(model, chunks());
    CHECK(s.next().has_value());
    worker.kill(SIGSTOP);
    std::string said;
    const double took = seconds_of([&] { said = error_of([&] { s.next(); }); });
    CHECK(has(said, "has given no sign of life for 2 s"));
    CHECK(took < 20);
    worker.kill(SIGCONT);
}

TEST(a_worker_that_does_not_come_is_named) {
    ranks::Limits limits;
    limits.arrive = 500ms;
    McStatus status{};
    const std::string said = error_of([&] { meet(free_port(), limits); }, &status);
    CHECK_EQ(status, MC_ERROR_DEVICE);
    CHECK(has(said, "Of 2 processes (WORLD_SIZE) rank 1 did not come within"));
    CHECK(has(said, "start motioncache-worker with this RANK"));
}

TEST(a_worker_without_rank_0_says_so) {
    Worker worker(free_port(), {"--wait", "1"});
    CHECK_EQ(worker.wait(), 1);
    CHECK(has(worker.said(), "Rank 1 does not find rank 0 at 127.0.0.1 port"));
}

TEST(a_worker_of_another_version_is_refused_on_both_sides) {
    const int port = free_port();
    Worker worker(port);
    ranks::Membership p = member(0, port);
    p.prefix = "motioncache/0/";
    McStatus status{};
    const std::string said = error_of([&] { ranks::Group(p, "motioncache 99", {}); }, &status);
    CHECK_EQ(status, MC_ERROR_DEVICE);
    CHECK(has(said, "This is motioncache 99 and rank 1 ("));
    CHECK(has(said, ": install the same version everywhere."));
    CHECK_EQ(worker.wait(), 1);
    CHECK(has(worker.said(), " and rank 0 (") &&
          has(worker.said(), " is motioncache 99: install the same version everywhere."));
}

TEST(other_weights_are_refused_by_the_worker) {
    const int port = free_port();
    const std::string folder = "/tmp/ranks_test.model." + std::to_string(::getpid());
    std::filesystem::copy(test::root + "/models/demo", folder, std::filesystem::copy_options::recursive);
    for (const auto& file : std::filesystem::directory_iterator(folder + "/transformer"))
        if (file.path().extension() == ".safetensors") {
            std::fstream weights(file.path(), std::ios::in | std::ios::out | std::ios::binary);
            weights.seekp(-1, std::ios::end);
            weights.put('\x3c');
        }
    {
        Worker worker(port, {"--model", folder});
        const std::string said = error_of([&] { demo(meet(port)); });
        CHECK(has(said, "rank 1 ("));
        CHECK(has(said, "are not those of rank 0's"));
        CHECK(has(said, "give all ranks the same model."));
    }
    std::filesystem::remove_all(folder);
}

TEST(cancelling_reaches_the_other_processes_and_leaves_them_at_work) {
    struct {
        int size;
        bool tokens_only;
    } ways[] = {{2, false}, {2, true}, {4, false}};
    for (const auto& way : ways) {
        const int port = free_port();
        const std::vector<Worker> others = workers(port, way.size);
        const auto group = meet(port, {}, way.size);
        const Model model = demo(group, Precision::FLOAT32, way.tokens_only);
        McCancel token;
        Request r = test::small();
        r.width = 256, r.height = 256, r.num_frames = 49, r.attention = Attention::FULL;
        r.cancel = Cancel(&token);
        const int64_t before = group->traffic().sent;
        std::thread later([&] {
            while (group->traffic().sent - before < 800000) std::this_thread::sleep_for(1ms); // the latents of an order
            std::this_thread::sleep_for(20ms);
            token.set = true;
        });
        McStatus status{};
        error_of([&] { video(model, r); }, &status);
        later.join();
        CHECK_EQ(status, MC_CANCELLED);
        for (const Worker& worker : others) CHECK(has(worker.said(), "rank 0 stopped an order")); // in its middle
        CHECK(at::equal(video(demo(nullptr), test::small()), video(model, test::small())));
    }
}

TEST(a_family_of_one_process_is_refused_before_the_others_are_met) {
    const std::string folder = "/tmp/ranks_test.magi1." + std::to_string(::getpid());
    const std::string model = test::write_small_magi1(folder);
    for (auto [name, value] :
         {std::pair("WORLD_SIZE", "2"), {"RANK", "0"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "1"}})
        ::setenv(name, value, 1);
    LoadOptions o;
    o.device = "cpu";
    Request r;
    r.prompt = "a red ball";
    McStatus status{};
    for (const auto& body :
         {std::function<void()>([&] { open_family(model, o); }), {[&] { check_early(model, o, r); }}}) {
        const std::string said = error_of(body, &status);
        CHECK_EQ(status, MC_ERROR_SETTINGS);
        CHECK(has(said, "This is one of 2 processes (WORLD_SIZE), but a video of this model, of the family magi1, is "
                        "made by one: unset WORLD_SIZE."));
    }
    for (const char* name : {"WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"}) ::unsetenv(name);
    std::filesystem::remove_all(folder);
}

TEST(memory_is_planned_for_the_part_of_rank_0) {
    const Model model = demo(nullptr);
    Request r = test::small();
    const auto plan = [&](wan_dit::Ranks ranks, double guidance) {
        r.guidance_scale = guidance;
        const auto settings = skyreels_v2::complete(r, *model);
        skyreels_v2::Planned planned = model->planned();
        planned.ranks = ranks;
        return skyreels_v2::plan_memory(
            settings, skyreels_v2::plan_windows(settings, skyreels_v2::inputs_of(r).grid, {}), planned);
    };
    const auto alone = plan({}, 6);
    for (wan_dit::Ranks ranks : {wan_dit::Ranks{2}, {2, true}})
        CHECK_EQ(plan(ranks, 6).keys_values, alone.keys_values / 2);
    CHECK_EQ(plan({4}, 6).keys_values, alone.keys_values / 4);
    CHECK_EQ(plan({4}, 1).keys_values, alone.keys_values / 8);
    // The velocities of both branches are here, and what is received of one.
    const int64_t velocity = model->vae_config.latent_channels * 5 * (64 / 8) * (48 / 8) * 4;
    CHECK(plan({2}, 6).activations >= plan({}, 1).activations + 2 * velocity);
    McStatus status{};
    CHECK(has(error_of([&] { plan({3}, 6); }, &status), "WORLD_SIZE=3 does not fit"));
    CHECK_EQ(status, MC_ERROR_SETTINGS);
}

// So that nobody has to copy it.
TEST(the_table_of_what_is_sent_is_what_the_worker_counts) {
    std::ifstream file(test::root + "/docs/ranks.md");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    FILE* counts = ::popen((worker_program + " --count").c_str(), "r");
    std::string table;
    for (char line[1024]; std::fgets(line, sizeof line, counts);) table += line;
    CHECK_EQ(::pclose(counts), 0);
    CHECK(table.size() > 200 && has(text, table));
}

int main(int argc, char** argv) {
    test::root = argv[1];
    worker_program = argv[2];
    if (argc > 4 && std::string(argv[3]) == "--make") {
        ::setenv("WORLD_SIZE", "2", 1), ::setenv("RANK", "0", 1);
        ::setenv("MASTER_ADDR", "127.0.0.1", 1), ::setenv("MASTER_PORT", argv[4], 1);
        LoadOptions o;
        o.device = "cpu";
        Session s(open_family(test::root + "/models/demo", o), test::small());
        return s.next() ? 0 : 1;
    }
    if (argc > 4 && std::string(argv[3]) == "--hold") {
        const ranks::Group group(member(0, std::atoi(argv[4]), 1), "test");
        for (;;) ::pause();
    }
    return test::run_tests(argc - 2, argv + 2);
}
