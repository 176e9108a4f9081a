#!/usr/bin/env python3
"""Proves on the built library that nothing in it prints or ends the program: no object of ours refers to a
function or stream that does. Inline code of other libraries is compiled into our objects, so theirs counts too.
    tools/check_symbols.py LIBRARY.a [--nm NM]
"""

import argparse
import collections
import re
import subprocess
import sys

FORBIDDEN = re.compile(
    r"_?exit|quick_exit|abort|__assert_fail|std::terminate\(\)"
    r"|_?_?v?f?printf(_chk)?|puts|fputs|putchar|perror|stdout|stderr|std::(cout|cerr|clog)"
    r"|fmt::v\d+::v?print\(.*")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--nm", default="nm")
    args = parser.parse_args()
    listing = subprocess.run([args.nm, "-A", "-u", "-C", args.library], capture_output=True, text=True, check=True).stdout
    found, objects = collections.defaultdict(set), set()
    for line in listing.splitlines():
        where, _, symbol = line.partition(" U ")
        name = where.strip().rstrip(":").split(":")[-1]
        objects.add(name)
        if FORBIDDEN.fullmatch(symbol.strip().split("@")[0]):
            found[symbol.strip()].add(name)
    for symbol, users in sorted(found.items()):
        print(f"{symbol} is used by {', '.join(sorted(users))}")
    print(f"check_symbols: {len(objects)} objects, {len(found)} forbidden symbols")
    return 1 if found or not objects else 0


if __name__ == "__main__":
    sys.exit(main())
