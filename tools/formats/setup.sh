#!/bin/sh
# Makes build/formats-venv: the software whose files the tests read. stable-diffusion-cpp-python is built from source
# where there is no wheel of it, which takes ten minutes.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python3 -m venv "$root/build/formats-venv"
"$root/build/formats-venv/bin/pip" install -q -r "$root/tools/formats/requirements.txt"
