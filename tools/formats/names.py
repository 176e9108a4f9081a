"""FLUX transformers: Diffusers' names to BFL's (diffusers/scripts/convert_flux_to_diffusers.py, read backwards)."""

import re

import torch

_OUTER = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "proj_out": "final_layer.linear",
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
}
_DOUBLE = {
    "img_mod.lin": ["norm1.linear"],
    "txt_mod.lin": ["norm1_context.linear"],
    "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "img_attn.proj": ["attn.to_out.0"],
    "txt_attn.proj": ["attn.to_add_out"],
    "img_mlp.0": ["ff.net.0.proj"],
    "img_mlp.2": ["ff.net.2"],
    "txt_mlp.0": ["ff_context.net.0.proj"],
    "txt_mlp.2": ["ff_context.net.2"],
}
_DOUBLE_NORMS = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}
_SINGLE = {
    "modulation.lin": ["norm.linear"],
    "linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
    "linear2": ["proj_out"],
}
_SINGLE_NORMS = {"norm.query_norm": "attn.norm_q", "norm.key_norm": "attn.norm_k"}


def _blocks(tensors, prefix):
    return sorted({int(m[1]) for name in tensors if (m := re.match(rf"{prefix}\.(\d+)\.", name))})


def to_bfl(tensors):
    """The same tensors under BFL's names, fused as BFL fuses them."""
    out = {}
    for theirs, ours in _OUTER.items():
        for kind in ("weight", "bias"):
            out[f"{ours}.{kind}"] = tensors[f"{theirs}.{kind}"]
    for kind in ("weight", "bias"):  # scale, shift -> shift, scale
        scale, shift = tensors[f"norm_out.linear.{kind}"].chunk(2)
        out[f"final_layer.adaLN_modulation.1.{kind}"] = torch.cat([shift, scale])
    for theirs, ours, linears, norms in (("transformer_blocks", "double_blocks", _DOUBLE, _DOUBLE_NORMS),
                                         ("single_transformer_blocks", "single_blocks", _SINGLE, _SINGLE_NORMS)):
        for i in _blocks(tensors, theirs):
            for name, parts in linears.items():
                for kind in ("weight", "bias"):
                    out[f"{ours}.{i}.{name}.{kind}"] = torch.cat([tensors[f"{theirs}.{i}.{p}.{kind}"] for p in parts])
            for name, part in norms.items():
                out[f"{ours}.{i}.{name}.scale"] = tensors[f"{theirs}.{i}.{part}.weight"]
    return {name: tensor.contiguous() for name, tensor in out.items()}


def is_block_linear(name, tensor):
    """What quantised files quantise: the matrices of the blocks."""
    return name.endswith(".weight") and tensor.dim() == 2 and "blocks." in name
