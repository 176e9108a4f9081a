#!/usr/bin/env bash
# The 12B model at its real sizes with random weights: made, converted, checked, planned, edited with, streamed. Prints a table
# for docs/full-size.md and leaves each command's output in WORK/logs.
#   bench/full.sh WORK [STAGE...]     stages: make convert verify inspect fit edit stream; all of them without a name
# WORK needs 54 GB of disk, `edit` 9.1 GiB of memory, and both about 3 minutes a step on 2 cores without VNNI.
# BUILD names the build folder (build), SIZE the picture (512x512), STEPS the steps (2), LIMIT what `stream` may have (6GiB),
# MODE the arithmetic of the edits (default). FROM is what `make` makes and `convert` reads (bf16, or fp8), MODEL the folder of WORK
# that is looked at and edited from (int8): FROM=fp8 MODEL=fp8 are the files in fp8 as they are, 38 GB with the int8 of them.
# The reference has SIZE, too (--keep-reference-size): the model's own would be 1024x1024, which quadruples its tokens.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$1
shift
stages=${*:-make convert verify inspect fit edit stream}
build=${BUILD:-build} size=${SIZE:-512x512} steps=${STEPS:-2} limit=${LIMIT:-6GiB}
mode=${MODE:-default} model=$work/${MODEL:-int8}
from=${FROM:-bf16} int8=$work/int8
mkdir -p "$work/logs"

# python CODE ARGUMENT...: with the pictures' reader and writer of the tests at hand.
python() {
  KONTEXT='' KONTEXT_SOURCE=. PYTHONPATH=tests/pipeline python3 -c "$@"
}

# watch LOG PID: anonymous and mapped MiB of a process every two seconds, as CSV.
watch() {
  echo "seconds,anonymous_mib,mapped_mib" > "$1"
  local begin=$SECONDS
  while [[ -r /proc/$2/status ]]; do
    awk -v s=$((SECONDS - begin)) '/^RssAnon/ {a = $2} /^RssFile/ {f = $2} END {if (a) printf "%d,%d,%d\n", s, a / 1024, f / 1024}' \
      "/proc/$2/status" >> "$1" 2>/dev/null || true
    sleep 2
  done
}

# run STAGE COMMAND...: its seconds and its largest anonymous and mapped memory, as a row of the table.
run() {
  local name=$1
  shift
  local begin=$EPOCHREALTIME
  "$@" > "$work/logs/$name.out" 2> "$work/logs/$name.err" &
  local pid=$!
  watch "$work/logs/$name.csv" "$pid" &
  if ! wait "$pid"; then
    echo "full.sh: $name failed:" >&2
    tail -n 5 "$work/logs/$name.err" >&2
    exit 1
  fi
  local seconds
  seconds=$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f", b - a}')
  awk -F, -v n="$name" -v s="$seconds" -v c="$(printf '%s ' "$@")" \
    'NR > 1 {if ($2 > a) a = $2; if ($3 > m) m = $3} END {printf "| %s | `%s` | %s s | %d MiB | %d MiB |\n", n, c, s, a, m}' \
    "$work/logs/$name.csv"
}

echo "| stage | command | time | anonymous, at most | mapped, at most |"
echo "|---|---|---|---|---|"
edit=("$build/kontext" edit -m "$model" --mode "$mode" -i "$work/in.png" --keep-reference-size -p "put the cat in the city" --steps "$steps"
  --seed 1 --size "$size" --json)
python "import sys
from program import gradient, png
open(sys.argv[1], 'wb').write(png(*map(int, sys.argv[2].split('x')), gradient))" "$work/in.png" "$size"
for stage in $stages; do
  case $stage in
    make) run make "$build/bench/make_model" "$work/$from" --dtype "$from" ;;
    convert) run convert "$build/kontext" convert "$work/$from" "$int8" --to int8 --json ;;
    verify) run verify "$build/kontext" convert "$int8" --verify ;;
    inspect) run inspect "$build/kontext" inspect "$model/transformer" ;;
    fit) run fit "$build/kontext" fit -m "$model" ;;
    edit) run edit "${edit[@]}" -o "$work/edit.png" ;;
    stream)
      run stream "${edit[@]}" -o "$work/stream.png" --memory-limit "$limit"
      if [[ -f $work/edit.png ]]; then
        python "import sys
from program import read_pixels
print('pixels equal to those of edit:', read_pixels(sys.argv[1]) == read_pixels(sys.argv[2]))" "$work/edit.png" "$work/stream.png"
      fi
      ;;
    *) echo "full.sh: no stage $stage" >&2; exit 2 ;;
  esac
done
