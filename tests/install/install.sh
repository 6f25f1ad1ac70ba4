#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# install.sh BUILD PREFIX: what `meson install` puts down works where it lies, without anything of the build tree.
set -euo pipefail
build=$1 prefix=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
meson install --quiet --no-rebuild --destdir "$tmp" -C "$build"
root=$tmp$prefix
plugin=$(find "$root" -path '*/gstreamer-1.0/libgstmotioncache.so')
engine=$(find "$root" -path '*/motioncache/libmotioncache.so')
[ -n "$plugin" ] && [ -n "$engine" ] || fail "plugin or engine was not installed"
unset MOTIONCACHE_ENGINE_DIR MOTIONCACHE_ENGINE MOTIONCACHE_MODEL LD_LIBRARY_PATH
ldd "$engine" | grep 'not found' && fail "the installed engine misses libraries"
# Staged below $tmp, the model is not at the place that the plugin has built in.
GST_PLUGIN_PATH="${plugin%/*}" GST_REGISTRY="$tmp/registry" \
    gst-launch-1.0 motioncachegen prompt="a red ball" num-frames=5 steps=1 model-path="$root/share/motioncachegen/models/demo" ! \
    fakesink || fail "the installed element does not run"

export PKG_CONFIG_PATH="$(dirname "$(find "$root" -name motioncache.pc)")" PKG_CONFIG_SYSROOT_DIR=$tmp
cat >"$tmp/user.c" <<'C'
#include <motioncache.h>
#include <stdio.h>
int main (void)
{
  McError error;
  McModelOptions options;
  mc_model_options_init (&options, sizeof options);
  options.path = "/nowhere";
  if (mc_model_open (&options, &error) != NULL)
    return 1;
  puts (error.message);
  return error.status != MC_ERROR_NOT_FOUND;
}
C
# shellcheck disable=SC2046
gcc -std=c99 -Wall -Wextra -Werror "$tmp/user.c" -o "$tmp/user" $(pkg-config --cflags --libs motioncache) -Wl,-rpath,"${engine%/*}" ||
    fail "a C program does not build with the installed header"
"$tmp/user" || fail "a C program does not run with the installed library"
cat >"$tmp/meta.c" <<'C'
#include <gst/motioncachemeta.h>
int main (int argc, char **argv)
{
  GstMotionCacheFacts facts;
  gst_init (&argc, &argv);
  return gst_motion_cache_facts_read (gst_buffer_new (), &facts);
}
C
# GStreamer's own headers are not below $tmp.
unset PKG_CONFIG_SYSROOT_DIR
# shellcheck disable=SC2046
gcc -std=c99 -Wall -Wextra -Werror "$tmp/meta.c" -o "$tmp/meta" -I"$root/include" $(pkg-config --cflags --libs gstreamer-1.0) &&
    "$tmp/meta" || fail "a C program does not build or run with the header of the frames' metadata"
