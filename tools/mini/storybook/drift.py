"""Twenty edits of one drawn scene, each of the one before, from latents and from pixels: how far does the rest move?

    python -m storybook.drift --kontext build/kontext --work FOLDER --plot docs/pictures/drift.png

Each turn recolours the character; the meter looks only where the drawings of all turns are equal, 8 pixels away
from where they are not.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import subprocess

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .draw import pixels, render
from .world import Scene, replace

COLOURS = ("blue", "red", "green", "purple", "orange", "pink", "yellow", "brown", "gray", "white")
WAYS = {"latents": (), "pixels": ("--from-pixels",)}


def untouched(scene: Scene) -> np.ndarray:
    """[128, 128] bool: more than 8 pixels from anything that any turn's drawing changes."""
    first = pixels(scene)
    changed = sum(np.abs(pixels(replace(scene, color=c)) - first).max(-1) for c in COLOURS) >= 1
    return np.asarray(Image.fromarray(np.uint8(255 * changed)).filter(ImageFilter.MaxFilter(17))) == 0


def linear(srgb: np.ndarray) -> np.ndarray:
    v = srgb / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = rgb @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T / [0.9505, 1, 1.089]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def measure(then: np.ndarray, now: np.ndarray, where: np.ndarray) -> dict:
    """As kontext's MeasureDrift, over `where`."""
    error = ((then - now)[where] ** 2).mean()
    luma = [p @ [0.299, 0.587, 0.114] for p in (then, now)]
    inner = where[1:-1, 1:-1] & where[:-2, 1:-1] & where[2:, 1:-1] & where[1:-1, :-2] & where[1:-1, 2:]
    sharp = [np.abs(4 * p[1:-1, 1:-1] - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:])[inner].mean() for p in luma]
    means = [lab(linear(p[where]).mean(0)) for p in (then, now)]
    return {"psnr_db": float(10 * np.log10(255**2 / max(error, 1e-9))), "colour_shift": float(np.linalg.norm(means[0] - means[1])),
            "sharpness": float(sharp[1] / sharp[0])}


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def chain(kontext: str, work: pathlib.Path, scene: Scene, way: str, turns: int, steps: int, seed: int) -> list[dict]:
    source, tree = work / "start.png", work / f"{way}.kontext"
    render(scene).save(source)
    tree.unlink(missing_ok=True)
    rows, where, first = [], untouched(scene), pixels(scene)
    for turn in range(1, turns + 1):
        out = work / f"{way}-{turn}.png"
        begin = ["-i", str(source)] if turn == 1 else ["--from", str(turn), *WAYS[way]]
        run([kontext, "edit", "-q", "-p", f"make the {scene.species} {COLOURS[(turn - 1) % len(COLOURS)]}", "--seed", str(seed + turn),
             "--steps", str(steps), "--tree", str(tree), "-o", str(out), *begin])
        rows.append(measure(first, np.asarray(Image.open(out), np.float32), where))
        print(way, turn, rows[-1], flush=True)
    return rows


def plot(results: dict, path: pathlib.Path) -> None:
    """Three panels, one a measure; latents dark, pixels light."""
    panels = (("psnr_db", "PSNR, dB"), ("colour_shift", "colour shift, CIELAB"), ("sharpness", "sharpness, now / then"))
    width, height, left = 320, 220, 46
    image = Image.new("RGB", (width * len(panels), height), "white")
    draw = ImageDraw.Draw(image)
    for k, (key, title) in enumerate(panels):
        values = [row[key] for rows in results.values() for row in rows]
        low, high = (0, max(values) * 1.1)
        x0, y0, x1, y1 = k * width + left, 28, (k + 1) * width - 12, height - 30
        draw.rectangle((x0, y0, x1, y1), outline="gray")
        draw.text((x0, 8), title, fill="black")
        for t in range(5):
            y = y1 - (y1 - y0) * t / 4
            draw.text((k * width + 4, y - 6), f"{low + (high - low) * t / 4:.2f}", fill="black")
        draw.text((x0, y1 + 8), "turn 1", fill="black")
        draw.text((x1 - 20, y1 + 8), str(len(next(iter(results.values())))), fill="black")
        for (way, rows), colour in zip(results.items(), ("#0040c0", "#e08000")):
            points = [(x0 + (x1 - x0) * i / max(1, len(rows) - 1), y1 - (y1 - y0) * (row[key] - low) / (high - low)) for i, row in enumerate(rows)]
            draw.line(points, fill=colour, width=2)
            draw.text((x0 + 90 + 80 * list(results).index(way), y1 + 8), f"from {way}", fill=colour)
    image.save(path, optimize=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kontext", required=True)
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--plot", type=pathlib.Path)
    p.add_argument("--turns", type=int, default=20)
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    scene = Scene(species="bear", setting="beach", color="brown", size=0.5)
    results = {way: chain(a.kontext, a.work, scene, way, a.turns, a.steps, a.seed) for way in WAYS}
    (a.work / "drift.json").write_text(json.dumps(results))
    if a.plot:
        plot(results, a.plot)


if __name__ == "__main__":
    main()
