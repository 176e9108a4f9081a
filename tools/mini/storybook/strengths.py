"""An adapter at several strengths, through the kontext command: for each instruction a row of the picture before, the edits, and the
drawn cyanotype that strength 1 was taught. Prints the PSNR of each edit against that drawing.

    python -m storybook.strengths --kontext build/kontext --lora models/mini-lora/cyanotype.safetensors --out docs/pictures/lora.png
"""
from __future__ import annotations

import argparse
import pathlib

import numpy as np
from PIL import Image

from .cases import Case, psnr_db
from .cyanotype import cyanotype
from .draw import pixels, render
from .engines import KontextEngine
from .language import Edit
from .storage import REPO_MODEL
from .world import Scene, replace

START = Scene(species="cat", color="orange", setting="meadow", size=0.58, layout=16, hat="crown", hat_color="red")
EDITS = (Edit("setting", START, replace(START, setting="city"), "put the cat in the city"),
         Edit("time", START, replace(START, time="night"), "make it night"),
         Edit("color", START, replace(START, color="gray"), "make the cat gray"))
STRENGTHS = (0, 0.5, 1, 1.5)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kontext", type=pathlib.Path, required=True, metavar="COMMAND")
    p.add_argument("--lora", required=True, metavar="FILE")
    p.add_argument("--model", type=pathlib.Path, default=REPO_MODEL)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int)
    p.add_argument("--out", type=pathlib.Path, required=True)
    a = p.parse_args()
    rows = []
    for edit in EDITS:
        wanted = np.asarray(cyanotype(render(edit.target)), dtype=np.float32)
        row = [pixels(edit.source)]
        for strength in STRENGTHS:
            engine = KontextEngine(a.kontext, a.model, 28, 2.5, a.threads, mode="default", lora=f"{a.lora}:{strength}")
            row.append(engine.answer([Case(edit, a.seed)])[0].astype(np.float32))
            print(f"{edit.instruction}, strength {strength}: {psnr_db(row[-1], wanted):.1f} dB against the drawn cyanotype", flush=True)
        rows.append(np.concatenate([*row, wanted], 1))
    Image.fromarray(np.concatenate(rows).round().astype(np.uint8)).save(a.out, optimize=True)


if __name__ == "__main__":
    main()
