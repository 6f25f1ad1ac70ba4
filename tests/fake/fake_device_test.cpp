// SPDX-License-Identifier: LGPL-2.1-or-later
// What the fake device must do, so that tests on it can fail: compute, refuse mixed devices, fault on the host's touch,
// count waits, notice races, run out of memory.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/device.h"
#include "engine/own_stream.h"
#include "tests/check.h"
#include "tests/fake/fake_device.h"

using namespace mc;

namespace {

const at::Device device = fake::device();
const at::TensorOptions there(device);

std::string thrown(const std::function<void()>& f) {
    try {
        f();
        return {};
    } catch (const c10::Error& e) {
        return e.what_without_backtrace();
    }
}
bool says(const std::string& text, const char* words) {
    return text.find(words) != std::string::npos;
}
int64_t waits_of(const std::function<void()>& f) {
    const int64_t before = fake::counts.waits;
    f();
    return fake::counts.waits - before;
}
at::Tensor heads(const at::Tensor& t) {
    return t.unflatten(1, {4, 16}).transpose(0, 1).unsqueeze(0);
}

} // namespace

TEST(it_computes) {
    at::Tensor a = at::randn({40, 64}), b = at::randn({64, 32});
    CHECK(at::allclose(at::mm(a.to(device), b.to(device)).cpu(), at::mm(a, b)));
    CHECK(at::allclose((2.5 * a.to(device) + 1).cpu(), 2.5 * a + 1));

    at::Tensor store = at::zeros({50, 64}, there), index = at::tensor({3, 1, 40}, at::kLong);
    at::Tensor want = at::zeros({50, 64}).index_copy_(0, index, a.narrow(0, 0, 3));
    store.index_copy_(0, index.to(device), a.narrow(0, 0, 3).to(device));
    CHECK(at::equal(store.cpu(), want));
    CHECK(at::equal(store.narrow(0, 1, 3).cpu(), want.narrow(0, 1, 3)));

    at::Tensor q = a.to(at::kBFloat16), k = want.to(at::kBFloat16);
    at::Tensor cpu = at::scaled_dot_product_attention(heads(q), heads(k), heads(k));
    at::Tensor dev =
        at::scaled_dot_product_attention(heads(q.to(device)), heads(k.to(device)), heads(k.to(device)));
    CHECK(at::allclose(dev.cpu().to(at::kFloat), cpu.to(at::kFloat), 1e-2, 1e-2));
}

TEST(it_refuses_what_a_gpu_refuses) {
    at::Tensor a = at::randn({40, 64}), b = a.to(device), index = at::tensor({3, 1}, at::kLong);
    CHECK(says(thrown([&] { (void)(a - b); }), "same device"));
    CHECK(says(thrown([&] { at::cat({a, b}); }), "same device"));
    CHECK(says(thrown([&] { b.index_select(0, index); }), "same device"));
    CHECK(says(thrown([&] { b.index({std::optional(index)}); }), "same device"));
    // Of another device of the same kind.
    at::Tensor other = a.to(fake::device(1));
    CHECK(says(thrown([&] { (void)(b - other); }), "same device"));
    CHECK(says(thrown([&] { (void)(other - b); }), "same device"));
    CHECK(says(thrown([&] { at::cat({b, other}); }), "same device"));
    CHECK(says(thrown([&] { (void)(b * other.sum()); }), "same device"));
    CHECK(says(thrown([&] { at::mm(b, other.t()); }), "same device"));
    CHECK(says(thrown([&] { b.index_select(0, index.to(fake::device(1))); }), "same device"));
    const at::Tensor k = heads(other);
    CHECK(says(thrown([&] { at::scaled_dot_product_attention(heads(b), k, k); }), "same device"));
    CHECK(says(thrown([&] { at::_addmm_activation(other[0].narrow(0, 0, 40), b, b.t()); }), "different devices"));
    CHECK(at::equal(other.to(device).cpu(), a)); // which is how they meet
    at::Tensor q = b.to(at::kBFloat16), mask = at::zeros({1, 1, 1, 40}, there).expand({1, 4, 40, 40});
    CHECK(says(thrown([&] { at::scaled_dot_product_attention(heads(q), heads(q), heads(q), mask); }),
               "invalid dtype for bias"));
}

TEST(the_hosts_touch_faults) {
    at::Tensor store = at::zeros({50}, there);
    const float* p = store.const_data_ptr<float>();
    std::fflush(stdout);
    const pid_t child = fork();
    if (!child) _exit(p[0] == 0 ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

TEST(memory_is_full_of_nan_and_ends) {
    CHECK(at::isnan(at::empty({4}, there).cpu()).all().item<bool>());
    CHECK(says(thrown([&] { at::empty({int64_t(1) << 40}, there); }), "out of memory"));

    auto* allocator = c10::getDeviceAllocator(device.type());
    allocator->emptyCache();
    const size_t before = fake::use().reserved;
    at::Tensor big = at::empty({1 << 20}, there);
    CHECK_EQ(fake::use().used, before + (4 << 20));
    big.reset();
    CHECK_EQ(fake::use().used, before);
    CHECK_EQ(fake::use().reserved, before + (4 << 20)); // kept
    CHECK_EQ(allocator->getMemoryInfo(0).first, fake::ALL - fake::use().reserved);
    allocator->emptyCache();
    CHECK_EQ(fake::use().reserved, before);

    fake::set_capacity(before + (5 << 20));
    big = at::empty({1 << 20}, there);
    CHECK(says(thrown([&] { at::empty({1 << 20}, there); }), "out of memory"));
    big.reset();
    at::empty({(1 << 20) + 1000}, there); // in place of what was kept
    fake::set_capacity(fake::ALL);
}

TEST(any_allocation_can_fail) {
    for (auto [how, words] : {std::pair(fake::Failure::ALLOCATOR, "out of memory"),
                              std::pair(fake::Failure::LIBRARY, "ALLOC_FAILED")}) {
        fake::fail(how, 1);
        at::Tensor first = at::empty({4}, there);
        CHECK(says(thrown([&] { at::empty({4}, there); }), words));
        at::empty({4}, there);
    }
    at::Tensor a = at::ones({4}, there);
    const auto pinned = [] { return at::ones({4}, at::TensorOptions().pinned_memory(true)); };
    fake::fail(fake::Failure::ALLOCATOR, 0);
    CHECK(says(thrown([&] { pinned(); }), "CUDA error: out of memory"));
    CHECK(fake::failed_pinned());
    pinned();
    fake::fail(fake::Failure::ALLOCATOR, 0);
    thrown([&] { at::empty({4}, there); });
    CHECK(!fake::failed_pinned());
    fake::fail(fake::Failure::LOST, 0);
    CHECK(says(thrown([&] { at::empty({4}, there); }), "CUDA error"));
    CHECK(says(thrown([&] { a.cpu(); }), "CUDA error")); // from then on
    fake::fail(fake::Failure::NONE, 0);
}

// As much in each stream that had one, once, until it is told to give it back or other work begins.
TEST(products_take_memory_of_their_own) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    give_back_memory(device);
    const size_t before = fake::use().used;
    const auto held = [&] { return fake::use().used - before; };
    const auto product = [] { at::mm(at::ones({4, 4}, there), at::ones({4, 4}, there)); };
    product(), product();
    CHECK_EQ(held(), fake::WORKSPACE);
    std::vector<c10::StreamId> streams;
    for (int i = 0; i < 3; i++) { // one after the other they work in the same one
        const OwnStream own(device);
        const InStream in_stream(own.get());
        streams.push_back(own.get()->id());
        CHECK_EQ(held(), size_t(0)); // nobody was at work
        product(), product();
        give_back_memory(device); // somebody is
        const OwnStream other(device);
        CHECK_EQ(held(), fake::WORKSPACE);
    }
    CHECK(streams[0] && streams[1] == streams[0] && streams[2] == streams[0]);
    {
        const OwnStream one(device), two(device), there_too(fake::device(1));
        CHECK(one.get()->id() != two.get()->id() && there_too.get()->device() == fake::device(1));
    }
    CHECK_EQ(workspace_bytes(device), int64_t(fake::WORKSPACE));
    CHECK_EQ(workspace_bytes(at::kCPU), 0);
    product();
    CHECK_EQ(held(), fake::WORKSPACE);
    give_back_memory(device);
    CHECK_EQ(held(), size_t(0));
}

TEST(waits_are_counted) {
    at::Tensor a = at::ones({8}, there), host = at::ones({8});
    at::Tensor pinned = at::ones({8}, at::TensorOptions().pinned_memory(true));
    CHECK_EQ(waits_of([&] { (void)(a + a).mul_(3); }), 0);
    CHECK_EQ(waits_of([&] { a.sum().item<float>(); }), 1);
    CHECK_EQ(waits_of([&] { a.cpu(); }), 1);
    CHECK_EQ(waits_of([&] { host.to(device); }), 1);
    CHECK_EQ(waits_of([&] { host.to(device, at::kFloat, true); }), 1);
    CHECK_EQ(waits_of([&] { pinned.to(device); }), 1);
    CHECK_EQ(waits_of([&] { a.copy_(pinned, true); }), 0);
    CHECK_EQ(waits_of([&] { c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(0); }), 1);
}

TEST(races_are_noticed) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    at::Tensor a = at::ones({8}, there);
    {
        const c10::StreamGuard stream(guard.getStreamFromGlobalPool(device));
        CHECK(says(thrown([&] { (void)(a + 1); }), "a race"));
        guard.synchronizeDevice(0);
        at::Tensor b = a + 1;
        CHECK_EQ(fake::counts.races.load(), 1);
    }
    CHECK(says(thrown([&] { a.add_(1); }), "a race")); // the other stream may still read it
    guard.synchronizeDevice(0);
    a.add_(1);
    at::Tensor pinned = at::ones({8}, at::TensorOptions().pinned_memory(true));
    a.copy_(pinned, true);
    pinned.fill_(2);
    CHECK(says(thrown([&] { guard.synchronizeDevice(0); }), "a race"));
    fake::counts.races = 0;
}

// In place of a wait of the host: a stream that blocks on an event may use what was done before it, and what that had
// waited for, and nothing later.
TEST(events_order_streams) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    const c10::Stream here = guard.getStream(device), one = guard.getStreamFromGlobalPool(device),
                      two = guard.getStreamFromGlobalPool(device);
    fake::counts.races = 0;
    guard.synchronizeDevice(0);
    const int64_t waits = fake::counts.waits;
    at::Tensor a = at::ones({8}, there), b = at::ones({8}, there);
    c10::Event made(device.type()), changed(device.type());
    made.record(here);
    a.add_(1); // behind the event
    made.block(one);
    {
        const c10::StreamGuard stream(one);
        b.add_(1);
        CHECK(says(thrown([&] { (void)(a + 1); }), "a race"));
        changed.record(one);
    }
    CHECK(says(thrown([&] { (void)(b + 1); }), "a race"));
    changed.block(two);
    {
        const c10::StreamGuard stream(two);
        (void)(b + 1);
    }
    changed.record(two);
    changed.block(here); // and with it what stream two had waited for
    b.add_(1);
    CHECK_EQ(fake::counts.races.load(), 2);
    CHECK_EQ(fake::counts.waits - waits, 0);
    guard.synchronizeDevice(0);
    fake::counts.races = 0;
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    at::set_num_threads(1);
    return test::run_tests(argc, argv);
}
