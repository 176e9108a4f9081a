#!/bin/sh
# bench/peers/setup.sh PEERS [BUILD]: makes PEERS/venv with the peers and PEERS/model with random weights for those who read files.
# stable-diffusion-cpp-python is built from source where there is no wheel of it, which takes ten minutes.
set -eu
here=$(dirname "$0") peers=$1 build=${2:-build}
mkdir -p "$peers"
python3 -m venv "$peers/venv"
"$peers/venv/bin/pip" install -q -r "$here/requirements.txt"
"$build/bench/make_model" "$peers/model" --blocks 2,4 --t5-layers 1
