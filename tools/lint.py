#!/usr/bin/env python3
"""Runs clang-tidy (.clang-tidy has the checks and why some are off) on our sources; exits 1 on a finding.

With --since only on files changed since that commit, with --budget only as many as fit into the seconds;
what was left out is said.
    tools/lint.py BUILD [--since COMMIT] [--budget SECONDS]
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def sources(build, since):
    """Files of src/ and apps/ that the build compiles, tests aside."""
    entries = json.loads((build / "compile_commands.json").read_text())
    files = {pathlib.Path(e["directory"], e["file"]).resolve() for e in entries}
    files = {f for f in files if f.relative_to(ROOT).parts[0] in ("src", "apps") and not f.name.endswith("_test.cc")}
    if since:
        listing = subprocess.run(["git", "diff", "--name-only", since], cwd=ROOT, capture_output=True, text=True, check=True)
        files &= {ROOT / line for line in listing.stdout.splitlines()}
    return sorted(files)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--since")
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    files = sources(args.build, args.since)
    end = time.monotonic() + args.budget

    def lint(path):
        if time.monotonic() > end:
            return None
        return subprocess.run(["clang-tidy", "-p", args.build, "--quiet", "--warnings-as-errors=*", path],
                              capture_output=True, text=True)

    done = findings = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, run in zip(files, pool.map(lint, files)):
            done += run is not None
            if run is not None and run.returncode:
                findings += 1
                print(f"{path.relative_to(ROOT)}\n{run.stdout}", flush=True)
    print(f"lint: {done} of {len(files)} files, {findings} with findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
