"""The questions of the evaluation and how an answer is judged.

A case is one drawn picture and one instruction that changes one attribute. Its right answer is drawn too, and so
is every other value the attribute could have been given; the edit is right when the picture made is nearest, in
pixels, to the drawing of what was asked. What should stay is judged by PSNR against the source, over the pixels
where the drawings of source and target agree.
"""
from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import numpy as np

from .draw import pixels
from .language import KINDS, Edit, edit_of_kind
from .world import VALUES, Scene, random_scene, replace

_STAYS_AT_LEAST = 0.2   # share of the picture; below it there is too little to judge


@dataclasses.dataclass(frozen=True)
class Case:
    edit: Edit
    noise_seed: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    right: bool
    kept_db: float | None


def make_cases(per_kind: int, seed: int, noise_seed: int = 0) -> list[Case]:
    """The same cases for the same seeds, whatever engine answers them; more of a kind begin with the fewer."""
    cases = []
    for position, kind in enumerate(KINDS):
        rng, made = random.Random(f"{seed} {kind}"), 0
        while made < per_kind:
            edit = edit_of_kind(kind, random_scene(rng, style="normal"), rng)
            if edit is not None:
                cases.append(Case(edit, noise_seed + 10_000 * position + made))
                made += 1
    return cases


def alternatives(source: Scene, target: Scene) -> list[Scene]:
    """The target, the source, and the target with any other value of an attribute that the edit changed."""
    changed = [a for a in VALUES if getattr(source, a) != getattr(target, a)]
    others = [replace(target, **{a: value}) for a in changed for value in VALUES[a]]
    return list(dict.fromkeys([target, source, *others]))


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    """Of values in 0..255; equal arrays count as 100 dB."""
    error = float(((a - b) ** 2).mean())
    return 100.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def judge(edit: Edit, made: np.ndarray, drawn: Callable[[Scene], np.ndarray] = pixels) -> Verdict:
    """`made`: [128, 128, 3], 0..255. `drawn` draws what it is compared with: plain, or in the style of an adapter."""
    made = made.astype(np.float32)
    errors = {scene: ((drawn(scene) - made) ** 2).mean() for scene in alternatives(edit.source, edit.target)}
    source = drawn(edit.source)
    stays = np.abs(pixels(edit.source) - pixels(edit.target)).max(-1) < 1
    kept = psnr_db(source[stays], made[stays]) if stays.mean() > _STAYS_AT_LEAST else None
    return Verdict(min(errors, key=errors.get) == edit.target, kept)
