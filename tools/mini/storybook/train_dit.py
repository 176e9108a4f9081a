"""Trains the transformer on a cache of drawn edits, from the weights of a model directory or from nothing.

Muon for the matrices of the blocks, AdamW for the rest, an exponential moving average (the weights worth having,
and the source of the guidance directions). The run can be stopped at any time and goes on from its last
checkpoint: while WORK/PAUSE exists it sleeps; when WORK/STOP exists it saves and ends.
"""
from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import pathlib
import time

import torch

from .flux import TextEncoder, fresh_transformer, load_transformer
from .muon import Muon
from .objective import Batch, Recipe, loss
from .storage import REPO_MODEL, save

CHECKPOINT = "checkpoint.pt"


class Data:
    """Random batches of the cache, the same sequence for the same seed."""

    def __init__(self, cache: pathlib.Path, model_dir: pathlib.Path, batch: int):
        self._cache, self._encode, self._batch = torch.load(cache), TextEncoder(model_dir), batch
        self.empty = self._encode(*self._cache["empty"])
        self.pairs = len(self._cache["pairs"])

    def draw(self, from_text: float, rng: torch.Generator) -> Batch:
        """A batch of edits, or with chance `from_text` one of text to image."""
        rows = torch.randint(0, self.pairs, (self._batch,), generator=rng)
        source, target = self._cache["pairs"][rows].T
        latents = self._cache["latents"]
        if torch.rand(1, generator=rng).item() < from_text:
            return Batch(latents[target].float(), None, self._encode(*(ids[target] for ids in self._cache["captions"])))
        text = self._encode(*(ids[rows] for ids in self._cache["instructions"]))
        return Batch(latents[target].float(), latents[source].float(), text)


def optimizers(model) -> list[torch.optim.Optimizer]:
    def inner(name, p):
        return p.ndim == 2 and "blocks." in name and "norm" not in name
    named = list(model.named_parameters())
    return [Muon([p for n, p in named if inner(n, p)], lr=0.0),
            torch.optim.AdamW([p for n, p in named if not inner(n, p)], lr=0.0, betas=(0.9, 0.98), weight_decay=0.0)]


@dataclasses.dataclass
class Run:
    """All that a checkpoint holds."""

    model: torch.nn.Module
    average: torch.nn.Module
    optimizers: list[torch.optim.Optimizer]
    rng: torch.Generator
    step: int = 0

    def save(self, work: pathlib.Path) -> None:
        save(work / CHECKPOINT, {"model": self.model.state_dict(), "average": self.average.state_dict(), "step": self.step,
                                 "optimizers": [o.state_dict() for o in self.optimizers], "rng": self.rng.get_state()})

    def load(self, work: pathlib.Path) -> None:
        kept = torch.load(work / CHECKPOINT)
        self.model.load_state_dict(kept["model"])
        self.average.load_state_dict(kept["average"])
        for optimizer, state in zip(self.optimizers, kept["optimizers"]):
            optimizer.load_state_dict(state)
        self.rng.set_state(kept["rng"])
        self.step = kept["step"]

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        decay = min(decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)


def learning_rate(step: int, steps: int, peak: float, warm_up: int = 40) -> float:
    return peak * min(1, (step + 1) / warm_up) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1, step / steps))))


def start(a) -> Run:
    a.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(a.seed)
    model = fresh_transformer(a.sizes) if a.fresh else load_transformer(a.model)
    model.train()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    run = Run(model, average, optimizers(model), torch.Generator().manual_seed(a.seed))
    if (a.work / CHECKPOINT).exists():
        run.load(a.work)
        print(f"resumed at step {run.step}", flush=True)
    return run


def train(a) -> None:
    run, data, recipe = start(a), Data(a.cache, a.model, a.batch), Recipe(a.high_noise, a.guided, edit_weight=a.edit_weight)
    print(f"{data.pairs} pairs, batch {a.batch}, {a.steps} steps, {recipe}", flush=True)
    saved = reported = time.monotonic()
    losses: list[float] = []
    while run.step < a.steps and not (a.work / "STOP").exists():
        if (a.work / "PAUSE").exists():
            time.sleep(1)
            continue
        rate = learning_rate(run.step, a.steps, a.lr)
        for optimizer in run.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        value = loss(run.model, run.average, data.draw(a.from_text, run.rng), data.empty, recipe, run.rng)
        run.model.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        for optimizer in run.optimizers:
            optimizer.step()
        run.step += 1
        run.update_average(a.ema)
        losses.append(value.item())
        now = time.monotonic()
        if run.step % 20 == 0:
            print(f"step {run.step} loss {sum(losses) / len(losses):.4f} lr {rate:.1e} "
                  f"{len(losses) * a.batch / (now - reported):.1f} samples/s", flush=True)
            losses, reported = [], now
        if now - saved > a.save_s:
            run.save(a.work)
            saved = now
    run.save(a.work)
    print(f"ended at step {run.step}", flush=True)


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", type=pathlib.Path, required=True, help="made by storybook.cache")
    p.add_argument("--work", type=pathlib.Path, required=True, help="folder of checkpoints, and of STOP and PAUSE")
    p.add_argument("--model", type=pathlib.Path, default=REPO_MODEL, help="text encoders, and the weights to begin with (default: %(default)s)")
    p.add_argument("--fresh", action="store_true", help="begin with new weights instead of the directory's")
    p.add_argument("--sizes", type=pathlib.Path, default=REPO_MODEL, help="whose transformer/config.json a fresh model has (default: %(default)s)")
    p.add_argument("--steps", type=int, default=1500)
    p.add_argument("--batch", type=int, default=24)
    p.add_argument("--lr", type=float, default=3e-4, help="peak; 1.2e-3 for a fresh model (default: %(default)s)")
    p.add_argument("--guided", type=float, default=0.5, help="share of samples with guidance; 0 for a fresh model's first run")
    p.add_argument("--high-noise", type=float, default=0.4)
    p.add_argument("--edit-weight", type=float, default=8.0)
    p.add_argument("--from-text", type=float, default=0.1, help="share of text-to-image batches (default: %(default)s)")
    p.add_argument("--ema", type=float, default=0.99, help="0.999 for a long run (default: %(default)s)")
    p.add_argument("--save-s", type=float, default=240, help="seconds between checkpoints")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args(argv)


def main() -> None:
    a = arguments()
    torch.set_num_threads(a.threads)
    train(a)


if __name__ == "__main__":
    main()
