"""Teaches the two text encoders what the language says, before the transformer learns to draw it.

From an instruction or a caption, each encoder must tell which attribute gets which value ("stays as it is" for
those an instruction does not touch). The heads that tell are thrown away; the encoders are kept, and frozen.
"""
from __future__ import annotations

import argparse
import math
import pathlib
import random

import torch
import torch.nn.functional as F
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from .flux import Tokenizers
from .language import as_written, caption, random_edit
from .storage import REPO_MODEL
from .world import VALUES, Scene, random_scene, visible

STAYS, NOT_SAID = 0, -100   # labels beside 1 + index of the value


def labels(source: Scene | None, target: Scene) -> list[int]:
    """One label an attribute; source None: of a caption, which says everything that can be seen."""
    def label(attribute, values):
        if not visible(target, attribute):
            return NOT_SAID
        value = getattr(target, attribute)
        return STAYS if source is not None and getattr(source, attribute) == value else 1 + values.index(value)
    return [label(attribute, values) for attribute, values in VALUES.items()]


def sentences(count: int, seed: int, tokens: Tokenizers) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """CLIP ids, T5 ids, labels [count, attributes]; three in four are instructions."""
    rng, texts, wanted = random.Random(seed), [], []
    for _ in range(count):
        scene = random_scene(rng)
        if rng.random() < 0.75:
            edit = random_edit(scene, rng)
            texts.append(as_written(edit.instruction, rng))
            wanted.append(labels(scene, edit.target))
        else:
            texts.append(caption(scene))
            wanted.append(labels(None, scene))
    return *tokens(texts), torch.tensor(wanted)


class Reader(torch.nn.Module):
    """Both encoders, each with a head for every attribute."""

    def __init__(self, clip: CLIPTextModel, t5: T5EncoderModel):
        super().__init__()
        self.clip, self.t5 = clip, t5
        widths = clip.config.hidden_size, t5.config.d_model
        self.heads = torch.nn.ModuleList(
            torch.nn.ModuleList(torch.nn.Linear(w, 1 + len(values)) for values in VALUES.values()) for w in widths)
        self.query = torch.nn.Parameter(torch.zeros(widths[1]))     # pools T5's states

    def forward(self, clip_ids, t5_ids):
        """Logits of each encoder's heads, and a penalty that keeps pooled and states near unit size."""
        pooled = self.clip(input_ids=clip_ids.long()).pooler_output
        states = self.t5(input_ids=t5_ids.long()).last_hidden_state
        scores = states @ self.query / math.sqrt(len(self.query))
        shares = scores.masked_fill(t5_ids == self.t5.config.pad_token_id, -1e4).softmax(-1)
        seen = pooled, (shares[..., None] * states).sum(1)
        size = sum((x.pow(2).mean() - 1).abs() for x in (pooled, states))
        return [[head(x) for head in heads] for heads, x in zip(self.heads, seen)], size


def build(sizes: pathlib.Path, model_dir: pathlib.Path) -> Reader:
    """New encoders with the sizes of one directory and the vocabularies of another."""
    tokens = Tokenizers(model_dir)
    clip = CLIPTextConfig.from_pretrained(sizes / "text_encoder")
    clip.vocab_size = len(tokens.clip)
    clip.bos_token_id, clip.eos_token_id, clip.pad_token_id = (tokens.clip.bos_token_id, tokens.clip.eos_token_id,
                                                               tokens.clip.pad_token_id)
    t5 = T5Config.from_pretrained(sizes / "text_encoder_2")
    t5.vocab_size = len(tokens.t5)
    return Reader(CLIPTextModel(clip), T5EncoderModel(t5))


@torch.no_grad()
def all_right(reader: Reader, clip_ids, t5_ids, wanted) -> list[float]:
    """Share of sentences of which an encoder gets every attribute: [CLIP, T5]."""
    said, _ = reader(clip_ids, t5_ids)
    hits = [[(logits.argmax(-1) == wanted[:, k]) | (wanted[:, k] == NOT_SAID) for k, logits in enumerate(heads)] for heads in said]
    return [torch.stack(h).all(0).float().mean().item() for h in hits]


def train(a) -> None:
    torch.manual_seed(a.seed)
    reader, tokens = build(a.sizes, a.model), Tokenizers(a.model)
    known, unseen = sentences(a.sentences, a.seed, tokens), sentences(1000, a.seed + 1, tokens)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=1e-4)
    for step in range(a.steps):
        for group in optimizer.param_groups:
            group["lr"] = a.lr * min(1, (step + 1) / 100) * (0.01 + 0.5 * (1 + math.cos(math.pi * step / a.steps)))
        rows = torch.randint(0, a.sentences, (a.batch,))
        clip_ids, t5_ids, wanted = (x[rows] for x in known)
        said, size = reader(clip_ids, t5_ids)
        loss = 0.01 * size + sum(F.cross_entropy(logits, wanted[:, k], ignore_index=NOT_SAID)
                                 for heads in said for k, logits in enumerate(heads) if (wanted[:, k] != NOT_SAID).any())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0 or step + 1 == a.steps:
            clip, t5 = all_right(reader, *unseen)
            print(f"step {step + 1} loss {loss.item():.3f} all attributes right: CLIP {clip:.3f}, T5 {t5:.3f}", flush=True)
    reader.clip.save_pretrained(a.model / "text_encoder")
    reader.t5.save_pretrained(a.model / "text_encoder_2")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, required=True, help="directory with the tokenizers; the encoders go there")
    p.add_argument("--sizes", type=pathlib.Path, default=REPO_MODEL, help="directory whose config.json files give the sizes")
    p.add_argument("--steps", type=int, default=3000)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--sentences", type=int, default=60_000)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    train(a)


if __name__ == "__main__":
    main()
