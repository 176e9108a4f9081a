#!/usr/bin/env python3
"""Writes tests/data/pictures/resize_vectors.json: CRC-32 of what Pillow's LANCZOS makes of pictures
that resize_test.cc can make for itself.

    python3 tools/golden/make_resize_vectors.py      (needs numpy and pillow==12.1.1)

Spec architecture 3.2 and io/resize.h do the horizontal pass first, as every Pillow did up to 12.1.
12.2 does the vertical one first where the height is above 100 widths and shrinks, 13 wherever the height
shrinks much more than the width (Pillow's pull requests 9524 and 9549). The results differ by more than
rounding, so a newer Pillow is refused here.

Byte i of a picture is the top byte of s(i+1), s(0) = seed, s(i+1) = s(i) * 1664525 + 1013904223 mod 2^32.
"""
import json
import pathlib
import random
import zlib

import numpy as np
import PIL
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/pictures/resize_vectors.json"

# By hand: one pixel, one row, one column, a side unchanged, extreme ratios both ways, the usual case.
FIXED = [(1, 1, 7, 5), (7, 5, 1, 1), (1, 40, 1, 9), (40, 1, 9, 1), (1, 17, 23, 17), (31, 20, 31, 9),
         (31, 20, 12, 20), (31, 20, 31, 20), (3000, 2, 3, 5), (2, 3000, 5, 3), (3, 2, 900, 700),
         (1, 2000, 2000, 1), (2000, 1, 1, 2000), (640, 480, 1184, 880), (1920, 1080, 1392, 752)]


def noise(count, seed):
    s, values = seed, bytearray(count)
    for i in range(count):
        s = (s * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = s >> 24
    return bytes(values)


def main():
    if tuple(map(int, PIL.__version__.split(".")[:2])) > (12, 1):
        raise SystemExit(f"Pillow {PIL.__version__} orders the passes otherwise; install pillow==12.1.1")
    rng = random.Random(20260101)
    side = lambda: rng.choice([rng.randint(1, 12), rng.randint(1, 90), rng.randint(1, 300)])
    sizes = FIXED + [(side(), side(), side(), side()) for _ in range(85)]
    cases = []
    for n, (w, h, to_w, to_h) in enumerate(sizes):
        for channels in (3, 4) if n < len(FIXED) - 2 or n >= len(FIXED) + 40 else (3,):
            seed = 1000 + n
            pixels = np.frombuffer(noise(w * h * channels, seed), np.uint8).reshape(h, w, channels)
            image = Image.fromarray(pixels, "RGB" if channels == 3 else "RGBA")
            result = image.resize((to_w, to_h), Image.Resampling.LANCZOS)
            cases.append({"width": w, "height": h, "channels": channels, "seed": seed, "to_width": to_w,
                          "to_height": to_h, "crc32": zlib.crc32(result.tobytes())})
    lines = ",\n".join(json.dumps(c) for c in cases)
    OUT.write_text(f'{{"pillow": "{PIL.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
