// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Other ranks for a test: processes that it starts, meets and ends.
#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "engine/ranks/group.h"

namespace mc::test {

inline std::string worker_program; // and what it is told before all other arguments:
inline std::vector<std::string> worker_begins;

inline int free_port() {
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ::bind(s, reinterpret_cast<sockaddr*>(&at), size);
    ::getsockname(s, reinterpret_cast<sockaddr*>(&at), &size);
    ::close(s);
    return ntohs(at.sin_port);
}

inline ranks::Membership member(int rank, int port, int size = 2) {
    ranks::Membership p;
    p.rank = rank, p.size = size, p.master = "127.0.0.1", p.port = port, p.prefix = "test/";
    return p;
}

// worker_program, as rank 1 of two unless said otherwise; ended by kill or with the test.
class Worker {
  public:
    explicit Worker(int port, std::vector<std::string> arguments = {}, int rank = 1, int size = 2) {
        for (int n : {::getpid(), port, rank}) log_ += "." + std::to_string(n);
        pid_ = ::fork();
        if (pid_) return;
        for (auto [name, value] : {std::pair("RANK", std::to_string(rank)), {"WORLD_SIZE", std::to_string(size)},
                                   {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", std::to_string(port)}})
            ::setenv(name, value.c_str(), 1);
        if (!std::freopen(log_.c_str(), "w", stderr)) ::_exit(9);
        arguments.insert(arguments.begin(), worker_begins.begin(), worker_begins.end());
        std::vector<char*> list{worker_program.data()};
        for (std::string& a : arguments) list.push_back(a.data());
        list.push_back(nullptr);
        ::execv(worker_program.c_str(), list.data());
        ::_exit(9);
    }
    Worker(Worker&& other) : pid_(std::exchange(other.pid_, 0)), log_(std::exchange(other.log_, {})) {}
    ~Worker() {
        if (pid_ > 0) kill(SIGKILL), wait();
        ::unlink(log_.c_str());
    }
    void kill(int signal) { ::kill(pid_, signal); }
    int wait() { // status
        int status = 0;
        ::waitpid(std::exchange(pid_, 0), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    std::string said() const {
        std::ifstream file(log_);
        return {std::istreambuf_iterator<char>(file), {}};
    }

  private:
    pid_t pid_ = 0;
    std::string log_ = "/tmp/ranks_test";
};

// All ranks but 0, of one thread each.
inline std::vector<Worker> workers(int port, int size) {
    std::vector<Worker> list;
    const std::vector<std::string> arguments{"--threads", "1"};
    for (int rank = 1; rank < size; rank++) list.emplace_back(port, arguments, rank, size);
    return list;
}

inline std::shared_ptr<ranks::Group> meet(int port, ranks::Limits limits = {}, int size = 2) {
    ranks::Membership p = member(0, port, size);
    p.prefix = "motioncache/0/"; // as the worker reads it of its environment
    return std::make_shared<ranks::Group>(p, ranks::version(), limits);
}

inline double seconds_of(const std::function<void()>& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline std::string error_of(const std::function<void()>& body, McStatus* status = nullptr) {
    try {
        body();
    } catch (const Error& e) {
        if (status) *status = e.status;
        return e.what();
    }
    return "";
}
inline bool has(const std::string& text, const std::string& part) {
    if (text.find(part) != std::string::npos) return true;
    std::fprintf(stderr, "     not in: %s\n", text.c_str());
    return false;
}

} // namespace mc::test
