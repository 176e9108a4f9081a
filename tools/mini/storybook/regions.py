"""Region steps, tried on the mini model by PyTorch: after some full passes only the target tokens that the edit changes are computed.

The clean picture is foretold, x0 = x - sigma v; tokens whose x0 has a cosine above 1 - threshold with the reference's are
"unedited" and follow the reference's own way, sigma noise + (1 - sigma) reference, from there on. What edited tokens attend to
beside themselves and the text is a Context. Above LIMIT of the tokens the passes stay full. Ideas: RegionE (arXiv:2510.25590).

Plans have a letter a step: F full, r region. Costs are full passes of FLUX's sizes, by operations.
"""
from __future__ import annotations

import argparse
import dataclasses
import math

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.embeddings import apply_rotary_emb

from .cases import judge, make_cases, psnr_db
from .draw import pixels, render
from .flux import T_IMAGE, LatentCodec, TextEncoder, Tokenizers, load_transformer, pack, position_ids, shift_time
from .storage import REPO_MODEL

LIMIT, TEXT_TOKENS, GUIDANCE, SIDE = 0.6, 48, 2.5, 8


@dataclasses.dataclass(frozen=True)
class Context:
    name: str
    references: str      # computed: "all" or those at "edited" places
    stale: bool          # keys and values of all else as of the last full pass; else left out


CONTEXTS = {c.name: c for c in (Context("references", "all", False), Context("kept", "edited", True))}


class KeepingAttention:
    """Diffusers' processor of FLUX, keeping k and v of a full pass, and putting its rows `stale` beside those of a region pass."""

    stale: torch.Tensor | None = None    # rows among text, target, reference; None: a full pass

    def __init__(self):
        self._k = self._v = None

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, image_rotary_emb=None):
        def project(x, layers):
            return (p(x).unflatten(-1, (attn.heads, -1)) for p in layers)
        q, k, v = project(hidden_states, (attn.to_q, attn.to_k, attn.to_v))
        q, k = attn.norm_q(q), attn.norm_k(k)
        text = 0 if encoder_hidden_states is None else encoder_hidden_states.shape[1]
        if text:
            tq, tk, tv = project(encoder_hidden_states, (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj))
            q, k, v = torch.cat([attn.norm_added_q(tq), q], 1), torch.cat([attn.norm_added_k(tk), k], 1), torch.cat([tv, v], 1)
        q, k = (apply_rotary_emb(x, image_rotary_emb, sequence_dim=1) for x in (q, k))
        if self.stale is None:
            self._k, self._v = k, v
        else:
            k, v = torch.cat([k, self._k[:, self.stale]], 1), torch.cat([v, self._v[:, self.stale]], 1)
        out = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2).flatten(2)
        return (attn.to_out[0](out[:, text:]), attn.to_add_out(out[:, :text])) if text else out


def schedule(steps: int) -> list[float]:
    return [*shift_time(torch.linspace(1, 1 / steps, steps)).tolist(), 0.0]


def cost(target: float, reference: float, stale: bool, side_px: int) -> float:
    """Of a pass over those shares of the tokens: linear in the rows, attention by rows times keys (src/edit/forecast.cc)."""
    text, image = 512, (side_px // 16) ** 2

    def operations(rows, keys):
        return rows * (24 * 3072 + 4 * keys)
    rows, every = text + (target + reference) * image, text + 2 * image
    return operations(rows, every if stale else rows) / operations(every, every)


class Bench:
    def __init__(self, per_kind: int, seed: int):
        self.cases = make_cases(per_kind, seed)
        self._dit = load_transformer(REPO_MODEL).eval()
        for block in [*self._dit.transformer_blocks, *self._dit.single_transformer_blocks]:
            block.attn.set_processor(KeepingAttention())
        codec = LatentCodec(REPO_MODEL)
        self._vae = codec._vae
        self._references = codec.encode(torch.from_numpy(np.stack([np.asarray(render(c.edit.source)) for c in self.cases])))
        self._text = TextEncoder(REPO_MODEL)(*Tokenizers(REPO_MODEL)([c.edit.instruction for c in self.cases]))

    def drawn(self, case) -> torch.Tensor:
        """[64]: tokens in which the drawings of source and target differ anywhere."""
        differs = np.abs(pixels(case.edit.source) - pixels(case.edit.target)).max(-1) >= 1
        return torch.from_numpy(differs.reshape(SIDE, 16, SIDE, 16).any((1, 3)).reshape(-1))

    def _pass(self, i, x, reference, target, places, sigma, stale):
        """The velocity of the target tokens `target`, with the reference tokens `places`."""
        KeepingAttention.stale = stale
        ids = torch.cat([position_ids(0)[target], position_ids(1)[places]])
        text = self._text.rows(slice(i, i + 1))
        return self._dit(hidden_states=torch.cat([x[:, target], reference[:, places]], 1), encoder_hidden_states=text.states,
                         pooled_projections=text.pooled, timestep=torch.tensor([sigma]), guidance=torch.tensor([GUIDANCE]),
                         img_ids=ids, txt_ids=torch.zeros(TEXT_TOKENS, 3), return_dict=False)[0][:, :len(target)]

    def edit(self, i: int, plan: str, threshold: float | None, context: Context):
        """Latents [1, 64, 64], the share of edited tokens (1 without region steps), and costs at 512 and 1024. No threshold: drawn ones."""
        reference, sigmas, every = self._references[i:i + 1], schedule(len(plan)), torch.arange(T_IMAGE)
        noise = pack(torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(self.cases[i].noise_seed)))
        x, edited, costs = noise, torch.ones(T_IMAGE, dtype=torch.bool), np.zeros(2)
        for step, kind in enumerate(plan):
            sigma, after = sigmas[step:step + 2]
            if kind == "F" or edited.all():
                v = self._pass(i, x, reference, every, every, sigma, None)
                costs += 1
                if plan[step:step + 2] == "Fr":
                    far = 1 - F.cosine_similarity((x - sigma * v)[0], reference[0], dim=-1)
                    found = self.drawn(self.cases[i]) if threshold is None else far > threshold
                    edited = found if found.float().mean() <= LIMIT else torch.ones_like(found)
            else:
                target = edited.nonzero().flatten()
                places = every if context.references == "all" else target
                stale = torch.cat([TEXT_TOKENS + (~edited).nonzero().flatten(),
                                   TEXT_TOKENS + T_IMAGE + torch.tensor([p for p in range(T_IMAGE) if p not in set(places.tolist())])])
                v = noise - reference
                if len(target):
                    v[:, target] = self._pass(i, x, reference, target, places, sigma, stale.long() if context.stale else torch.empty(0).long())
                costs += [cost(len(target) / T_IMAGE, len(places) / T_IMAGE, context.stale, px) for px in (512, 1024)]
            x = x + (after - sigma) * v
            x[:, ~edited] = after * noise[:, ~edited] + (1 - after) * reference[:, ~edited]
        return x, float(edited.float().mean()), costs

    def pictures(self, latents: torch.Tensor) -> np.ndarray:
        config = self._vae.config
        x = latents.view(-1, SIDE, SIDE, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(-1, 16, 2 * SIDE, 2 * SIDE)
        made = self._vae.decode(x / config.scaling_factor + config.shift_factor).sample.clamp(-1, 1)
        return ((made + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()

    def put_back(self, latents: torch.Tensor, threshold: float) -> torch.Tensor:
        """What ended near the reference becomes the reference."""
        far = 1 - F.cosine_similarity(latents, self._references, dim=-1)
        return torch.where((far > threshold)[..., None], latents, self._references)


@dataclasses.dataclass
class Measured:
    right: np.ndarray
    kept_db: np.ndarray      # NaN where too little should stay
    target_db: np.ndarray    # against the drawing of the right answer


def measure(cases, made: np.ndarray) -> Measured:
    verdicts = [judge(c.edit, p) for c, p in zip(cases, made)]
    return Measured(np.array([v.right for v in verdicts], float),
                    np.array([math.nan if v.kept_db is None else v.kept_db for v in verdicts]),
                    np.array([psnr_db(pixels(c.edit.target), p.astype(np.float32)) for c, p in zip(cases, made)]))


def paired(now: np.ndarray, before: np.ndarray) -> str:
    d = (now - before)[~np.isnan(now - before)]
    return f"{d.mean():+.3f} +- {d.std(ddof=1) / math.sqrt(len(d)):.3f}"


def main() -> None:
    p = argparse.ArgumentParser(prog="regions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--per-kind", type=int, default=8)
    p.add_argument("--seed", type=int, default=12345, help="of the cases")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("run", nargs="+", help="PLAN, or PLAN:CONTEXT:THRESHOLD (%s; drawn: where the drawings differ), or "
                                          "PLAN:back:THRESHOLD; the first is what others are compared with" % ", ".join(CONTEXTS))
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    bench, first = Bench(a.per_kind, a.seed), None
    for run in a.run:
        plan, how, threshold = (run + "::").split(":")[:3]
        value = None if threshold in ("", "drawn") else float(threshold)
        edits = [bench.edit(i, plan, value, CONTEXTS.get(how, CONTEXTS["kept"])) for i in range(len(bench.cases))]
        latents = torch.cat([e[0] for e in edits])
        m = measure(bench.cases, bench.pictures(bench.put_back(latents, value) if how == "back" else latents))
        shares, costs = np.array([e[1] for e in edits]), np.mean([e[2] for e in edits], 0)
        first = first or m
        print(f"| `{run}` | {costs[1]:.2f} | {costs[0]:.2f} | {m.right.mean():.3f} ({paired(m.right, first.right)}) | {np.nanmean(m.kept_db):.2f} "
              f"({paired(m.kept_db, first.kept_db)}) | {m.target_db.mean():.2f} ({paired(m.target_db, first.target_db)}) | "
              f"{' '.join(f'{q:.2f}' for q in np.quantile(shares, [0.1, 0.25, 0.5, 0.75, 0.9]))} |", flush=True)


if __name__ == "__main__":
    main()
