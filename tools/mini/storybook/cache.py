"""Draws edits once and keeps them as latents and token ids, so that training never draws or encodes.

A chain of six pictures gives five (source, target, instruction) and six captions.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import pathlib
import random
import time

import numpy as np
import torch

from .draw import render
from .flux import LatentCodec, Tokenizers
from .language import USUAL, as_written, caption, random_edit
from .storage import REPO_MODEL, save
from .world import random_scene

CHAIN = 6
CHAINS_A_CHUNK = 50
# Small changes are the hard ones; this mixture asks for them more often than the usual one.
SMALL_CHANGES = {"setting": 1.0, "time": 0.7, "style": 0.3, "color": 1.2, "species": 1.8, "expression": 3.5,
                 "hat": 3.0, "wear": 3.2, "thing": 3.5}
MIXTURES = {"usual": USUAL, "small": SMALL_CHANGES}


def _chunk(seed: int, model_dir: pathlib.Path, mixture: str):
    """Latents [300, 64, 64] f16, (source row, target row) [250, 2], instructions, captions."""
    torch.set_num_threads(1)
    rng, codec = random.Random(seed), LatentCodec(model_dir)
    latents, pairs, instructions, captions = [], [], [], []
    for chain in range(CHAINS_A_CHUNK):
        scene, drawn = random_scene(rng), []
        for link in range(CHAIN):
            drawn.append(np.asarray(render(scene, supersample=2)))
            captions.append(caption(scene))
            if link + 1 < CHAIN:
                edit = random_edit(scene, rng, MIXTURES[mixture])
                row = chain * CHAIN + link
                pairs.append((row, row + 1))
                instructions.append(as_written(edit.instruction, rng))
                scene = edit.target
        latents.append(codec.encode(torch.from_numpy(np.stack(drawn))).half().numpy())
    return np.concatenate(latents), np.array(pairs), instructions, captions


def build(out: pathlib.Path, model_dir: pathlib.Path, chunks: int, seed: int, mixture: str, workers: int) -> None:
    started, latents, pairs, instructions, captions = time.monotonic(), [], [], [], []
    with concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(_chunk, seed * 100_000 + k, model_dir, mixture) for k in range(chunks)]
        for done, job in enumerate(jobs, 1):
            z, p, said, shown = job.result()
            pairs.append(p + len(captions))
            latents.append(z)
            instructions += said
            captions += shown
            print(f"chunk {done}/{chunks}, {len(instructions)} pairs, {time.monotonic() - started:.0f} s", flush=True)
    tokens = Tokenizers(model_dir)
    save(out, {"latents": torch.from_numpy(np.concatenate(latents)), "pairs": torch.from_numpy(np.concatenate(pairs)),
               "instructions": tokens(instructions), "captions": tokens(captions), "empty": tokens([""])})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, default=REPO_MODEL, help="autoencoder and tokenizers (default: %(default)s)")
    parser.add_argument("--chunks", type=int, default=120, help="of 250 pairs each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mixture", choices=MIXTURES, default="usual", help="how often each kind of edit is asked for")
    parser.add_argument("--workers", type=int, default=2)
    a = parser.parse_args()
    build(a.out, a.model, a.chunks, a.seed, a.mixture, a.workers)


if __name__ == "__main__":
    main()
