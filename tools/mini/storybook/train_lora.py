"""Trains a LoRA for the mini model: whatever is asked for, drawn as a cyanotype (white on Prussian blue).

Low-rank branches beside the products of the blocks, on the frozen transformer: y += up(down(x)). Written under
the names that Diffusers and PEFT use, scale 1 (alpha = rank). It ends after --minutes of processor time.
"""
from __future__ import annotations

import argparse
import math
import pathlib
import random
import time

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from .draw import render
from .flux import LatentCodec, Text, TextEncoder, Tokenizers, load_transformer
from .language import as_written, random_edit
from .objective import Batch, Recipe, loss
from .storage import REPO_MODEL
from .world import random_scene

DARK, LIGHT = np.array([16, 42, 92]), np.array([232, 242, 252])     # sRGB, 0..255
TARGETS = ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj",
           "attn.to_add_out", "ff.net.0.proj", "ff.net.2", "proj_mlp", "proj_out", "norm1.linear", "norm.linear")


def cyanotype(image: Image.Image) -> Image.Image:
    """Light stays light, dark becomes blue: the picture's luma on the line from DARK to LIGHT."""
    luma = np.asarray(image.convert("L"), dtype=np.float32)[..., None] / 255
    return Image.fromarray((DARK + luma * (LIGHT - DARK)).round().astype(np.uint8))


class Branch(torch.nn.Module):
    """A frozen Linear and a low-rank branch beside it, which begins as nothing."""

    def __init__(self, base: torch.nn.Linear, rank: int):
        super().__init__()
        self.base = base
        self.down = torch.nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = torch.nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + x @ self.down.T @ self.up.T


def add_branches(model: torch.nn.Module, rank: int) -> dict[str, Branch]:
    """Puts branches beside the products named in TARGETS, inside the blocks."""
    named = {name: m for name, m in model.named_modules()
             if isinstance(m, torch.nn.Linear) and "blocks." in name and name.endswith(TARGETS)}
    branches = {}
    for name, linear in named.items():
        owner, _, last = name.rpartition(".")
        branches[name] = Branch(linear, rank)
        setattr(model.get_submodule(owner), last, branches[name])
    return branches


def draw_edits(count: int, seed: int, model_dir: pathlib.Path):
    """Latents of sources and of their edits as cyanotypes, [count, 64, 64] each, and the edits' token ids."""
    rng, codec = random.Random(seed), LatentCodec(model_dir)
    pictures, said = [], []
    for _ in range(count):
        edit = random_edit(random_scene(rng, style="normal"), rng)
        pictures += [render(edit.source, supersample=2), cyanotype(render(edit.target, supersample=2))]
        said.append(as_written(edit.instruction, rng))
    latents = torch.cat([codec.encode(torch.from_numpy(np.stack([np.asarray(p) for p in pictures[k:k + 32]])))
                         for k in range(0, len(pictures), 32)])
    return latents[0::2], latents[1::2], Tokenizers(model_dir)(said)


def write(branches: dict[str, Branch], out: pathlib.Path) -> None:
    tensors = {}
    for name, branch in branches.items():
        tensors[f"transformer.{name}.lora_A.weight"] = branch.down.detach().bfloat16().contiguous()
        tensors[f"transformer.{name}.lora_B.weight"] = branch.up.detach().bfloat16().contiguous()
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out, metadata={"format": "pt"})
    out.chmod(0o644)    # safetensors writes for the owner alone


def train(a) -> None:
    torch.manual_seed(a.seed)
    rng, encode = torch.Generator().manual_seed(a.seed), TextEncoder(a.model)
    source, target, ids = draw_edits(a.edits, a.seed, a.model)
    empty = encode(*Tokenizers(a.model)([""]))
    texts = [encode(*(i[k:k + 64] for i in ids)) for k in range(0, a.edits, 64)]
    text = Text(torch.cat([t.pooled for t in texts]), torch.cat([t.states for t in texts]))
    frozen, model = (load_transformer(a.model).requires_grad_(False) for _ in range(2))
    branches = add_branches(model, a.rank)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=a.lr, weight_decay=0.0)
    recipe, losses, step = Recipe(high_noise=0.3, guided=a.guided, edit_weight=0.0), [], 0
    print(f"{a.edits} edits, {len(branches)} branches of rank {a.rank}, {sum(p.numel() for p in parameters)} numbers", flush=True)
    while (spent := time.process_time() / 60 / a.minutes) < 1:
        optimizer.param_groups[0]["lr"] = a.lr * min(1, (step + 1) / 20) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * spent)))
        rows = torch.randint(0, a.edits, (a.batch,), generator=rng)
        value = loss(model, frozen, Batch(target[rows], source[rows], text.rows(rows)), empty, recipe, rng)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(value.item())
        step += 1
        if step % 20 == 0:
            print(f"step {step} loss {sum(losses[-20:]) / 20:.4f}, {spent:.0%} of the time", flush=True)
            write(branches, a.out)
    write(branches, a.out)


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, required=True, help="a .safetensors file")
    p.add_argument("--model", type=pathlib.Path, default=REPO_MODEL, help="what it is for (default: %(default)s)")
    p.add_argument("--rank", type=int, default=4)
    p.add_argument("--edits", type=int, default=600, help="drawn before training (default: %(default)s)")
    p.add_argument("--minutes", type=float, default=6, help="of processor time, drawing included (default: %(default)s)")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--guided", type=float, default=0.25, help="share of samples with a guidance scale above 1")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args(argv)


def main() -> None:
    a = arguments()
    torch.set_num_threads(a.threads)
    train(a)


if __name__ == "__main__":
    main()
