"""nunchaku's SVDQuant files. nunchaku needs CUDA to be installed, so this is a writer of our own: a plain
rounding after a branch of low rank, without calibration, packed as nunchaku/lora/flux/packer.py packs."""

import re

import torch
from safetensors.torch import save_file

_E2M1 = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])
_SHIFT = 0.171875  # of int4 inputs behind a GELU


def pack_codes(codes):
    """[N, K] of 0..15 -> I8 [N, K/2]: tiles of 128 x 64, words of 8 neighbours in a row."""
    n, k = codes.shape
    words = codes.long().reshape(n // 128, 8, 2, 8, k // 64, 2, 4, 8)  # tile, pack, half, lane | tile, half, lane, code
    words = (words << (4 * torch.arange(8))).sum(-1)
    words = words.permute(0, 4, 1, 3, 6, 2, 5).contiguous().reshape(-1)
    return (words - (words >= 2**31).long() * 2**32).to(torch.int32).view(torch.int8).reshape(n, k // 2)


def pack_scales(scales):
    """[N, G] -> [G, N]; also vectors, as [N, 1]."""
    n, groups = scales.shape
    return scales.reshape(n // 128, 8, 2, 4, 2, groups).permute(0, 5, 1, 3, 2, 4).reshape(groups, n).contiguous()


def pack_fp4_scales(scales):
    n, groups = scales.shape
    parts = scales.reshape(n // 128, 4, 4, 8, groups // 4, 4)
    return parts.permute(0, 4, 3, 2, 1, 5).reshape(groups, n).contiguous()


def pack_up(up):
    n, rank = up.shape
    return up.reshape(n // 16, 2, 8, rank // 16, 2, 4, 2).permute(0, 3, 2, 5, 1, 4, 6).reshape(n, rank).contiguous()


def pack_down(down):
    """[R, K] -> [K, R]."""
    rank, k = down.shape
    parts = down.reshape(rank // 16, 2, 8, k // 16, 2, 4, 2)
    return parts.permute(3, 0, 2, 5, 1, 4, 6).reshape(k, rank).contiguous()


def w4a4(layer, weight, bias, fp4=False, behind_gelu=False, rank=32):
    """The tensors of one layer, and (weight, bias) as they then are."""
    weight, bias = weight.float(), bias.float()
    n, k = weight.shape
    # No calibration: a smoothing that only follows the weight, so that readers have something to divide by.
    smooth = (weight.abs().amax(0).clamp(min=1e-3) / weight.abs().amax()).sqrt().bfloat16().float()
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    up = (u[:, :rank] * s[:rank]).bfloat16().float()
    down = v[:rank].bfloat16().float()
    rest = (weight - up @ down) * smooth
    group = 16 if fp4 else 64
    grouped = rest.reshape(n, k // group, group)
    out = {}
    if fp4:
        channel = (grouped.abs().amax((1, 2)) / (6 * 448)).clamp(min=1e-8).bfloat16().float()
        scale = (grouped.abs().amax(2) / 6 / channel[:, None]).to(torch.float8_e4m3fn)
        full = (scale.float() * channel[:, None]).clamp(min=1e-12)[:, :, None]
        codes = (grouped[..., None] / full[..., None] - _E2M1).abs().argmin(-1)
        quantised = (_E2M1[codes] * scale.float()[:, :, None] * channel[:, None, None]).reshape(n, k) / smooth
        out["wscales"] = pack_fp4_scales(scale.view(torch.uint8)).view(torch.float8_e4m3fn)
        out["wcscales"] = pack_scales(channel[:, None]).reshape(n).bfloat16()
        out["wtscale"] = torch.ones(1)
    else:
        scale = (grouped.abs().amax(2) / 7).clamp(min=1e-8).bfloat16()
        codes = (grouped / scale.float()[:, :, None]).round().clamp(-8, 7).long()
        quantised = (codes * scale.float()[:, :, None]).reshape(n, k) / smooth
        codes = codes & 15
        out["wscales"] = pack_scales(scale)
    stored = bias - _SHIFT * quantised.sum(1) if behind_gelu and not fp4 else bias
    stored = stored.bfloat16()
    out |= {
        "qweight": pack_codes(codes.reshape(n, k)),
        "smooth": pack_scales(smooth[:, None]).reshape(k).bfloat16(),
        "smooth_orig": pack_scales(smooth[:, None]).reshape(k).bfloat16(),
        "lora_up": pack_up(up).bfloat16(),
        "lora_down": pack_down(down).bfloat16(),
        "bias": pack_scales(stored[:, None]).reshape(n),
    }
    dense_bias = stored.float() + (_SHIFT * quantised.sum(1) if behind_gelu and not fp4 else 0)
    return {f"{layer}.{key}": t for key, t in out.items()}, quantised + up @ down, dense_bias


def awq(layer, weight, bias, parts):
    """A modulation layer, rows part by part; the same returned as w4a4 does."""
    weight, bias = weight.float(), bias.float()
    n, k = weight.shape

    def interleave(t):
        return t.reshape(parts, n // parts, *t.shape[1:]).transpose(0, 1).reshape(t.shape)
    low, high = (f(weight.reshape(n, k // 64, 64), 2) for f in (torch.amin, torch.amax))
    scale = ((high - low) / 15).clamp(min=1e-8).bfloat16().float()
    zero = low.bfloat16().float()
    codes = ((weight.reshape(n, k // 64, 64) - zero[..., None]) / scale[..., None]).round().clamp(0, 15).long()
    dense = (codes * scale[..., None] + zero[..., None]).reshape(n, k)
    words = interleave(codes.reshape(n, k)).reshape(n // 4, 4, k // 64, 2, 4, 4, 2)  # row | group, half, eighth, pair, odd
    shifts = 16 * torch.arange(2) + 4 * torch.arange(4)[:, None, None]
    words = (words << shifts).sum((4, 6)).permute(0, 2, 1, 3, 4).reshape(n // 4, k // 2)
    one = (torch.arange(parts) % 3 == 1).float().repeat_interleave(n // parts)
    stored = (bias + one).bfloat16()
    return {
        f"{layer}.qweight": (words - (words >= 2**31).long() * 2**32).to(torch.int32),
        f"{layer}.wscales": interleave(scale).T.bfloat16().contiguous(),
        f"{layer}.wzeros": interleave(zero).T.bfloat16().contiguous(),
        f"{layer}.bias": interleave(stored).contiguous(),
    }, dense, stored.float() - one


_LAYERS = {
    "double": {"qkv_proj": ["attn.to_q", "attn.to_k", "attn.to_v"],
               "qkv_proj_context": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
               "out_proj": ["attn.to_out.0"], "out_proj_context": ["attn.to_add_out"],
               "mlp_fc1": ["ff.net.0.proj"], "mlp_fc2": ["ff.net.2"],
               "mlp_context_fc1": ["ff_context.net.0.proj"], "mlp_context_fc2": ["ff_context.net.2"]},
    "single": {"qkv_proj": ["attn.to_q", "attn.to_k", "attn.to_v"], "mlp_fc1": ["proj_mlp"]},
}
_NORMS = ("norm_q", "norm_k", "norm_added_q", "norm_added_k")


def _write(fp4):
    def write(_, diffusers, path):
        out = {}
        blocks = sorted({m[1] for name in diffusers if (m := re.match(r"((single_)?transformer_blocks\.\d+)\.", name))})
        for block in blocks:
            kind = "single" if block.startswith("single_") else "double"

            def fused(names):
                return [torch.cat([diffusers[f"{block}.{n}.{x}"] for n in names]) for x in ("weight", "bias")]
            for layer, names in _LAYERS[kind].items():
                gelu = layer.endswith("fc2")
                out |= w4a4(f"{block}.{layer}", *fused(names), fp4, gelu)[0]
            for norm in ("norm", "norm1", "norm1_context"):
                if f"{block}.{norm}.linear.weight" in diffusers:
                    out |= awq(f"{block}.{norm}.linear", *fused([f"{norm}.linear"]), 3 if kind == "single" else 6)[0]
            for norm in _NORMS:
                if f"{block}.attn.{norm}.weight" in diffusers:
                    out[f"{block}.{norm}.weight"] = diffusers[f"{block}.attn.{norm}.weight"]
            if kind == "single":
                weight, bias = fused(["proj_out"])
                attention = weight.shape[0]
                out |= w4a4(f"{block}.out_proj", weight[:, :attention], bias, fp4)[0]
                out |= w4a4(f"{block}.mlp_fc2", weight[:, attention:], torch.zeros_like(bias), fp4, True)[0]
        out |= {name: t for name, t in diffusers.items() if "transformer_blocks." not in name}
        path = path.with_suffix(".safetensors")
        save_file({name: t.contiguous() for name, t in out.items()}, path,
                  metadata={"model_class": "NunchakuFluxTransformer2dModel"})
        return path
    return write


FORMATS = {"svdquant_int4": _write(False), "svdquant_fp4": _write(True)}
