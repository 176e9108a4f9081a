#!/bin/sh
# Makes .venv-mini at the root of the repository: what tools/mini needs, apart from what the engine needs.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python3 -m venv "$root/.venv-mini"
"$root/.venv-mini/bin/pip" install -q -r "$root/tools/mini/requirements.txt"
