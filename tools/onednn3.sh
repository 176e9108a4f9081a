#!/bin/sh
# tools/onednn3.sh PREFIX: makes PREFIX an installation of oneDNN 3.2 for GNU OpenMP (headers and
# library, from PyPI), to build and test against beside the system's 2.6:
#   cmake -S . -B build-onednn3 -G Ninja -DKONTEXT_ONEDNN_ROOT=PREFIX
set -eu
if [ $# -ne 1 ]; then
  echo "usage: tools/onednn3.sh PREFIX" >&2
  exit 2
fi
prefix=$1
# 2023.2.0 is the last release of these two packages; they hold oneDNN 3.2.
version=2023.2.0
python3 -m venv "$prefix/venv"
"$prefix/venv/bin/pip" install --quiet --disable-pip-version-check \
  "onednn-devel-cpu-gomp==$version" "onednn-cpu-gomp==$version"
# pip puts a package's data files under the environment's own prefix.
mkdir -p "$prefix/include" "$prefix/lib"
cp -R "$prefix/venv/include/oneapi" "$prefix/include/"
cp -P "$prefix"/venv/lib/libdnnl.so* "$prefix/lib/"
rm -rf "$prefix/venv"
test -f "$prefix/include/oneapi/dnnl/dnnl.hpp"
test -e "$prefix/lib/libdnnl.so"
echo "oneDNN 3.2 is in $prefix"
