"""Trains a LoRA for the mini model: whatever is asked for, drawn as a cyanotype (white on Prussian blue).

Low-rank branches beside products of the frozen transformer, y += up(down(x)), written under the names that Diffusers and
PEFT use, scale 1 (alpha = rank). It learns from drawn edits alone. Rectified flow on them would do, but most of its
target is the noise of which picture it happened to be; the frozen model's own error on the same picture in its
ordinary colours has the same noise. So the velocity to learn is

    noise - cyanotype + A (v - (noise - picture)),     v the frozen model's velocity towards the picture,

where A is the style as a linear map of latents. Its mean is right where the frozen model's is, its spread is small, and v,
taken at a guidance scale, carries the scale's effect over. The run goes on from its last checkpoint.
"""
from __future__ import annotations

import argparse
import dataclasses
import math
import pathlib
import random
import time

import numpy as np
import torch
from safetensors.torch import save_file

from .cyanotype import cyanotype
from .draw import render
from .flux import LatentCodec, Text, TextEncoder, Tokenizers, load_transformer, velocity
from .language import as_written, random_edit
from .objective import sample_guidance, sample_times
from .storage import REPO_MODEL, save
from .world import random_scene

# Both ends (colours are a linear matter there), and what the picture's tokens pass in the blocks; the text's are left alone.
TARGETS = ("x_embedder", "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "ff.net.0.proj", "ff.net.2", "proj_mlp",
           "proj_out", "norm1.linear", "norm.linear", "norm_out.linear")
HIGH_NOISE = 0.4    # share of samples near pure noise, where colours are decided


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
    """Puts branches beside the products named in TARGETS."""
    named = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name.endswith(TARGETS)}
    branches = {}
    for name, linear in named.items():
        owner, _, last = name.rpartition(".")
        branches[name] = Branch(linear, rank)
        setattr(model.get_submodule(owner), last, branches[name])
    return branches


@dataclasses.dataclass
class Drawn:
    """N edits; latents [N, 64, 64] each."""

    source: torch.Tensor
    target: torch.Tensor
    styled: torch.Tensor    # the target as a cyanotype
    text: Text


def draw_edits(count: int, seed: int, model_dir: pathlib.Path) -> Drawn:
    rng, codec, encode = random.Random(seed), LatentCodec(model_dir), TextEncoder(model_dir)
    pictures, said = [], []
    for _ in range(count):
        edit = random_edit(random_scene(rng, style="normal"), rng)
        source, target = (render(scene, supersample=2) for scene in (edit.source, edit.target))
        pictures += [source, target, cyanotype(target)]
        said.append(as_written(edit.instruction, rng))
    latents = torch.cat([codec.encode(torch.from_numpy(np.stack([np.asarray(p) for p in pictures[k:k + 48]])))
                         for k in range(0, len(pictures), 48)])
    ids = Tokenizers(model_dir)(said)
    texts = [encode(*(i[k:k + 64] for i in ids)) for k in range(0, count, 64)]
    return Drawn(latents[0::3], latents[1::3], latents[2::3],
                 Text(torch.cat([t.pooled for t in texts]), torch.cat([t.states for t in texts])))


def style_map(drawn: Drawn) -> torch.Tensor:
    """A [64, 64]: least squares of styled = target A + b over all tokens."""
    x, y = (z.flatten(0, 1) for z in (drawn.target, drawn.styled))
    a = torch.linalg.lstsq(x - x.mean(0), y - y.mean(0)).solution
    rest = (y - y.mean(0) - (x - x.mean(0)) @ a).var() / y.var()
    print(f"the style as a linear map of latents explains {1 - rest:.1%} of their variance", flush=True)
    return a


def loss(model, frozen, drawn: Drawn, rows: torch.Tensor, style: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """The head of this file has the formula."""
    target, styled, reference, text = drawn.target[rows], drawn.styled[rows], drawn.source[rows], drawn.text.rows(rows)
    t, guidance = sample_times(len(rows), HIGH_NOISE, rng), sample_guidance(len(rows), rng)
    noise = torch.randn(target.shape, generator=rng)
    with torch.no_grad():
        v = velocity(frozen, torch.lerp(target, noise, t[:, None, None]), reference, t, guidance, text)
        wanted = noise - styled + (v - (noise - target)) @ style
    made = velocity(model, torch.lerp(styled, noise, t[:, None, None]), reference, t, guidance, text)
    return ((made - wanted) ** 2).mean()


def write(branches: dict[str, Branch], out: pathlib.Path) -> None:
    tensors = {}
    for name, branch in branches.items():
        tensors[f"transformer.{name}.lora_A.weight"] = branch.down.detach().bfloat16().contiguous()
        tensors[f"transformer.{name}.lora_B.weight"] = branch.up.detach().bfloat16().contiguous()
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out, metadata={"format": "pt"})
    out.chmod(0o644)    # safetensors writes for the owner alone


def learning_rate(step: int, steps: int, peak: float, warm_up: int = 20) -> float:
    return peak * min(1, (step + 1) / warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, step / steps))))


def train(a) -> None:
    torch.manual_seed(a.seed)
    rng, step = torch.Generator().manual_seed(a.seed), 0
    frozen, model = (load_transformer(a.model).requires_grad_(False) for _ in range(2))
    branches = add_branches(model, a.rank)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.0, betas=(0.9, 0.98))
    drawn = draw_edits(a.edits, a.seed, a.model)
    style = style_map(drawn)
    checkpoint = a.out.with_suffix(".checkpoint.pt")
    if checkpoint.exists():
        kept = torch.load(checkpoint)
        model.load_state_dict(kept["branches"], strict=False)
        optimizer.load_state_dict(kept["optimizer"])
        rng.set_state(kept["rng"])
        step = kept["step"]
        print(f"resumed at step {step}", flush=True)
    print(f"{a.edits} edits, {len(branches)} branches of rank {a.rank}, {sum(p.numel() for p in parameters)} numbers", flush=True)
    losses, begin = [], time.process_time()
    while step < a.steps:
        optimizer.param_groups[0]["lr"] = learning_rate(step, a.steps, a.lr)
        value = loss(model, frozen, drawn, torch.randint(0, a.edits, (a.batch,), generator=rng), style, rng)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(value.item())
        step += 1
        if step % a.save_every == 0 or step == a.steps:
            print(f"step {step} loss {sum(losses) / len(losses):.4f}, {(time.process_time() - begin) / 60:.1f} minutes", flush=True)
            losses.clear()
            write(branches, a.out)
            trained = {k: v for k, v in model.state_dict().items() if k.endswith((".down", ".up"))}
            save(checkpoint, {"branches": trained, "optimizer": optimizer.state_dict(), "rng": rng.get_state(), "step": step})


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, required=True, help="a .safetensors file; its checkpoint lies beside it")
    p.add_argument("--model", type=pathlib.Path, default=REPO_MODEL, help="what it is for (default: %(default)s)")
    p.add_argument("--rank", type=int, default=8)
    p.add_argument("--edits", type=int, default=600, help="drawn before training (default: %(default)s)")
    p.add_argument("--steps", type=int, default=600)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--lr", type=float, default=3e-3, help="peak (default: %(default)s)")
    p.add_argument("--save-every", type=int, default=20, help="steps between checkpoints (default: %(default)s)")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args(argv)


def main() -> None:
    a = arguments()
    torch.set_num_threads(a.threads)
    train(a)


if __name__ == "__main__":
    main()
