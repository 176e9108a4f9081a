#!/bin/sh
# Installs what the build needs on Debian 12 and is not there yet; elsewhere, or without root, it says what to
# install and stops. With the word "tests" it also sees to what `make test` needs, with "checks" to what .ci/run and
# `make test-full` need.
#   tools/setup.sh [tests|checks]
set -eu

packages="g++ make cmake ninja-build pkg-config python3 git
  libdnnl-dev libhwy-dev libsentencepiece-dev libicu-dev nlohmann-json3-dev libcli11-dev libfmt-dev
  libpng-dev libjpeg62-turbo-dev libwebp-dev liblcms2-dev libexif-dev libssl-dev libpoco-dev libsqlite3-dev libgtest-dev libgmock-dev"
# clang for the fuzzers with its run-time (libclang-rt-dev), libomp-dev because it then compiles our OpenMP code, venv for tools/onednn3.sh, ccache because
# the same files are built against two versions of oneDNN.
# chromium runs the studio's tests, openssl makes certificates for those of HTTPS, python3-venv holds the clients of tests/clients. npm builds the studio; any Node from 18 on
# will do, so a newer one is left alone.
case "${1:-}" in
  tests) packages="$packages chromium openssl python3-venv" ;;
  checks) packages="$packages chromium openssl clang libclang-rt-dev clang-format clang-tidy libomp-dev python3-venv ccache" ;;
esac
command -v npm >/dev/null 2>&1 || packages="$packages nodejs npm"

if ! command -v dpkg-query >/dev/null 2>&1; then
  libraries="libhwy sentencepiece icu-uc libpng libjpeg libwebp lcms2 libexif libcrypto sqlite3 fmt"
  if command -v cmake >/dev/null 2>&1 && pkg-config --exists $libraries 2>/dev/null; then
    exit 0
  fi
  echo "setup: this system has no Debian packages, and cmake or one of these libraries is missing:" >&2
  echo "  $libraries" >&2
  echo "Install your system's packages of what Debian 12 calls" >&2
  echo $packages | fold -s -w 100 | sed 's/^/  /' >&2
  exit 1
fi

missing=
for package in $packages; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=
elif command -v sudo >/dev/null 2>&1; then
  as_root=sudo
else
  echo "setup: these packages are missing and only root can install them. Run, as root:" >&2
  echo "  apt-get install$missing" >&2
  exit 1
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
$as_root apt-get install -y -q --no-install-recommends $missing
