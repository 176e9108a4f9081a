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
for picture in "$STUDIO_PICTURES"/studio*.png; do
  case $picture in *phone*) colours=256 ;; *) colours=128 ;; esac  # a small one shows what is missing
  pngquant --force --ext .png --strip --speed 1 --nofs "$colours" "$picture"
done
ls -l "$STUDIO_PICTURES"/studio*.png
