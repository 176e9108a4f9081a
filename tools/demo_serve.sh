#!/bin/sh
# Serves the studio with the bundled mini model until Ctrl-C, and opens a browser on it where there is a desktop.
#   tools/demo_serve.sh PROGRAM FOLDER
set -eu
kontext=$1
folder=$2
port=${PORT:-7860}
mkdir -p "$folder"
echo "The studio: http://127.0.0.1:$port (projects in $folder; its log is $folder/log; Ctrl-C ends it)"
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xdg-open >/dev/null 2>&1; then
  (sleep 2 && xdg-open "http://127.0.0.1:$port" >/dev/null 2>&1) &
fi
"$kontext" serve --port "$port" --folder "$folder" 2>>"$folder/log" || {
  code=$?
  [ "$code" -eq 130 ] || tail -n 1 "$folder/log" >&2
  exit "$code"
}
