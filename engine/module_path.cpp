// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/module_path.h"

#include <dlfcn.h>
#include <filesystem>

namespace mc {

namespace fs = std::filesystem;

std::string module_path(const std::string& file) {
    Dl_info info;
    fs::path self = dladdr(reinterpret_cast<void*>(&module_path), &info) ? info.dli_fname : "";
    // A program's own name is what it was called by: found on PATH, it has no folder.
    if (std::error_code unknown; !self.has_parent_path()) self = fs::read_symlink("/proc/self/exe", unknown);
    const fs::path here = fs::absolute(self).lexically_normal().parent_path();
    // Programs of the build tree stand in tests/…, tests/families/… and tools/…, installed ones in bin.
    for (const fs::path& folder :
         {here, here / "../../engine", here / "../../../engine", here / ".." / LIBDIR / "motioncache"}) {
        std::error_code error;
        if (fs::exists(folder / file, error)) return fs::canonical(folder / file, error).string();
    }
    return (here / file).string();
}

} // namespace mc
