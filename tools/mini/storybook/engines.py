"""Who answers the cases: Diffusers, the kontext command, or the autoencoder alone.

Noise is torch.Generator().manual_seed(seed)'s, f32, for every engine, so the same case asks the same of each.
"""
from __future__ import annotations

import pathlib
import subprocess
import tempfile
from collections.abc import Callable
from typing import Protocol

import numpy as np
from PIL import Image, ImageFilter

from .cases import Case
from .draw import SIZE_PX, pixels, render
from .world import Scene


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


def drawn_mask(case: Case, grow_px: int) -> Image.Image:
    """White where the drawings of source and target differ, and grow_px further."""
    differs = np.abs(pixels(case.edit.source) - pixels(case.edit.target)).max(-1) >= 1
    return Image.fromarray(np.uint8(255 * differs)).filter(ImageFilter.MaxFilter(2 * grow_px + 1))


class KontextEngine:
    """With `mask_px` each edit gets the mask of what it should change, grown by that, and a feather of as much."""

    def __init__(self, command: pathlib.Path, model_dir: pathlib.Path, steps: int, guidance: float, threads: int | None = None,
                 mask_px: int | None = None, mode: str = "exact", lora: str | None = None):
        self._command = [str(command), "edit", "-q", "-m", str(model_dir), "--steps", str(steps), "--guidance", str(guidance),
                         "--mode", mode]
        self._command += ["--threads", str(threads)] if threads else []
        self._command += ["--lora", lora] if lora else []
        self._mask_px = mask_px

    def answer(self, cases: list[Case]) -> list[np.ndarray]:
        return [self._one(c) for c in cases]

    def _one(self, case: Case) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            source, made = (pathlib.Path(folder) / name for name in ("in.png", "out.png"))
            render(case.edit.source).save(source)
            command = self._command + ["-i", str(source), "-p", case.edit.instruction, "--seed", str(case.noise_seed), "-o", str(made)]
            if self._mask_px is not None:
                mask = drawn_mask(case, self._mask_px)
                mask.save(pathlib.Path(folder) / "mask.png")
                command += ["--mask", f"{folder}/mask.png", "--feather", str(self._mask_px)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
            answer = np.asarray(Image.open(made).convert("RGB"))
            if self._mask_px is not None and not np.array_equal(*(p[np.asarray(mask) == 0] for p in (answer, np.asarray(render(case.edit.source))))):
                raise RuntimeError(f"{' '.join(command)}: pixels outside the mask changed")
            return answer


class CeilingEngine:
    """The right answer as `drawn` draws it, through the autoencoder and back: what a perfect transformer would score."""

    def __init__(self, model_dir: pathlib.Path, drawn: Callable[[Scene], np.ndarray] = pixels):
        import torch
        from diffusers import AutoencoderKL
        self._drawn = drawn
        self._vae = AutoencoderKL.from_pretrained(model_dir / "vae", torch_dtype=torch.float32).eval()

    def answer(self, cases: list[Case]) -> list[np.ndarray]:
        import torch
        drawn = torch.from_numpy(np.stack([self._drawn(c.edit.target) for c in cases]))
        with torch.no_grad():
            latents = self._vae.encode(drawn.permute(0, 3, 1, 2) / 127.5 - 1).latent_dist.mode()
            made = self._vae.decode(latents).sample.clamp(-1, 1)
        return list(((made + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
