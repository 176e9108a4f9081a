"""What the transformer is taught: rectified flow on drawn edits, with guidance learned at the same time.

x_t = (1 - t) picture + t noise, and the velocity to learn is noise - picture. For a guidance scale g > 1 the
target is that velocity plus (g - 1)(v_text - v_empty), both from a frozen copy that runs at g = 1. Its mean over
the pictures is the classifier-free guided velocity v_empty + g (v_text - v_empty), so one network learns to
draw from the data and to need one pass a step, as FLUX.1 [dev] does; no second, distilling run is needed.
"""
from __future__ import annotations

import dataclasses

import torch

from .flux import Text, shift_time, velocity


@dataclasses.dataclass
class Recipe:
    high_noise: float = 0.4     # share of samples near pure noise, where the instruction decides
    guided: float = 0.5         # share of samples with a guidance scale above 1; 0 for a first run from nothing
    drop_text: float = 0.1      # share of samples without a text, for v_empty
    edit_weight: float = 8.0    # extra weight of the tokens that an edit changes most


@dataclasses.dataclass
class Batch:
    picture: torch.Tensor               # [B, 64, 64] latents to make
    reference: torch.Tensor | None      # [B, 64, 64], None for text to image
    text: Text


def sample_times(count: int, high_noise: float, rng: torch.Generator) -> torch.Tensor:
    """Logit-normal times under the scheduler's shift; a share lies near 1."""
    usual = shift_time(torch.sigmoid(1.2 * torch.randn(count, generator=rng)))
    near_noise = 1 - 0.4 * torch.rand(count, generator=rng) ** 2
    return torch.where(torch.rand(count, generator=rng) < high_noise, near_noise, usual)


def sample_guidance(count: int, rng: torch.Generator) -> torch.Tensor:
    """Half at the usual 2.5, half anywhere in 1..5."""
    return torch.where(torch.rand(count, generator=rng) < 0.5, torch.tensor(2.5), 1 + 4 * torch.rand(count, generator=rng))


def token_weights(batch: Batch, edit_weight: float) -> torch.Tensor:
    """[B, 64, 1], each picture's mean 1: what the edit changes counts most, whatever its size."""
    if batch.reference is None:
        return torch.ones(len(batch.picture), batch.picture.shape[1], 1)
    change = (batch.picture - batch.reference).abs().mean(-1, keepdim=True)
    weights = 1 + edit_weight * (change / 0.4).clamp(max=1)
    return weights / weights.mean(1, keepdim=True)


def loss(model, frozen, batch: Batch, empty: Text, recipe: Recipe, rng: torch.Generator) -> torch.Tensor:
    """`frozen` gives the guidance directions; `empty` is the empty text, one row."""
    count = len(batch.picture)
    time = sample_times(count, recipe.high_noise, rng)
    noise = torch.randn(batch.picture.shape, generator=rng)
    x = torch.lerp(batch.picture, noise, time[:, None, None])
    dropped = torch.rand(count, generator=rng) < recipe.drop_text
    text = Text(torch.where(dropped[:, None], empty.pooled, batch.text.pooled),
                torch.where(dropped[:, None, None], empty.states, batch.text.states))
    target, guidance = noise - batch.picture, torch.ones(count)

    guided = round(count * recipe.guided)
    if guided:
        part = slice(0, guided)     # batches are shuffled, so the first rows are as good as any
        guidance[part] = sample_guidance(guided, rng)
        reference = None if batch.reference is None else batch.reference[part]
        with torch.no_grad():
            v_text, v_empty = (velocity(frozen, x[part], reference, time[part], torch.ones(guided), t)
                               for t in (text.rows(part), Text(empty.pooled.expand(guided, -1),
                                                               empty.states.expand(guided, -1, -1))))
        target[part] += (guidance[part] - 1)[:, None, None] * (v_text - v_empty)

    made = velocity(model, x, batch.reference, time, guidance, text)
    return ((made - target) ** 2 * token_weights(batch, recipe.edit_weight)).mean()
