# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced: the Debian 12 packages needed to build, run and test.
packages_build=(
    g++ meson ninja-build pkg-config
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
    libgdk-pixbuf-2.0-dev # pictures for `image` and `end-image`
    libhwy-dev nlohmann-json3-dev libsentencepiece-dev
    unzip python3-pip # tools/torch/fetch.sh
)
packages_play=(
    gstreamer1.0-tools
    gstreamer1.0-plugins-base # videoconvert and friends
    gstreamer1.0-plugins-good # mp4mux
    gstreamer1.0-plugins-ugly # x264enc
)
packages_stream=(
    gstreamer1.0-plugins-bad           # hlssink2, rtmp2sink, srtsink, voaacenc
    python3-gi gir1.2-gstreamer-1.0    # pipelines/stream
)
packages_live=(
    gstreamer1.0-nice gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 # WebRTC, pipelines/live
)
packages_debian=(
    build-essential debhelper dpkg-dev fakeroot patchelf # debian/build.sh
)
packages_server=(
    nginx libnginx-mod-rtmp # pipelines/soak
)
packages_fuzz=(
    clang libclang-rt-14-dev llvm # the fuzzers, and what of the parsers they reach
)
packages_test=(
    gstreamer1.0-plugins-base-apps # gst-play-1.0
    gstreamer1.0-libav ffmpeg    # read back what was written
    "${packages_stream[@]}" "${packages_server[@]}"
    "${packages_live[@]}" chromium
    "${packages_fuzz[@]}"
    valgrind                     # tests/element/valgrind.sh
    git                          # README.md's commands in a clean clone
)
