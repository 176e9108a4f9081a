"""Makes the adapters of this folder with peft and lycoris-lora, and what each adds to the weights.

    python tests/data/adapters/make.py     # with torch, diffusers, peft and lycoris-lora from PyPI

NAME.safetensors is an adapter as the library saves it (peft: with NAME.json, its adapter_config.json); NAME.change.safetensors
has the difference that the library itself makes, by merging (peft) or by its forward (lycoris), by Diffusers' names, and base.safetensors the weights before. The base is a FLUX transformer of width 8.
"""
import copy
import pathlib
import shutil
import tempfile

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = ["attn.to_q", "attn.to_k", "attn.add_v_proj", "attn.to_out.0", "ff.net.2", "proj_mlp"]


def tiny() -> FluxTransformer2DModel:
    torch.manual_seed(1)
    return FluxTransformer2DModel(in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=1,
                                  joint_attention_dim=8, pooled_projection_dim=8, axes_dims_rope=(2, 2, 4), guidance_embeds=True)


def write(name: str, before: dict, after: dict) -> None:
    change = {k: (after[k] - before[k]).contiguous() for k in before if not torch.equal(before[k], after[k])}
    save_file(change, HERE / f"{name}.change.safetensors")
    print(name, len(change), "weights changed")


def with_peft(name: str, **options) -> None:
    from peft import LoraConfig, get_peft_model
    base = tiny()
    before = copy.deepcopy(base.state_dict())
    wrapped = get_peft_model(base, LoraConfig(target_modules=TARGETS, init_lora_weights=False, **options))
    for key, parameter in wrapped.named_parameters():   # away from what initialising leaves alone
        if "magnitude" in key:
            parameter.data *= 1 + 0.2 * torch.rand_like(parameter)
    with tempfile.TemporaryDirectory() as folder:
        wrapped.save_pretrained(folder)
        shutil.copy(pathlib.Path(folder) / "adapter_model.safetensors", HERE / f"{name}.safetensors")
        shutil.copy(pathlib.Path(folder) / "adapter_config.json", HERE / f"{name}.json")
    write(name, before, wrapped.merge_and_unload().state_dict())


def with_lycoris(name: str, **options) -> None:
    from lycoris import LycorisNetwork, create_lycoris
    base = tiny()
    before = copy.deepcopy(base.state_dict())
    LycorisNetwork.apply_preset({"target_module": ["FluxAttention", "FeedForward"]})
    network = create_lycoris(base, 1.0, **options)
    network.apply_to()
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn_like(parameter)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, HERE / f"{name}.safetensors")
    after = dict(before)    # by the modules' forward: merge_to() of 4.1.3 applies alpha / rank twice
    for path, module in base.named_modules():
        if isinstance(module, torch.nn.Linear) and "blocks" in path and ("attn." in path or "ff" in path):
            after[f"{path}.weight"] = (module(torch.eye(module.in_features)) - module.bias).detach().T
    write(name, before, after)


if __name__ == "__main__":
    blocks = {k: v.contiguous() for k, v in tiny().state_dict().items() if "blocks" in k and v.ndim == 2 and "norm" not in k}
    save_file(blocks, HERE / "base.safetensors")
    with_peft("peft_lora", r=2, lora_alpha=3)
    with_peft("peft_rslora_pattern", r=2, lora_alpha=3, use_rslora=True, alpha_pattern={"proj_mlp": 5}, rank_pattern={"attn.to_k": 1})
    with_peft("peft_dora", r=2, lora_alpha=3, use_dora=True)
    with_lycoris("lycoris_loha", algo="loha", linear_dim=2, linear_alpha=1)
    with_lycoris("lycoris_lokr", algo="lokr", factor=2, linear_dim=1, linear_alpha=0.5)
    with_lycoris("lycoris_lokr_whole", algo="lokr", factor=4, linear_dim=2, linear_alpha=1, full_matrix=True)
