#!/bin/sh
# Takes the pictures of docs/studio.md again: the studio in chromium on a server of its own (studio/test/pictures), then few colours.
#   KONTEXT=build/kontext tools/studio_pictures.sh [FOLDER]
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
KONTEXT=$(realpath "${KONTEXT:-$root/build/kontext}")
STUDIO_PICTURES=$(realpath -m "${1:-$root/docs/pictures}")
command -v pngquant >/dev/null || { echo "there is no pngquant: install the package pngquant" >&2; exit 1; }
cd "$root/studio"
KONTEXT=$KONTEXT KONTEXT_MODEL=$root/models/mini STUDIO_PICTURES=$STUDIO_PICTURES node test/run.mjs pictures
pngquant --force --ext .png --strip --speed 1 --nofs 128 "$STUDIO_PICTURES"/studio*.png
ls -l "$STUDIO_PICTURES"/studio*.png
