// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Numbers, texts and tensors in a row of bytes, read back in the order in which they were put. Both sides are of the
// same version (Group sees to that), so nothing says what comes next.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace mc::ranks {

class Message {
  public:
    Message() = default;
    explicit Message(std::vector<char> bytes) : bytes_(std::move(bytes)) {}
    const std::vector<char>& bytes() const { return bytes_; }

    template <typename T>
        requires std::is_trivially_copyable_v<T>
    void put(const T& value) {
        append(&value, sizeof value);
    }
    template <typename T>
        requires std::is_trivially_copyable_v<T>
    void put(const std::vector<T>& list) {
        put(int64_t(list.size()));
        append(list.data(), list.size() * sizeof(T));
    }
    void put(const std::string& text);
    void put(const at::Tensor& t); // on the CPU from then on

    template <typename T>
        requires std::is_trivially_copyable_v<T>
    void get(T& value) {
        std::memcpy(&value, take(sizeof value), sizeof value);
    }
    template <typename T>
        requires std::is_trivially_copyable_v<T>
    void get(std::vector<T>& list) {
        const size_t count = length(sizeof(T));
        list.resize(count);
        if (count) std::memcpy(list.data(), take(count * sizeof(T)), count * sizeof(T));
    }
    void get(std::string& text);
    void get(at::Tensor& t);
    template <typename T>
    T get() {
        T value{};
        get(value);
        return value;
    }

  private:
    void append(const void* from, size_t size);
    const char* take(size_t size);  // throws MC_ERROR_INTERNAL beyond the end
    size_t length(size_t element);  // of a list, no longer than what is left
    std::vector<char> bytes_;
    size_t read_ = 0;
};

} // namespace mc::ranks
