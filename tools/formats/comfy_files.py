"""Files as ComfyUI has them: comfy-kitchen makes the numbers, the names are those of ComfyUI's QUANTIZATION.md."""

import json

import torch
from comfy_kitchen.tensor import QuantizedTensor, get_layout_class
from safetensors.torch import save_file

from names import is_block_linear


def _save(tensors, path, metadata=None):
    path = path.with_suffix(".safetensors")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    return path


def _plain(dtype):
    def write(bfl, _, path):
        return _save({name: tensor.to(dtype) if tensor.dim() == 2 else tensor for name, tensor in bfl.items()}, path)
    return write


def _scaled_old(bfl, _, path):
    """scaled_fp8 marker and scale_weight, as t5xxl_fp8_e4m3fn_scaled.safetensors has them."""
    out = {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}
    for name, tensor in bfl.items():
        if is_block_linear(name, tensor):
            scale = tensor.float().abs().max() / 448
            out[name] = (tensor.float() / scale).clamp(-448, 448).to(torch.float8_e4m3fn)
            out[name.removesuffix(".weight") + ".scale_weight"] = scale
        else:
            out[name] = tensor
    return _save({f"model.diffusion_model.{name}" if name != "scaled_fp8" else name: t for name, t in out.items()}, path)


def _quantised(layout, note, in_metadata=False, **options):
    def write(bfl, _, path):
        out, notes = {}, {}
        for name, tensor in bfl.items():
            if not is_block_linear(name, tensor):
                out[name] = tensor
                continue
            layer = name.removesuffix(".weight")
            quantised = QuantizedTensor.from_float(tensor, layout, **options)
            for suffix, part in get_layout_class(layout).state_dict_tensors(quantised._qdata, quantised._params).items():
                out[name + suffix] = part
            notes[layer] = note
            if not in_metadata:
                out[layer + ".comfy_quant"] = torch.tensor(list(json.dumps(note).encode()), dtype=torch.uint8)
        metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": notes})}
        return _save(out, path, metadata if in_metadata else None)
    return write


def _int8_blockwise(bfl, _, path):
    """comfy-kitchen has no layout for it: blocks of 128 x 128, scale = absmax / 127."""
    out = {}
    for name, tensor in bfl.items():
        out[name] = tensor
        if not is_block_linear(name, tensor):
            continue
        rows, columns = tensor.shape
        blocks = tensor.float().reshape(rows // 128, 128, columns // 128, 128)
        scale = blocks.abs().amax(dim=(1, 3)).clamp(min=1e-30) / 127
        out[name] = (blocks / scale[:, None, :, None]).round().to(torch.int8).reshape(rows, columns)
        layer = name.removesuffix(".weight")
        out[layer + ".weight_scale"] = scale
        out[layer + ".comfy_quant"] = torch.tensor(list(b'{"format": "int8_blockwise"}'), dtype=torch.uint8)
    return _save(out, path)


FORMATS = {
    "fp8_e4m3fn": _plain(torch.float8_e4m3fn),
    "fp8_e5m2": _plain(torch.float8_e5m2),
    "comfy_scaled_fp8": _scaled_old,
    "comfy_float8_e4m3fn": _quantised("TensorCoreFP8Layout", {"format": "float8_e4m3fn"}),
    "comfy_float8_e5m2": _quantised("TensorCoreFP8Layout", {"format": "float8_e5m2"}, in_metadata=True,
                                    dtype=torch.float8_e5m2),
    "comfy_mxfp8": _quantised("TensorCoreMXFP8Layout", {"format": "mxfp8"}),
    "comfy_nvfp4": _quantised("TensorCoreNVFP4Layout", {"format": "nvfp4"}),
    "comfy_int8_tensorwise": _quantised("TensorWiseINT8Layout", {"format": "int8_tensorwise"}),
    "comfy_int8_convrot": _quantised(
        "TensorWiseINT8Layout", {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256},
        per_channel=True, convrot=True, convrot_groupsize=256),
    "comfy_int8_blockwise": _int8_blockwise,
}
