"""Runs the mini model through Diffusers' FluxKontextPipeline and writes what every stage held.

Each case becomes tests/golden/NAME.safetensors; cases.json lists their parameters, the versions and
how far Diffusers' own bf16 run lies from its f32 run. tests/golden/README.md names the tensors.

    python tools/golden/export.py [--model models/mini] [--out tests/golden] [--only NAME...]
"""

import argparse
import dataclasses
import hashlib
import json
import math
import pathlib

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image
from diffusers import FluxKontextPipeline
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    prompt: str
    seed: int
    images: tuple[str, ...] = ("cat_meadow.png",)  # in tests/golden/inputs
    width: int = 128
    height: int = 128
    steps: int = 5
    guidance: float = 2.5
    negative: str | None = None
    true_cfg: float = 1.0
    keep: str = "steps"  # "final": ends only; "steps": and every step; "pixels": and the float pictures; "layers": all


CASES = (
    Case("edit_setting", "put the cat in the city", 1),
    Case("edit_expression", "make the robot sad", 2, images=("robot_room.png",)),
    Case("edit_color", "change the color of the bear to blue", 3, images=("bear_snow.png",), steps=4, guidance=3.5),
    Case("edit_wide", "make it night", 4, images=("rabbit_beach_wide.png",), width=160, height=96, steps=4,
         keep="pixels"),
    Case("text_to_image", "a happy orange cat in the forest at sunset", 5, images=(), steps=6),
    Case("true_cfg", "give the cat a red crown", 6, steps=4, negative="a blurry gray picture", true_cfg=3.0),
    Case("two_references", "put the cat in the room", 7, images=("cat_meadow.png", "robot_room.png"), steps=4),
    Case("two_references_tall", "put the cat in the room", 8, images=("cat_meadow.png", "frog_tall.png"), steps=4,
         keep="final"),
    Case("layers", "turn it into a night scene", 9, images=("ghost_small.png",), width=48, height=32, steps=4,
         keep="layers"),
    Case("edit_28_steps", "put the cat on the beach", 10, steps=28, keep="final"),
)


class TappedPipeline(FluxKontextPipeline):
    """The pipeline, with what it computes between its stages kept in `seen` and room for more references."""

    def prepare_run(self, more_images):
        self.seen, self.more_images = {}, more_images

    def encode_prompt(self, *args, **kwargs):
        embeds, pooled, text_ids = super().encode_prompt(*args, **kwargs)
        prefix = "negative." if "t5.states" in self.seen else ""
        self.seen[prefix + "t5.states"], self.seen[prefix + "clip.pooled"] = embeds[0], pooled[0]
        return embeds, pooled, text_ids

    def prepare_latents(self, image, *args, **kwargs):
        latents, tokens, latent_ids, image_ids = super().prepare_latents(image, *args, **kwargs)
        if self.more_images:
            tokens, image_ids = self._append_references(image, tokens, image_ids)
        self.seen["noise"] = latents[0]
        self.seen["ids"] = latent_ids if image_ids is None else torch.cat([latent_ids, image_ids])
        if image is not None:
            self.seen["reference.pixels"] = image[0].permute(1, 2, 0)
            self.seen["reference.tokens"] = tokens[0]
        return latents, tokens, latent_ids, image_ids

    def _append_references(self, first, tokens, image_ids):
        # Diffusers knows one reference. Further ones follow it along the sequence, each moved down or right
        # of those before by the rule of spec architecture 5.1 "offset" (running sizes in latent units,
        # halved to token units). The first one never moves, as the running sizes start at 0.
        h, w = first.shape[2] // 8, first.shape[3] // 8
        for image in self.more_images:
            pixels = self.image_processor.preprocess(image, image.height, image.width).to(tokens.dtype)
            latents = self._encode_vae_image(pixels, None)
            rh, rw = latents.shape[2:]
            row, col = (0, w) if rh + h > rw + w else (h, 0)
            h, w = max(h, rh + row), max(w, rw + col)
            ids = self._prepare_latent_image_ids(1, rh // 2, rw // 2, tokens.device, tokens.dtype)
            ids += torch.tensor([1, (row + 1) // 2, (col + 1) // 2], dtype=ids.dtype)
            tokens = torch.cat([tokens, self._pack_latents(latents, 1, latents.shape[1], rh, rw)], dim=1)
            image_ids = torch.cat([image_ids, ids])
        return tokens, image_ids


def tap_layers(pipe, seen):
    """Hooks that keep each block's output the first time it runs, channels last; returns their handles."""
    handles = []

    def keep(name, module, pick=lambda out: out[0], layout=lambda x: x):
        def hook(_module, _inputs, output):
            seen.setdefault(name, layout(pick(output)).clone())

        handles.append(module.register_forward_hook(hook))

    def hwc(x):
        return x.permute(1, 2, 0)

    for i, layer in enumerate(pipe.text_encoder.encoder.layers):
        keep(f"clip.layer.{i}", layer, lambda out: (out[0] if isinstance(out, tuple) else out)[0])
    for i, layer in enumerate(pipe.text_encoder_2.encoder.block):
        keep(f"t5.layer.{i}", layer, lambda out: (out[0] if isinstance(out, tuple) else out)[0])
    keep("vae.encoder.mid", pipe.vae.encoder.mid_block, layout=hwc)
    keep("vae.encoder.out", pipe.vae.encoder, layout=hwc)
    keep("vae.decoder.mid", pipe.vae.decoder.mid_block, layout=hwc)
    dit = pipe.transformer
    keep("dit.vec", dit.time_text_embed)
    keep("dit.img_in", dit.x_embedder)
    keep("dit.txt_in", dit.context_embedder)
    keep("dit.rope.cos", dit.pos_embed, lambda out: out[0])
    keep("dit.rope.sin", dit.pos_embed, lambda out: out[1])
    for kind, blocks in (("double", dit.transformer_blocks), ("single", dit.single_transformer_blocks)):
        for i, block in enumerate(blocks):  # each returns (text, image)
            keep(f"dit.{kind}.{i}.txt", block, lambda out: out[0][0])
            keep(f"dit.{kind}.{i}.img", block, lambda out: out[1][0])
    keep("dit.norm_out", dit.norm_out)
    keep("dit.out", dit.proj_out)
    return handles


def run(pipe, case, images, noise=None):
    """One run; `noise` replaces the drawn one. Returns every tensor seen, the batch axis dropped."""
    pipe.prepare_run(images[1:])
    seen = pipe.seen
    handles = tap_layers(pipe, seen) if case.keep == "layers" else []
    handles.append(pipe.vae.decoder.register_forward_hook(
        lambda _m, _i, out: seen.__setitem__("decoded", out[0].permute(1, 2, 0))))

    def on_step(_pipe, i, _t, values):
        seen[f"step.{i + 1}"] = values["latents"][0].clone()
        return values

    picture = pipe(
        image=images[0] if images else None, prompt=case.prompt, negative_prompt=case.negative,
        true_cfg_scale=case.true_cfg, width=case.width, height=case.height, max_area=case.width * case.height,
        _auto_resize=False, num_inference_steps=case.steps, guidance_scale=case.guidance, max_sequence_length=48,
        generator=torch.Generator("cpu").manual_seed(case.seed), latents=noise, callback_on_step_end=on_step,
    ).images[0]
    for handle in handles:
        handle.remove()
    seen["sigmas"] = pipe.scheduler.sigmas
    seen["pixels"] = torch.from_numpy(np.array(picture))
    return seen


class PlainBpe:
    """CLIP's BPE for lower-case ASCII, straight from vocab.json and merges.txt (spec tokenizers A.3-A.5)."""

    def __init__(self, folder):
        self.vocab = json.loads((folder / "vocab.json").read_text())
        merges = (folder / "merges.txt").read_text().splitlines()[1:]
        self.rank = {tuple(line.split()): i for i, line in enumerate(merges) if line}

    def ids(self, text, length=77):
        assert text.isascii() and all(word.isalpha() for word in text.split()), "words only"
        bos, eos = self.vocab["<|startoftext|>"], self.vocab["<|endoftext|>"]
        ids = [bos] + [i for word in text.lower().split() for i in self._word(word)][: length - 2] + [eos]
        return ids + [eos] * (length - len(ids))

    def _word(self, word):
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            rank, k = min((self.rank.get(pair, math.inf), k) for k, pair in enumerate(zip(parts, parts[1:])))
            if rank == math.inf:
                break
            parts[k : k + 2] = [parts[k] + parts[k + 1]]
        return [self.vocab[part] for part in parts]


def token_ids(pipe, plain_bpe, text, prefix=""):
    clip = pipe.tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
    # The mini's tokenizer_config.json carries FLUX.1's ids of the two specials (49406, 49407), its vocab.json
    # has 1075 and 1076: make sure that the tokenizer went by the vocabulary.
    assert clip == plain_bpe.ids(text), f"the CLIP tokenizer disagrees with plain BPE on {text!r}"
    t5 = pipe.tokenizer_2(text, padding="max_length", max_length=48, truncation=True).input_ids
    return {prefix + "clip.ids": torch.tensor(clip, dtype=torch.int32),
            prefix + "t5.ids": torch.tensor(t5, dtype=torch.int32)}


def select(case, seen):
    """The tensors of this case's file: what is large and told by the rest stays out."""
    def wanted(name):
        if name.startswith("step."):
            return case.keep != "final" or name == f"step.{case.steps}"
        if name in ("decoded", "reference.pixels"):
            return case.keep in ("pixels", "layers")
        return True

    return {name: value.contiguous() for name, value in seen.items() if wanted(name)}


def psnr_db(a, b):
    mse = (a.double() - b.double()).square().mean().item()
    return 10 * math.log10(255**2 / mse) if mse else math.inf


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/mini")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden")
    parser.add_argument("--only", nargs="*", help="names of cases; cases.json and SHA256SUMS are then left as they are")
    args = parser.parse_args()

    torch.set_num_threads(1)  # one order of summation, whatever the machine
    f32, bf16 = (TappedPipeline.from_pretrained(args.model, dtype=torch.float32).to(dtype)
                 for dtype in (torch.float32, torch.bfloat16))
    for pipe in (f32, bf16):
        pipe.set_progress_bar_config(disable=True)
    plain_bpe = PlainBpe(args.model / "tokenizer")

    table = []
    for case in CASES:
        if args.only and case.name not in args.only:
            continue
        images = [Image.open(args.out / "inputs" / name) for name in case.images]
        with torch.no_grad():
            seen = run(f32, case, images)
            half = run(bf16, dataclasses.replace(case, keep="final"), images, noise=seen["noise"][None].bfloat16())
        seen |= token_ids(f32, plain_bpe, case.prompt)
        if case.negative is not None:
            seen |= token_ids(f32, plain_bpe, case.negative, "negative.")
        seen["bf16.pixels"] = half["pixels"]
        db = psnr_db(half["pixels"], seen["pixels"])
        row = dataclasses.asdict(case) | {"bf16_psnr_db": round(db, 3)}
        save_file(select(case, seen), args.out / f"{case.name}.safetensors", metadata={"case": json.dumps(row)})
        table.append(row)
        print(f"{case.name:20} {case.steps:3} steps  bf16 against f32 {db:6.2f} dB")

    if args.only:
        return
    print(f"mean {sum(row['bf16_psnr_db'] for row in table) / len(table):.2f} dB")
    weights = sorted(args.model.glob("*/*.safetensors"))
    about = {
        "versions": {m.__name__: m.__version__ for m in (torch, diffusers, transformers, np)},
        "model_sha256": {str(path.relative_to(args.model)): sha256(path) for path in weights},
        "cases": table,
    }
    (args.out / "cases.json").write_text(json.dumps(about, indent=1) + "\n")
    files = sorted([*args.out.glob("*.safetensors"), *args.out.glob("inputs/*.png"), args.out / "cases.json"])
    sums = "".join(f"{sha256(path)}  {path.relative_to(args.out)}\n" for path in files)
    (args.out / "SHA256SUMS").write_text(sums)


if __name__ == "__main__":
    main()
