"""The mini model as the single files people have: BFL's names, ComfyUI's all-in-one checkpoint, and what can go wrong with them.

The renaming is by rules of its own (spec weights 2, 3): the other side of src/weights/dialect_*.cc.
"""
import re

from program import MINI, read_safetensors, write_safetensors

FOLDERS = {"transformer": "transformer/diffusion_pytorch_model.safetensors", "vae": "vae/diffusion_pytorch_model.safetensors",
           "clip": "text_encoder/model.safetensors", "t5": "text_encoder_2/model.safetensors"}

TOP = {"x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear", "norm_out.linear": "final_layer.adaLN_modulation.1",
       "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer", "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
       "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
       "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
       "time_text_embed.text_embedder.linear_1": "vector_in.in_layer", "time_text_embed.text_embedder.linear_2": "vector_in.out_layer"}
DOUBLE = {"norm1.linear": ("img_mod.lin",), "norm1_context.linear": ("txt_mod.lin",),
          "attn.to_q": ("img_attn.qkv", 0), "attn.to_k": ("img_attn.qkv", 1), "attn.to_v": ("img_attn.qkv", 2),
          "attn.add_q_proj": ("txt_attn.qkv", 0), "attn.add_k_proj": ("txt_attn.qkv", 1), "attn.add_v_proj": ("txt_attn.qkv", 2),
          "attn.norm_q": ("img_attn.norm.query_norm",), "attn.norm_k": ("img_attn.norm.key_norm",),
          "attn.norm_added_q": ("txt_attn.norm.query_norm",), "attn.norm_added_k": ("txt_attn.norm.key_norm",),
          "attn.to_out.0": ("img_attn.proj",), "attn.to_add_out": ("txt_attn.proj",), "ff.net.0.proj": ("img_mlp.0",),
          "ff.net.2": ("img_mlp.2",), "ff_context.net.0.proj": ("txt_mlp.0",), "ff_context.net.2": ("txt_mlp.2",)}
SINGLE = {"norm.linear": ("modulation.lin",), "attn.to_q": ("linear1", 0), "attn.to_k": ("linear1", 1), "attn.to_v": ("linear1", 2),
          "proj_mlp": ("linear1", 3), "attn.norm_q": ("norm.query_norm",), "attn.norm_k": ("norm.key_norm",), "proj_out": ("linear2",)}


def tensors(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    header, body = read_safetensors(path)
    return {name: (t["dtype"], t["shape"], bytes(body[slice(*t["data_offsets"])])) for name, t in header.items() if name != "__metadata__"}


def pack(named, metadata=None):
    """The bytes of a safetensors file of {name: (dtype, shape, bytes)}."""
    header, body = {"__metadata__": metadata} if metadata else {}, bytearray()
    for name, (dtype, shape, data) in named.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    return write_safetensors(header, body)


def part(name):
    return tensors(MINI / FOLDERS[name])


def swap_halves(data):
    return data[len(data) // 2:] + data[:len(data) // 2]


def bfl_transformer():
    """The mini's transformer under BFL's names."""
    pieces = {}  # (name, row order) -> tensor
    for name, (dtype, shape, data) in part("transformer").items():
        block = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)\.(weight|bias)", name)
        if block:
            single, i, layer, kind = block.groups()
            ours, *order = (SINGLE if single else DOUBLE)[layer]
            ours = f"{'single' if single else 'double'}_blocks.{i}.{ours}"
            kind = "scale" if ours.endswith("_norm") else kind
            pieces[f"{ours}.{kind}", *(order or [0])] = (dtype, shape, data)
        else:
            layer, kind = name.rsplit(".", 1)
            if layer == "norm_out.linear":  # scale, shift -> shift, scale
                data = swap_halves(data)
            pieces[f"{TOP[layer]}.{kind}", 0] = (dtype, shape, data)
    fused = {}
    for (name, _), (dtype, shape, data) in sorted(pieces.items()):
        if name in fused:
            _, (rows, *rest), before = fused[name]
            fused[name] = (dtype, [rows + shape[0], *rest], before + data)
        else:
            fused[name] = (dtype, shape, data)
    return fused


def bfl_vae():
    """The mini's autoencoder under BFL's names."""
    levels = 4
    rules = [(r"^(..coder)\.conv_norm_out", r"\1.norm_out"), (r"mid_block\.resnets\.0", "mid.block_1"), (r"mid_block\.resnets\.1", "mid.block_2"),
             (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"), (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
             (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"), (r"conv_shortcut", "nin_shortcut"),
             (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"), (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
             (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}"),
             (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample")]
    named = {}
    for name, (dtype, shape, data) in part("vae").items():
        for pattern, ours in rules:
            name = re.sub(pattern, ours, name)
        if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name):
            shape = [*shape, 1, 1][:4]  # BFL's are 1x1 convolutions
        named[name] = (dtype, shape, data)
    return named


def prefixed(prefix, named):
    return {prefix + name: tensor for name, tensor in named.items()}


def all_in_one():
    """As ComfyUI saves a checkpoint: every part in one file, each under its prefix."""
    return {**prefixed("model.diffusion_model.", bfl_transformer()), **prefixed("vae.", bfl_vae()),
            **prefixed("text_encoders.clip_l.transformer.", part("clip")), **prefixed("text_encoders.t5xxl.transformer.", part("t5"))}
