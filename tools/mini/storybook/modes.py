"""Measures step plans (src/edit/step_plan.h) through the engine: edit accuracy, the PSNR of what should stay, and the
PSNR against the 28-step edit of the same seed, over what the plan costs.

Cost is counted in full passes. A pass that reuses the reference's keys and values is weighted by its operations at FLUX's
full width, 1024x1024 with one reference; forecast steps cost nothing. What a plan must beat is fewer Euler steps at its cost.
The answers are kept in --work: with the same cases a plan is run once, and an interrupted sweep goes on where it was.
"""
from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import pathlib
import subprocess

import numpy as np
from PIL import Image

from .cases import Case, judge, make_cases, psnr_db
from .draw import render
from .modes_chart import Point, chart
from .storage import REPO_MODEL

REUSE_COST = 87.6 / 165.5   # Tops of the two passes, counted as src/edit/forecast.cc does
FULL_STEPS = 28
FEWER = [FULL_STEPS, 14, 10, 7, 4]
PLANS_FILE = pathlib.Path(__file__).with_name("modes_plans.json")


@dataclasses.dataclass(frozen=True)
class Result:
    name: str
    group: str
    plan: str
    cost: float
    right: list[bool]
    kept_db: float
    full_db: float        # against the 28-step edit; the mean over the cases
    full_error: float     # its standard error

    @property
    def accuracy(self) -> float:
        return sum(self.right) / len(self.right)


def cost_of(plan: str) -> float:
    return plan.count("F") + REUSE_COST * plan.count("R")


def plans() -> list[tuple[str, str, str]]:
    """(name, group, plan): fewer steps first."""
    fewer = [(f"{n} steps", "fewer steps", "F" * n) for n in FEWER]
    return fewer + [(name, group, plan) for group, of in json.loads(PLANS_FILE.read_text()).items() for name, plan in of.items()]


class Sweep:
    """Runs bench/mode_sweep on the cases, one plan at a time."""

    def __init__(self, command: pathlib.Path, model: pathlib.Path, cases: list[Case], work: pathlib.Path):
        self._command, self._model, self._count = command, model, len(cases)
        names = "\n".join(f"{c.noise_seed} {c.edit.instruction} {c.edit.source}" for c in cases)
        self._folder = work / hashlib.sha256(names.encode()).hexdigest()[:12]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._list = self._folder / "cases.txt"
        lines = []
        for i, case in enumerate(cases):
            source = self._folder / f"in-{i}.png"
            render(case.edit.source).save(source)
            lines.append(f"{case.noise_seed}\t{source}\t{case.edit.instruction}\n")
        self._list.write_text("".join(lines))

    def answers(self, plan: str) -> list[np.ndarray]:
        out = self._folder / plan
        done = out / "done"
        if not done.exists():
            out.mkdir(exist_ok=True)
            subprocess.run([self._command, self._model, self._list, out, plan], check=True, stderr=subprocess.DEVNULL)
            done.touch()
        return [np.asarray(Image.open(out / f"0-{i}.png").convert("RGB")) for i in range(self._count)]


def measure(sweep: Sweep, cases: list[Case]) -> list[Result]:
    results, full = [], sweep.answers("F" * FULL_STEPS)
    for name, group, plan in plans():
        made = sweep.answers(plan)
        verdicts = [judge(c.edit, picture) for c, picture in zip(cases, made)]
        kept = [v.kept_db for v in verdicts if v.kept_db is not None]
        against = [psnr_db(a.astype(np.float32), b.astype(np.float32)) for a, b in zip(made, full)]
        results.append(Result(name, group, plan, cost_of(plan), [v.right for v in verdicts], float(np.mean(kept)),
                              float(np.mean(against)), float(np.std(against, ddof=1) / math.sqrt(len(against)))))
        print(row(results[-1], results[0]), flush=True)
    return results


def row(r: Result, full: Result) -> str:
    difference = np.array(r.right, float) - np.array(full.right, float)
    error = difference.std(ddof=1) / math.sqrt(len(difference))
    against = "" if r is full else f"{r.full_db:.1f} +- {r.full_error:.1f}"
    return (f"| {r.name} | {r.cost:.1f} | {FULL_STEPS / r.cost:.1f} | {r.accuracy:.3f} ({difference.mean():+.3f} +- {error:.3f}) | "
            f"{r.kept_db:.2f} | {against} | `{r.plan}` |")


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="modes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sweep", type=pathlib.Path, required=True, help="build/bench/mode_sweep")
    p.add_argument("--model", type=pathlib.Path, default=REPO_MODEL)
    p.add_argument("--work", type=pathlib.Path, required=True, help="folder for the pictures")
    p.add_argument("--per-kind", type=int, default=6)
    p.add_argument("--seed", type=int, default=777, help="of the cases")
    p.add_argument("--repeats", type=int, default=1, help="ask each case again with other noise")
    p.add_argument("--json", type=pathlib.Path)
    p.add_argument("--plot", type=pathlib.Path, help="PNG")
    return p.parse_args(argv)


def main() -> None:
    a = arguments()
    cases = [c for r in range(a.repeats) for c in make_cases(a.per_kind, a.seed, noise_seed=1_000_000 * r)]
    print("| plan | cost | times faster | edits right (against 28 steps) | what should stay, dB | against 28 steps, dB | steps |")
    print("|---|---|---|---|---|---|---|")
    results = measure(Sweep(a.sweep, a.model, cases, a.work), cases)
    if a.json:
        a.json.write_text(json.dumps([dataclasses.asdict(r) for r in results]))
    if a.plot:
        error = math.sqrt(results[0].accuracy * (1 - results[0].accuracy) / len(cases))
        chart([Point(r.name, r.group, r.cost, r.full_db, r.accuracy) for r in results], error, len(cases)).save(a.plot)


if __name__ == "__main__":
    main()
