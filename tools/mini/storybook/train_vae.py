"""Trains the autoencoder (AutoencoderKL, 8 x smaller, 16 channels) on drawn scenes.

On random 64 x 64 crops first, which are cheap, and on whole pictures for the last share of the steps. The latent
has a fixed small noise instead of a learned one; scale and shift are measured at the end, so that latents have mean
0 and deviation 1.
"""
from __future__ import annotations

import argparse
import copy
import math
import pathlib
import random

import numpy as np
import torch
from diffusers import AutoencoderKL

from .draw import SIZE_PX, render
from .storage import REPO_MODEL
from .world import random_scene

CROP_PX, STRIDE_PX = 64, 8
WHOLE_PICTURES_FROM = 0.93      # share of the steps
LATENT_NOISE = 0.1


def drawings(count: int, seed: int) -> torch.Tensor:
    """u8 [count, 3, 128, 128]."""
    rng = random.Random(seed)
    drawn = np.stack([np.asarray(render(random_scene(rng))) for _ in range(count)])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


def batch(pool: torch.Tensor, count: int, whole: bool, rng: random.Random) -> torch.Tensor:
    """f32 in [-1, 1]; mirrored half of the time."""
    x = pool[[rng.randrange(len(pool)) for _ in range(count)]].float() / 127.5 - 1
    if rng.random() < 0.5:
        x = x.flip(-1)
    if whole:
        return x
    top, left = (STRIDE_PX * rng.randrange((SIZE_PX - CROP_PX) // STRIDE_PX + 1) for _ in range(2))
    return x[..., top:top + CROP_PX, left:left + CROP_PX]


def differences(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def loss(vae: AutoencoderKL, x: torch.Tensor) -> torch.Tensor:
    """L1, twice L2, half the L1 of edges, and a light pull of the latents towards 0."""
    mean = vae.encode(x).latent_dist.mean
    made = vae.decode(mean + LATENT_NOISE * torch.randn_like(mean)).sample
    error = made - x
    edges = sum((m - d).abs().mean() for m, d in zip(differences(made), differences(x)))
    return error.abs().mean() + 2 * error.pow(2).mean() + 0.5 * edges + 2e-4 * mean.pow(2).mean()


@torch.no_grad()
def finish(vae: AutoencoderKL, unseen: torch.Tensor) -> float:
    """Fixes the latent's spread, measures scale and shift; returns the mean PSNR of unseen drawings in dB."""
    channels = vae.config.latent_channels
    vae.encoder.conv_out.weight[channels:] = 0
    vae.encoder.conv_out.bias[channels:] = math.log(LATENT_NOISE**2)
    x = unseen.float() / 127.5 - 1
    latents = torch.cat([vae.encode(part).latent_dist.mean for part in x.split(32)])
    made = torch.cat([vae.decode(part).sample.clamp(-1, 1) for part in latents.split(32)])
    shift = latents.mean().item()
    vae.register_to_config(shift_factor=round(shift, 4), scaling_factor=round(1 / latents.std().item(), 4))
    return (10 * torch.log10(4 / (made - x).pow(2).mean((1, 2, 3)))).mean().item()


def train(a) -> None:
    torch.manual_seed(a.seed)
    rng = random.Random(a.seed)
    config = AutoencoderKL.load_config(a.sizes / "vae")
    vae = AutoencoderKL.from_config(config).to(memory_format=torch.channels_last)
    average = copy.deepcopy(vae).requires_grad_(False)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=1e-4)
    pool = drawings(a.drawings, a.seed)
    for step in range(a.steps):
        whole = step >= a.steps * WHOLE_PICTURES_FROM
        for group in optimizer.param_groups:
            group["lr"] = a.lr * min(1, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / a.steps)))
        value = loss(vae, batch(pool, a.batch // 2 if whole else a.batch, whole, rng).contiguous(memory_format=torch.channels_last))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(vae.parameters()), 0.002 if step > 500 else 0.1)
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} loss {value.item():.4f}", flush=True)
    print(f"unseen drawings: {finish(average.eval(), drawings(a.unseen, a.seed + 1)):.2f} dB", flush=True)
    average.save_pretrained(a.model / "vae")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, required=True, help="model directory; the autoencoder goes into its vae/")
    p.add_argument("--sizes", type=pathlib.Path, default=REPO_MODEL, help="directory whose vae/config.json gives the sizes")
    p.add_argument("--steps", type=int, default=9000)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--drawings", type=int, default=12_000)
    p.add_argument("--unseen", type=int, default=256)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    train(a)


if __name__ == "__main__":
    main()
