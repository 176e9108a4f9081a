"""4-bit files of bitsandbytes as Diffusers' save_pretrained writes them."""

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

from names import is_block_linear


def _quantised(kind, double):
    def write(_, diffusers, path):
        out = {}
        for name, tensor in diffusers.items():
            out[name] = tensor
            if not is_block_linear(name, tensor):
                continue
            out[name], state = bnb.quantize_4bit(tensor, blocksize=64, quant_type=kind, compress_statistics=double,
                                                 quant_storage=torch.uint8)
            for key, part in state.as_dict(packed=True).items():
                out[f"{name}.{key}"] = part
        path = path.with_suffix(".safetensors")
        save_file({name: tensor.contiguous() for name, tensor in out.items()}, path, metadata={"format": "pt"})
        return path
    return write


FORMATS = {
    "bnb_nf4": _quantised("nf4", False),
    "bnb_nf4_double": _quantised("nf4", True),
    "bnb_fp4": _quantised("fp4", False),
}
