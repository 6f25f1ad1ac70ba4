// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// LibTorch's packages have Gloo in their library and c10d's header of it, which names Gloo's own headers, but not
// those. This stands for all of them: what that header needs to be compiled. c10d holds each of these classes by
// pointer, so nothing here decides about the size or the order of anything.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace gloo {
class Context {
  public:
    void setTimeout(std::chrono::milliseconds timeout);
};
namespace transport {
class Device;
class UnboundBuffer {
  public:
    virtual ~UnboundBuffer();
};
} // namespace transport
namespace rendezvous {
class Store { // none is made or called from here
  public:
    virtual ~Store();
    virtual void set(const std::string& key, const std::vector<char>& data) = 0;
    virtual std::vector<char> get(const std::string& key) = 0;
    virtual void wait(const std::vector<std::string>& keys) = 0;
    virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};
} // namespace rendezvous
} // namespace gloo
