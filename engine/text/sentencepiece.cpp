// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/sentencepiece.h"

#include <dlfcn.h>

#include "engine/error.h"
#include "engine/module_path.h"

namespace mc::text {

// Its own symbols first, those of the process after them. The sanitizers allow no such library: under them the
// clash stays in programs that are linked with LibTorch, and is not there where the element loads the engine.
#ifdef __SANITIZE_ADDRESS__
constexpr int FLAGS = RTLD_NOW | RTLD_LOCAL;
#else
constexpr int FLAGS = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#endif

static decltype(&mc_sentencepiece_new) load_module() {
    const std::string path = module_path("libmotioncache-sentencepiece.so");
    const auto missing = [&](const std::string& reason) {
        return Error(MC_ERROR_NOT_FOUND,
                     "The tokenizer's library " + path +
                         " cannot be loaded; install motioncachegen again, and "
                         "libsentencepiece0.",
                     reason);
    };
    // Never closed: tokenizers live on.
    void* library = dlopen(path.c_str(), FLAGS);
    if (!library) throw missing(dlerror());
    void* make = dlsym(library, "mc_sentencepiece_new");
    if (!make) throw missing(dlerror());
    return reinterpret_cast<decltype(&mc_sentencepiece_new)>(make);
}

std::unique_ptr<SentencePiece> make_sentencepiece() {
    static const auto make = load_module();
    return std::unique_ptr<SentencePiece>(make());
}

} // namespace mc::text
