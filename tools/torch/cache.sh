# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced: the default location of LibTorch, outside the checkout, so that all clones share it.
torch_version=$(sed -n 's/^torch==\([^ ]*\).*/\1/p' "${BASH_SOURCE[0]%/*}/requirements.txt")
torch_cache="${MOTIONCACHE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/motioncachegen}"
torch_root="$torch_cache/libtorch-$torch_version" # holds torch/ and nvidia/, side by side as in Python's site-packages
