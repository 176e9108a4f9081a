"""The mini model as training needs it: networks from a model directory, tokens, positions, velocities.

Shapes: B pictures; T_IMAGE = 64 tokens of 64 numbers (a 16 x 16 x 16 latent packed 2 x 2); 77 CLIP and 48 T5 tokens.
"""
from __future__ import annotations

import dataclasses
import math
import pathlib

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

LATENT_CHANNELS, LATENT_SIDE = 16, 16
T_IMAGE = (LATENT_SIDE // 2) ** 2


def pack(latents: torch.Tensor) -> torch.Tensor:
    """[B, 16, h, w] -> [B, h/2 * w/2, 64], channel slowest inside a token (Diffusers' _pack_latents)."""
    b, c, h, w = latents.shape
    return latents.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, c * 4)


def position_ids(index: int) -> torch.Tensor:
    """[64, 3]: (index, y, x); index 0 is the picture being made, 1 the reference."""
    side = LATENT_SIDE // 2
    ids = torch.zeros(side, side, 3)
    ids[..., 0] = index
    ids[..., 1] = torch.arange(side)[:, None]
    ids[..., 2] = torch.arange(side)[None, :]
    return ids.view(-1, 3)


def shift_time(u: torch.Tensor, mu: float = 0.4675) -> torch.Tensor:
    """The scheduler's time shift; mu is FLUX.1's for 64 image tokens (0.5 at 256, 1.15 at 4096, on a line)."""
    return math.exp(mu) * u / (1 + (math.exp(mu) - 1) * u)


class Tokenizers:
    def __init__(self, model_dir: pathlib.Path):
        self.clip = CLIPTokenizer.from_pretrained(model_dir / "tokenizer")
        self.t5 = T5TokenizerFast.from_pretrained(model_dir / "tokenizer_2")

    @staticmethod
    def _ids(tokenizer, texts: list[str]) -> torch.Tensor:
        return tokenizer(texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                         return_tensors="pt").input_ids.to(torch.int16)

    def __call__(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """CLIP ids [B, 77] and T5 ids [B, 48], i16 to keep caches small."""
        return self._ids(self.clip, texts), self._ids(self.t5, texts)


def load_text_encoders(model_dir: pathlib.Path) -> tuple[CLIPTextModel, T5EncoderModel]:
    return (CLIPTextModel.from_pretrained(model_dir / "text_encoder", dtype=torch.float32),
            T5EncoderModel.from_pretrained(model_dir / "text_encoder_2", dtype=torch.float32))


def load_transformer(model_dir: pathlib.Path) -> FluxTransformer2DModel:
    return FluxTransformer2DModel.from_pretrained(model_dir / "transformer", torch_dtype=torch.float32)


def fresh_transformer(model_dir: pathlib.Path) -> FluxTransformer2DModel:
    """The directory's sizes with new weights: Xavier, and zeros where a block's gate must start closed."""
    model = FluxTransformer2DModel.from_config(FluxTransformer2DModel.load_config(model_dir / "transformer"))
    gates = ("norm1.linear", "norm1_context.linear", ".norm.linear", "norm_out.linear")
    for name, weight in model.named_parameters():
        if name.startswith("proj_out") or any(g in name for g in gates):
            torch.nn.init.zeros_(weight)
        elif weight.ndim == 2:
            torch.nn.init.xavier_uniform_(weight)
    return model


class LatentCodec:
    """Pictures <-> packed latents, with the autoencoder's scale and shift applied."""

    def __init__(self, model_dir: pathlib.Path):
        self._vae = AutoencoderKL.from_pretrained(model_dir / "vae", torch_dtype=torch.float32).eval()

    @torch.no_grad()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """u8 [B, 128, 128, 3] -> [B, 64, 64]."""
        config = self._vae.config
        x = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        return pack((self._vae.encode(x).latent_dist.mode() - config.shift_factor) * config.scaling_factor)


@dataclasses.dataclass
class Text:
    """What the transformer sees of a text."""

    pooled: torch.Tensor    # [B, 64]
    states: torch.Tensor    # [B, 48, 128]

    def rows(self, index) -> "Text":
        return Text(self.pooled[index], self.states[index])


class TextEncoder:
    """Both encoders, frozen."""

    def __init__(self, model_dir: pathlib.Path):
        self._clip, self._t5 = (m.eval().requires_grad_(False) for m in load_text_encoders(model_dir))

    @torch.no_grad()
    def __call__(self, clip_ids: torch.Tensor, t5_ids: torch.Tensor) -> Text:
        return Text(self._clip(input_ids=clip_ids.long()).pooler_output,
                    self._t5(input_ids=t5_ids.long()).last_hidden_state)


def velocity(model: FluxTransformer2DModel, x, reference, time, guidance, text: Text) -> torch.Tensor:
    """d x / d time at `time` (1 = noise, 0 = picture) -> [B, 64, 64]. `reference` is None for text to image."""
    tokens = x if reference is None else torch.cat([x, reference], 1)
    ids = position_ids(0) if reference is None else torch.cat([position_ids(0), position_ids(1)])
    return model(hidden_states=tokens, encoder_hidden_states=text.states, pooled_projections=text.pooled,
                 timestep=time, guidance=guidance, img_ids=ids, txt_ids=torch.zeros(text.states.shape[1], 3),
                 return_dict=False)[0][:, :T_IMAGE]
