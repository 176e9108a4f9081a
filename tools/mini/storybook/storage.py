"""Where the released model lies, and files that are either whole or not there."""
from __future__ import annotations

import pathlib

import torch

REPO = pathlib.Path(__file__).resolve().parents[3]
REPO_MODEL = REPO / "models" / "mini"


def save(path: pathlib.Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    torch.save(value, draft)
    draft.rename(path)
