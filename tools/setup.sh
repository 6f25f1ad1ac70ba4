# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the scripts of pipelines/, tests/ and tools/: from a fresh machine to a build folder. Every step
# checks first, and does nothing when nothing is missing.
source "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

say() { printf '\033[1m%s\033[0m\n' "$*"; }
die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# need_packages NAME...: installs the missing ones, as root or with sudo. Where that is not possible it prints the one
# line to run instead and ends the script with 2.
need_packages() {
    if ! command -v apt-get >/dev/null; then
        command -v meson ninja gst-launch-1.0 >/dev/null && return
        die "No apt-get here. Install what Debian 12 calls: $*"
    fi
    local missing
    missing=$(comm -23 <(printf '%s\n' "$@" | sort) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort -u) | xargs)
    [ -n "$missing" ] || return 0
    local line="apt-get update && apt-get install -y --no-install-recommends $missing" as_root=()
    if [ "$(id -u)" != 0 ]; then
        # sudo may ask for a password only where somebody can type one.
        if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            as_root=(sudo)
        else
            printf 'Packages are missing and this user may not install them. Run this line, then start again:\n\n' >&2
            command -v sudo >/dev/null && printf "  sudo sh -c '%s'\n" "$line" >&2 || printf "  su -c '%s'\n" "$line" >&2
            exit 2
        fi
    fi
    say "Installing with apt: $missing"
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" sh -c "$line" </dev/null >"${TMPDIR:-/tmp}/motioncachegen-apt.$$.log" 2>&1 || {
        tail -n 15 "${TMPDIR:-/tmp}/motioncachegen-apt.$$.log" >&2
        die "apt could not install the packages. Run this line as root, then start again:

  $line"
    }
    rm -f "${TMPDIR:-/tmp}/motioncachegen-apt.$$.log"
}

# need_torch: LibTorch in its cache, unless TORCH_DIR names one.
need_torch() {
    [ -n "${TORCH_DIR-}" ] || tools/torch/fetch.sh || die "LibTorch could not be fetched. TORCH_DIR=FOLDER uses one that is already on this machine."
}

# need_gst_cuda: what the module for frames on a GPU is compiled with. Debian's package of it depends on 142 others, for
# libraries that lie beside this one, so it is unpacked, into the cache, and not installed. Where it cannot be fetched,
# the module is left out. knows_gst_cuda FOLDER, once that is set up, tells it to one that was set up without.
need_gst_cuda() {
    local runtime=libgstreamer-plugins-bad1.0-0 package=libgstreamer-plugins-bad1.0-dev version library staging
    gst_cuda=
    ! pkg-config --exists gstreamer-cuda-1.0 2>/dev/null || return 0
    version=$(dpkg-query -W -f '${Version}' $runtime 2>/dev/null) || return 0
    library=$(dpkg-query -L $runtime | grep '/libgstcuda-1\.0\.so\.0$') || return 0
    gst_cuda=$(source tools/torch/cache.sh && echo "$torch_cache")/gstreamer-cuda-$version
    if [ ! -f "$gst_cuda/gstreamer-cuda-1.0.pc" ]; then
        say "Fetching GStreamer's headers for CUDA (0.4 MB, once)"
        mkdir -p "${gst_cuda%/*}"
        staging=$(mktemp -d "$gst_cuda.XXXXXX")
        (cd "$staging" && timeout 120 apt-get download -qq "$package=$version" && dpkg -x ./*.deb all) >/dev/null 2>&1 || {
            rm -r "$staging"
            say "$package=$version cannot be fetched here: the module for frames on a GPU is left out"
            gst_cuda=
            return 0
        }
        mv "$staging/all/usr/include" "$staging/include"
        ln -s "$library" "$staging/libgstcuda-1.0.so"
        sed "s|^includedir=.*|includedir=$gst_cuda/include|; s|^libdir=.*|libdir=$gst_cuda|" \
            "$staging"/all/usr/lib/*/pkgconfig/gstreamer-cuda-1.0.pc >"$staging/gstreamer-cuda-1.0.pc"
        rm -r "$staging/all" "$staging"/*.deb && chmod 755 "$staging"
        mv -T "$staging" "$gst_cuda" 2>/dev/null || rm -r "$staging" # another run was first
    fi
    export PKG_CONFIG_PATH=$gst_cuda${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} # a folder remembers what it was set up with
}
knows_gst_cuda() {
    [ -z "$gst_cuda" ] || grep -qsF "$gst_cuda" "$1/meson-info/intro-buildoptions.json" ||
        meson configure "$1" -Dpkg_config_path="$PKG_CONFIG_PATH" >/dev/null
}

# build FOLDER: builds all that is to be installed.
build() {
    if ! ninja -C "$1" -n | grep -q 'no work to do'; then
        say "Building (a few minutes, once)"
        ninja -C "$1" --quiet
    fi
}

# configure FOLDER OPTION...: sets the build folder up once; again only when the options have changed. A folder that
# somebody set up by hand is used as it is.
configure() {
    local folder=$1 wanted="${*:2} torch_dir=${TORCH_DIR-$(tools/torch/find.sh)}" again=()
    if [ -f "$folder/build.ninja" ]; then
        [ ! -f "$folder/setup-options" ] || [ "$(cat "$folder/setup-options")" = "$wanted" ] && return
        again=(--wipe)
    fi
    say "Setting up $folder"
    meson setup "${again[@]}" "$folder" "${@:2}" -Dtorch_dir="${TORCH_DIR-}" >"$folder.log" 2>&1 || {
        tail -n 15 "$folder.log" >&2
        die "meson could not set up $folder"
    }
    mv "$folder.log" "$folder/setup.log"
    printf '%s\n' "$wanted" >"$folder/setup-options"
}

# in_build FOLDER COMMAND...: runs it in FOLDER with what is in build/, in place of this shell: so Ctrl-C reaches the
# command, and nothing ends before it, as meson with its environment would.
in_build() {
    set +u
    eval "$(meson devenv -C build --dump)"
    set -u
    cd "$1"
    shift
    exec "$@"
}
