"""Who answers the cases: Diffusers, the kontext command, or the autoencoder alone.

Noise is torch.Generator().manual_seed(seed)'s, f32, for every engine, so the same case asks the same of each.
"""
from __future__ import annotations

import pathlib
import subprocess
import tempfile
from typing import Protocol

import numpy as np
from PIL import Image

from .cases import Case
from .draw import SIZE_PX, render


class Engine(Protocol):
    def answer(self, cases: list[Case]) -> list[np.ndarray]:
        """One picture a case: [128, 128, 3] u8."""


def load_pipeline(model_dir: pathlib.Path):
    """Diffusers' own pipeline in f32, with the model's own T5 length."""
    import torch
    from diffusers import FluxKontextPipeline
    pipeline = FluxKontextPipeline.from_pretrained(model_dir, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class DiffusersEngine:
    def __init__(self, model_dir: pathlib.Path, steps: int, guidance: float):
        self._pipeline, self._steps, self._guidance = load_pipeline(model_dir), steps, guidance

    def answer(self, cases: list[Case]) -> list[np.ndarray]:
        import torch
        made = self._pipeline(
            image=[render(c.edit.source) for c in cases], prompt=[c.edit.instruction for c in cases],
            height=SIZE_PX, width=SIZE_PX, max_area=SIZE_PX**2, _auto_resize=False,
            max_sequence_length=self._pipeline.tokenizer_2.model_max_length,
            num_inference_steps=self._steps, guidance_scale=self._guidance, output_type="pil",
            generator=[torch.Generator().manual_seed(c.noise_seed) for c in cases]).images
        return [np.asarray(image) for image in made]


class KontextEngine:
    def __init__(self, command: pathlib.Path, model_dir: pathlib.Path, steps: int, guidance: float, threads: int | None = None):
        self._command = [str(command), "edit", "-q", "-m", str(model_dir), "--steps", str(steps), "--guidance", str(guidance)]
        self._command += ["--threads", str(threads)] if threads else []

    def answer(self, cases: list[Case]) -> list[np.ndarray]:
        return [self._one(c) for c in cases]

    def _one(self, case: Case) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            source, made = (pathlib.Path(folder) / name for name in ("in.png", "out.png"))
            render(case.edit.source).save(source)
            command = self._command + ["-i", str(source), "-p", case.edit.instruction, "--seed", str(case.noise_seed), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
            return np.asarray(Image.open(made).convert("RGB"))


class CeilingEngine:
    """The right answer, through the autoencoder and back: what a perfect transformer would score."""

    def __init__(self, model_dir: pathlib.Path):
        import torch
        from diffusers import AutoencoderKL
        self._vae = AutoencoderKL.from_pretrained(model_dir / "vae", torch_dtype=torch.float32).eval()

    def answer(self, cases: list[Case]) -> list[np.ndarray]:
        import torch
        drawn = torch.from_numpy(np.stack([np.asarray(render(c.edit.target)) for c in cases]))
        with torch.no_grad():
            latents = self._vae.encode(drawn.permute(0, 3, 1, 2) / 127.5 - 1).latent_dist.mode()
            made = self._vae.decode(latents).sample.clamp(-1, 1)
        return list(((made + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
