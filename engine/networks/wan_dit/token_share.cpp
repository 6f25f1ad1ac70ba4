// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/token_share.h"

#include <ATen/ATen.h>
#include <cstring>
#include <exception>
#include <utility>

#include "engine/error.h"

namespace mc::wan_dit {

TokenShare::TokenShare(ranks::Group& group, int leader, int count, int64_t width, int64_t heads, int64_t most,
                       const at::TensorOptions& activations, std::shared_ptr<ranks::DeviceLink> link)
    : group_(group), leader_(leader), count_(count), me_(group.rank() - leader), width_(width), heads_(heads),
      link_(std::move(link)) {
    const int64_t here = most / count + 1;
    leaving_ = at::empty({3 * here * width}, activations);
    arrived_ = at::empty({3 * most * (width / count)}, activations);
    attended_ = at::empty({most * (width / count)}, activations);
    returned_ = at::empty({here * width}, activations);
}

int64_t TokenShare::bytes(int64_t width, int count, int64_t most, int64_t element) {
    return 8 * (most / count + 1) * width * element;
}

void TokenShare::begin(int64_t rows) {
    rows_ = rows;
    stopped_ = false;
}

void* TokenShare::at(const at::Tensor& memory, int64_t element) {
    return static_cast<char*>(const_cast<void*>(memory.const_data_ptr())) +
           element * static_cast<int64_t>(memory.element_size());
}

void TokenShare::put(Part part, int64_t row, const void* values) {
    const int64_t here = last() - first(), local = row - first(), W = width();
    const size_t bytes = W * leaving_.element_size();
    for (int m = 0; m < count_; m++)
        std::memcpy(m == me_ ? slot(part, row) : at(leaving_, ((m * 3 + part) * here + local) * W),
                    static_cast<const char*>(values) + m * bytes, bytes);
}

void* TokenShare::slot(Part part, int64_t row) const {
    int m = 0;
    while (row >= first_of(m + 1)) m++;
    const int64_t its = first_of(m), there = first_of(m + 1) - its;
    return at(arrived_, (3 * its + part * there + row - its) * width());
}

void TokenShare::to_heads(Cancel cancel) {
    // The leader says each time whether all go on, so that none waits for what no other sends.
    at::Tensor go_on = at::ones({1}, at::kLong);
    std::exception_ptr stop;
    if (me_ == 0) try {
            cancel.check();
        } catch (const Error&) {
            stop = std::current_exception();
            go_on.zero_();
        }
    std::vector<ranks::Piece> to, from;
    if (me_ > 0) from.push_back({leader_, go_on});
    const int64_t here = 3 * (last() - first()) * width();
    for (int m = 0; m < count_; m++) {
        if (m == me_) continue;
        if (me_ == 0) to.push_back({leader_ + m, go_on});
        to.push_back({leader_ + m, leaving_.narrow(0, m * here, here)});
        from.push_back({leader_ + m, arrived_.narrow(0, 3 * first_of(m) * width(),
                                           3 * (first_of(m + 1) - first_of(m)) * width())});
    }
    group_.exchange(to, from, link_.get());
    if (go_on.item<int64_t>()) return;
    stopped_ = true;
    if (stop) std::rethrow_exception(stop);
    throw Error(MC_CANCELLED, "Cancelled.");
}

void TokenShare::to_rows() {
    std::vector<ranks::Piece> to, from;
    const int64_t here = (last() - first()) * width();
    for (int m = 0; m < count_; m++) {
        if (m == me_) continue;
        const int64_t there = first_of(m + 1) - first_of(m);
        to.push_back({leader_ + m, attended_.narrow(0, first_of(m) * width(), there * width())});
        from.push_back({leader_ + m, returned_.narrow(0, m * here, here)});
    }
    group_.exchange(to, from, link_.get());
}

void TokenShare::take(int64_t row, void* values) const {
    const int64_t here = last() - first(), W = width();
    const size_t bytes = W * returned_.element_size();
    for (int m = 0; m < count_; m++)
        std::memcpy(static_cast<char*>(values) + m * bytes,
                    m == me_ ? at(attended_, row * W) : at(returned_, (m * here + row - first()) * W), bytes);
}

void TokenShare::leave() {
    if (!std::exchange(stopped_, false)) group_.break_off();
}

void TokenShare::collect(const at::Tensor& mine, const at::Tensor& all) {
    std::vector<ranks::Piece> to, from;
    if (me_ > 0) to.push_back({leader_, mine});
    for (int m = 1; m < count_ && me_ == 0; m++)
        from.push_back({leader_ + m, all.narrow(0, first_of(m), first_of(m + 1) - first_of(m))});
    group_.exchange(to, from, link_.get());
}

void TokenShare::put(const at::Tensor& parts) {
    const int64_t here = last() - first(), W = width();
    const at::Tensor by_member = parts.view({3, here, count_, W}).permute({2, 0, 1, 3});
    leaving_.narrow(0, 0, 3 * here * width_).view({count_, 3, here, W}).copy_(by_member);
    arrived_.narrow(0, 3 * first() * W, 3 * here * W).view({3, here, W}).copy_(by_member[me_]);
}

at::Tensor TokenShare::of_heads(std::initializer_list<Part> parts) const {
    std::vector<at::Tensor> list;
    for (Part part : parts)
        for (int m = 0; m < count_; m++) {
            const int64_t its = first_of(m), there = first_of(m + 1) - its, W = width();
            list.push_back(arrived_.narrow(0, (3 * its + part * there) * W, there * W).view({there, W}));
        }
    return at::cat(list);
}

void TokenShare::attended(const at::Tensor& rows) {
    attended_.narrow(0, 0, rows_ * width()).view({rows_, width()}).copy_(rows);
}

at::Tensor TokenShare::take() const {
    const int64_t here = last() - first(), W = width();
    std::vector<at::Tensor> heads;
    for (int m = 0; m < count_; m++) {
        const at::Tensor part = m == me_ ? attended_.narrow(0, first() * W, here * W)
                                         : returned_.narrow(0, m * here * W, here * W);
        heads.push_back(part.view({here, W}));
    }
    return at::cat(heads, 1);
}

} // namespace mc::wan_dit
