// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The part of NCCL's C interface that the CUDA module uses. Its library comes with LibTorch for CUDA, which is linked
// with it; its header comes with neither LibTorch nor the CUDA toolkit, and c10d's class for NCCL has structs of that
// header inside, whose size differs from one version of NCCL to the next. The C interface is the same in all versions
// since 2.14: a configuration says how long it is. nccl_link.cpp compares this with the header where there is one.
#include <cstddef>
#include <cuda_runtime_api.h>

namespace mc::nccl {

struct Communicator; // ncclComm
struct Key {         // ncclUniqueId
    char bytes[128];
};
enum Result : int { SUCCESS = 0, IN_PROGRESS = 7 }; // ncclResult_t; all others are faults
struct Config {                                      // ncclConfig_t as it was in 2.14
    size_t size = sizeof(Config);
    unsigned magic = 0xcafebeef, version = 21400;
    int blocking = 0;
};
constexpr int BYTES = 0; // of ncclDataType_t: ncclInt8

struct Functions {
    int (*GetVersion)(int* version);
    int (*GetUniqueId)(Key* key);
    int (*CommInitRankConfig)(Communicator** made, int size, Key key, int rank, Config* config);
    int (*CommGetAsyncError)(Communicator* of, int* result);
    int (*CommAbort)(Communicator* of);
    int (*GroupStart)();
    int (*GroupEnd)();
    int (*Send)(const void* from, size_t count, int type, int peer, Communicator* by, cudaStream_t stream);
    int (*Recv)(void* to, size_t count, int type, int peer, Communicator* by, cudaStream_t stream);
    const char* (*GetErrorString)(int result);
};
// Of the library that LibTorch has loaded, or another of that name; nullptr: there is none.
const Functions* functions();

} // namespace mc::nccl
