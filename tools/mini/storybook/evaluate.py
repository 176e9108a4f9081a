"""Measures how well a model edits, against drawn ground truth: accuracy for each kind of edit, and the PSNR of
what should stay.

Answers come from Diffusers (default), from the kontext command (--kontext), or from the autoencoder alone
(--ceiling). The same numbers make the same cases and the same noise for each. With --json the verdicts are kept, and
--against compares with verdicts kept before, case by case.
"""
from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys
from collections.abc import Callable

import numpy as np
from PIL import Image

from .cases import Case, Verdict, judge, make_cases
from .cyanotype import cyanotype
from .draw import pixels, render
from .engines import CeilingEngine, DiffusersEngine, Engine, KontextEngine
from .language import KINDS
from .storage import REPO_MODEL
from .world import Scene

BATCH = 12


def drawn_as_cyanotype(scene: Scene) -> np.ndarray:
    return np.asarray(cyanotype(render(scene)), dtype=np.float32)


class Restyled:
    """Another engine's answers as cyanotypes: its edits in a style that loses nothing, to measure an adapter's against."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def answer(self, cases: list[Case]) -> list[np.ndarray]:
        return [np.asarray(cyanotype(Image.fromarray(made))) for made in self._engine.answer(cases)]


def run(engine: Engine, cases: list[Case], sheet: list | None = None, drawn=pixels) -> list[Verdict]:
    verdicts = []
    for k in range(0, len(cases), BATCH):
        part = cases[k:k + BATCH]
        for case, made in zip(part, engine.answer(part)):
            verdicts.append(judge(case.edit, made, drawn))
            if sheet is not None:
                sheet.append(np.concatenate([pixels(case.edit.source), made, drawn(case.edit.target)]))
        print(f"{len(verdicts)}/{len(cases)} cases", file=sys.stderr, flush=True)
    return verdicts


def summarise(cases: list[Case], verdicts: list[Verdict]) -> dict:
    def accuracy(of):
        return sum(of) / len(of)
    kinds = {kind: accuracy([v.right for c, v in zip(cases, verdicts) if c.edit.kind == kind]) for kind in KINDS}
    everything = accuracy([v.right for v in verdicts])
    kept = [v.kept_db for v in verdicts if v.kept_db is not None]
    return {"kinds": kinds, "all": everything, "kept_db": sum(kept) / len(kept), "cases": len(cases),
            "standard_error": math.sqrt(everything * (1 - everything) / len(cases)),
            "right": [v.right for v in verdicts], "instructions": [c.edit.instruction for c in cases]}


def table(summary: dict) -> str:
    """Markdown."""
    head = [*summary["kinds"], "all", "what should stay"]
    row = [f"{v:.2f}" for v in summary["kinds"].values()]
    row += [f"{summary['all']:.3f} +- {summary['standard_error']:.3f}", f"{summary['kept_db']:.1f} dB"]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), row))


def comparison(now: dict, before: dict) -> str:
    """Paired: only the cases on which the two differ tell them apart."""
    if now["instructions"] != before["instructions"]:
        raise ValueError("--against: those verdicts are about other cases; use the same --per-kind, --seed, --repeats")
    difference = np.array(now["right"], float) - np.array(before["right"], float)
    error = difference.std(ddof=1) / math.sqrt(len(difference))
    return (f"all {difference.mean():+.3f} +- {error:.3f} (standard error), better on {int((difference > 0).sum())} cases, "
            f"worse on {int((difference < 0).sum())}; what should stay {now['kept_db'] - before['kept_db']:+.2f} dB")


def contact_sheet(columns: list[np.ndarray]) -> Image.Image:
    """The cases' columns, BATCH of them side by side."""
    columns = columns + [np.zeros_like(columns[0])] * (-len(columns) % BATCH)
    rows = [np.concatenate(columns[k:k + BATCH], 1) for k in range(0, len(columns), BATCH)]
    return Image.fromarray(np.concatenate(rows).round().astype(np.uint8))


def drawn_by(a) -> Callable[[Scene], np.ndarray]:
    return drawn_as_cyanotype if a.cyanotype or a.restyle else pixels


def choose_engine(a) -> Engine:
    if a.ceiling:
        return CeilingEngine(a.model, drawn_by(a))
    if a.kontext:
        return KontextEngine(a.kontext, a.model, a.steps, a.guidance, a.threads, a.mask, a.mode, a.lora)
    return DiffusersEngine(a.model, a.steps, a.guidance)


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, default=REPO_MODEL, help="model directory (default: %(default)s)")
    who = p.add_mutually_exclusive_group()
    who.add_argument("--kontext", type=pathlib.Path, metavar="COMMAND", help="run this command instead of Diffusers")
    who.add_argument("--ceiling", action="store_true", help="what the autoencoder alone would allow")
    p.add_argument("--per-kind", type=int, default=12, help="cases for each of the %d kinds (default: %%(default)s)" % len(KINDS))
    p.add_argument("--repeats", type=int, default=1, help="ask each case again with other noise (default: %(default)s)")
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--guidance", type=float, default=2.5)
    p.add_argument("--seed", type=int, default=12345, help="of the cases")
    p.add_argument("--threads", type=int, help="of PyTorch, or of the command (default: theirs)")
    p.add_argument("--mask", type=int, metavar="PX",
                   help="with --kontext: mask what the drawings say should change, grown and feathered by PX")
    p.add_argument("--mode", default="exact", help="with --kontext: exact, default, balanced or fast (default: %(default)s)")
    p.add_argument("--lora", metavar="FILE[:STRENGTH]", help="with --kontext: the command's --lora")
    p.add_argument("--cyanotype", action="store_true", help="the drawings that answers are compared with are cyanotypes")
    p.add_argument("--restyle", action="store_true", help="the same, and answers are turned into cyanotypes first: for one without --lora")
    p.add_argument("--json", type=pathlib.Path, help="keep the verdicts here")
    p.add_argument("--against", type=pathlib.Path, help="verdicts kept before, to compare with")
    p.add_argument("--sheet", type=pathlib.Path, help="PNG of all cases, each a column: source, made, target")
    return p.parse_args(argv)


def main() -> None:
    a = arguments()
    if a.threads and not a.kontext:
        import torch
        torch.set_num_threads(a.threads)
    cases = [c for r in range(a.repeats) for c in make_cases(a.per_kind, a.seed, noise_seed=1_000_000 * r)]
    sheet = [] if a.sheet else None
    engine = Restyled(choose_engine(a)) if a.restyle else choose_engine(a)
    summary = summarise(cases, run(engine, cases, sheet, drawn_by(a)))
    print(table(summary))
    if a.json:
        a.json.write_text(json.dumps(summary))
    if a.against:
        print(comparison(summary, json.loads(a.against.read_text())))
    if a.sheet:
        contact_sheet(sheet).save(a.sheet)


if __name__ == "__main__":
    main()
