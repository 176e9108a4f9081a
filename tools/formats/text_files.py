"""models/mini's text encoders as people have them: T5 as city96's GGUF files (architecture "t5encoder", llama.cpp's
names) and as ComfyUI's scaled fp8, both as stable-diffusion.cpp converts them. Block sizes of 256 do not divide theirs."""

import pathlib
import re

import gguf
import torch
from safetensors.torch import load_file, save_file

from gguf_files import convert_with_stable_diffusion_cpp, write_with_gguf_py

MINI = pathlib.Path(__file__).resolve().parents[2] / "models/mini"
T5, CLIP = MINI / "text_encoder_2/model.safetensors", MINI / "text_encoder/model.safetensors"

_LLAMA_CPP = {  # gguf-py, constants.py and tensor_mapping.py, of T5's encoder
    "shared": "token_embd", "encoder.final_layer_norm": "enc.output_norm", "layer.0.SelfAttention.q": "attn_q",
    "layer.0.SelfAttention.k": "attn_k", "layer.0.SelfAttention.v": "attn_v", "layer.0.SelfAttention.o": "attn_o",
    "layer.0.SelfAttention.relative_attention_bias": "attn_rel_b", "layer.0.layer_norm": "attn_norm",
    "layer.1.DenseReluDense.wi_0": "ffn_gate", "layer.1.DenseReluDense.wi_1": "ffn_up",
    "layer.1.DenseReluDense.wo": "ffn_down", "layer.1.layer_norm": "ffn_norm"}


def _llama_cpp_name(name):
    layer = name.removesuffix(".weight")
    if block := re.match(r"encoder\.block\.(\d+)\.(.+)", layer):
        return f"enc.blk.{block[1]}.{_LLAMA_CPP[block[2]]}.weight"
    return f"{_LLAMA_CPP[layer]}.weight"


def _t5_llama_cpp(kind):
    def type_of(name, tensor):
        """As llama.cpp: norms and the table of positions in F32, all else encoded, the embeddings too."""
        return gguf.GGMLQuantizationType.F32 if tensor.dim() < 2 or "attn_rel_b" in name else kind

    def write(_bfl, _diffusers, path):
        tensors = {_llama_cpp_name(name): tensor for name, tensor in load_file(T5).items()}
        return write_with_gguf_py(path, "t5encoder", tensors, type_of)
    return write


def _stable_diffusion_cpp(source, prefix, kind):
    def write(_bfl, _diffusers, path):
        return convert_with_stable_diffusion_cpp({prefix + name: t for name, t in load_file(source).items()}, path, kind)
    return write


def _t5_scaled(_bfl, _diffusers, path):
    """As t5xxl_fp8_e4m3fn_scaled.safetensors: the marker, and scale_weight beside each matrix of the blocks."""
    out = {"scaled_fp8": torch.zeros(0).to(torch.float8_e4m3fn)}
    for name, tensor in load_file(T5).items():
        out[name] = tensor
        if tensor.dim() == 2 and "block." in name and "relative_attention_bias" not in name:
            scale = tensor.float().abs().max() / 448
            out[name] = (tensor.float() / scale).clamp(-448, 448).to(torch.float8_e4m3fn)
            out[name.removesuffix(".weight") + ".scale_weight"] = scale
    path = path.with_suffix(".safetensors")
    save_file(out, path)
    return path


FORMATS = {f"t5_gguf_{k.lower()}": _t5_llama_cpp(gguf.GGMLQuantizationType[k]) for k in ("Q8_0", "Q5_0", "Q4_0")}
FORMATS |= {"t5_scaled_fp8": _t5_scaled,
            "t5_sdcpp_q8_0": _stable_diffusion_cpp(T5, "text_encoders.t5xxl.transformer.", "q8_0"),
            "clip_sdcpp_q8_0": _stable_diffusion_cpp(CLIP, "text_encoders.clip_l.transformer.", "q8_0"),
            "clip_sdcpp_q4_0": _stable_diffusion_cpp(CLIP, "text_encoders.clip_l.transformer.", "q4_0")}
