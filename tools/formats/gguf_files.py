"""GGUF: city96's form (architecture "flux", BFL's names), written with gguf-py, and stable-diffusion.cpp's, by its
own converter. gguf-py cannot write K-quants, IQ4 and NVFP4; stable-diffusion.cpp can."""

import gguf
import torch
from safetensors.torch import save_file
from stable_diffusion_cpp import stable_diffusion_cpp as library
from stable_diffusion_cpp.stable_diffusion import GGML_TYPE_MAP

from names import is_block_linear


def write_with_gguf_py(path, architecture, tensors, type_of):
    """`tensors` by the file's own names, each in the ggml type type_of(name, tensor). Returns the path written."""
    path = path.with_suffix(".gguf")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_quantization_version(2)
    for name, tensor in tensors.items():
        to = type_of(name, tensor)
        writer.add_tensor(name, gguf.quants.quantize(tensor.float().numpy(), to), raw_dtype=to)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_py(kind):
    def type_of(name, tensor):
        """As ComfyUI-GGUF's convert.py: vectors in F32, matrices outside of the blocks in BF16."""
        if tensor.dim() < 2:
            return gguf.GGMLQuantizationType.F32
        return kind if is_block_linear(name, tensor) else gguf.GGMLQuantizationType.BF16
    return lambda bfl, _, path: write_with_gguf_py(path, "flux", bfl, type_of)


def convert_with_stable_diffusion_cpp(tensors, path, kind):
    """Whole checkpoints are what it converts: `tensors` have a checkpoint's names. Returns the path written."""
    source = path.with_suffix(".source.safetensors")
    save_file({name: t.to(torch.float32) for name, t in tensors.items()}, source)
    path = path.with_suffix(".gguf")
    done = library.convert(str(source).encode(), b"", str(path).encode(), GGML_TYPE_MAP[kind], b"", False)
    source.unlink()
    if not done:
        raise RuntimeError(f"stable-diffusion.cpp did not convert to {kind}")
    return path


def _stable_diffusion_cpp(kind):
    def write(bfl, _, path):
        return convert_with_stable_diffusion_cpp({f"model.diffusion_model.{name}": t for name, t in bfl.items()}, path, kind)
    return write


_PY = ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4")
_CPP = ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0", "q4_0", "iq4_nl", "iq4_xs", "mxfp4", "NVFP4")
FORMATS = {f"gguf_{k.lower()}": _gguf_py(gguf.GGMLQuantizationType[k]) for k in _PY}
FORMATS |= {f"sdcpp_{k.lower()}": _stable_diffusion_cpp(k) for k in _CPP}
