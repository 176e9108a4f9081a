"""Writes a model directory in Diffusers layout, bf16: a directory in any dtype, with the transformer of a checkpoint."""
from __future__ import annotations

import argparse
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file

from .storage import REPO_MODEL
from .train_dit import CHECKPOINT

_WEIGHTS = {"transformer": "diffusion_pytorch_model.safetensors", "vae": "diffusion_pytorch_model.safetensors",
            "text_encoder": "model.safetensors", "text_encoder_2": "model.safetensors"}


def _released_name(part: str, name: str) -> str:
    """Newer transformers drop CLIP's prefix when saving; the released FLUX.1 files have it."""
    prefix = "text_model."
    return name if part != "text_encoder" or name.startswith(prefix) else prefix + name


def export(model_dir: pathlib.Path, checkpoint: pathlib.Path | None, out: pathlib.Path) -> None:
    if out.exists():
        raise SystemExit(f"{out}: is there already; name a new directory")
    for directory in (REPO_MODEL, model_dir):   # the first for what training does not make: index, scheduler, sizes
        shutil.copytree(directory, out, ignore=shutil.ignore_patterns("*.safetensors", "README.md"), dirs_exist_ok=True)
    for part, file in _WEIGHTS.items():
        if part == "transformer" and checkpoint:
            weights = torch.load(checkpoint)["average"]
        else:
            weights = load_file(model_dir / part / file)
        save_file({_released_name(part, k): w.to(torch.bfloat16).contiguous() for k, w in weights.items()},
                  out / part / file, metadata={"format": "pt"})
        (out / part / file).chmod(0o644)    # safetensors writes for the owner alone


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=pathlib.Path, default=REPO_MODEL, help="all but the transformer (default: %(default)s)")
    p.add_argument("--checkpoint", type=pathlib.Path, help=f"{CHECKPOINT} of storybook.train_dit; its average is taken")
    p.add_argument("--out", type=pathlib.Path, required=True)
    a = p.parse_args()
    export(a.model, a.checkpoint, a.out)


if __name__ == "__main__":
    main()
