"""Muon (Jordan et al. 2024): momentum whose update is orthogonalised by a Newton-Schulz iteration.

In f32, and matrices of one shape together: PyTorch's own works in bf16, which processors without bf16
arithmetic emulate slowly. The update is scaled to AdamW's usual size, 0.2 sqrt(longer side) (Liu et al. 2025).
"""
from __future__ import annotations

import collections

import torch

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(x: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """[N, m, n], m <= n: singular values pushed towards 1."""
    a, b, c = _NEWTON_SCHULZ
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr: float, weight_decay: float = 0.01, momentum: float = 0.95):
        super().__init__(list(params), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = collections.defaultdict(list)
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                by_shape[p.shape].append((p, p.grad.lerp(momentum, group["momentum"])))     # Nesterov
            for shape, entries in by_shape.items():
                tall = shape[0] > shape[1]
                updates = orthogonalise(torch.stack([u.T if tall else u for _, u in entries]))
                for (p, _), update in zip(entries, updates):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update.T if tall else update, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)
