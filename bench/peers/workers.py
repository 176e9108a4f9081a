"""One peer in a process of its own: `workers.py NAME WIDTH HEIGHT MODEL`, in the environment that setup.sh makes.

Writes a line of JSON when it is ready ({"ready": what it is}), then one for every line it reads: {"seconds": ...} of one
step, or of one decoding by the autoencoder. The work is that of `kontext bench step`: FLUX at its full width with 2 double and 4
single blocks and random weights, 512 text tokens, a reference of the picture's size. MODEL is what
`make_model MODEL --blocks 2,4 --t5-layers 1` made; only stable-diffusion.cpp reads files.
"""
import gc
import importlib.metadata
import json
import os
import pathlib
import sys
import time

TEXT = 512
# The answers' own way out: libraries below Python, too, write to file 1, and that goes to the log from here on.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(**what):
    print(json.dumps(what), file=ANSWERS, flush=True)


def serve(what, step):
    """Answers with the seconds of `step()`, or with what it returns."""
    say(ready=what)
    for _ in sys.stdin:
        begin = time.perf_counter()
        own = step()
        say(seconds=own if isinstance(own, float) else time.perf_counter() - begin)


def version(*packages):
    return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)


def transformer(dtype):
    import torch
    from diffusers import FluxTransformer2DModel
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    model = FluxTransformer2DModel(num_layers=2, num_single_layers=4, guidance_embeds=True).eval()
    torch.set_default_dtype(torch.float32)
    return model


def inputs(width, height, dtype):
    """hidden_states [1, Ti + Tr, 64] and the rest, as FluxKontextPipeline gives them."""
    import torch
    rows, columns = height // 16, width // 16
    grid = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1).reshape(-1, 2).float()
    ids = torch.cat([torch.cat([torch.full((len(grid), 1), float(which)), grid], 1) for which in (0, 1)])
    return dict(hidden_states=torch.randn(1, len(ids), 64, dtype=dtype), encoder_hidden_states=torch.randn(1, TEXT, 4096, dtype=dtype),
                pooled_projections=torch.randn(1, 768, dtype=dtype), timestep=torch.tensor([1.0], dtype=dtype), img_ids=ids,
                txt_ids=torch.zeros(TEXT, 3), guidance=torch.tensor([2.5], dtype=dtype))


def serve_torch(what, call):
    import torch

    def step():
        with torch.inference_mode():
            call()
    serve(what, step)


def diffusers_step(width, height, _, dtype_name):
    import torch
    dtype = getattr(torch, dtype_name)
    model, given = transformer(dtype), inputs(width, height, dtype)
    serve_torch(f"Diffusers {dtype_name}, eager ({version('diffusers', 'torch')})", lambda: model(**given, return_dict=False))


def torchao_step(width, height, _):
    import torch
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
    model, given = transformer(torch.bfloat16), inputs(width, height, torch.bfloat16)
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    model = torch.compile(model)
    serve_torch(f"torchao int8 W8A8, compiled ({version('torchao', 'torch')})", lambda: model(**given, return_dict=False))


def openvino_step(width, height, _, precision):
    import openvino as ov
    import torch
    model, given = transformer(torch.float32), inputs(width, height, torch.float32)
    names = list(given)

    class Positional(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *values):
            return self.model(**dict(zip(names, values)), return_dict=False)[0]

    converted = ov.convert_model(Positional(), example_input=tuple(given.values()))
    del model
    config = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32", "PERFORMANCE_HINT": "LATENCY"}
    packages = ["openvino"]
    if precision == "int8":
        import nncf
        converted = nncf.compress_weights(converted, mode=nncf.CompressWeightsMode.INT8_ASYM)
        config["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "32"
        packages.append("nncf")
    request = ov.Core().compile_model(converted, "CPU", config).create_infer_request()
    del converted  # the float32 weights: the others need the memory
    gc.collect()
    values = [v.numpy() for v in given.values()]
    what = "int8 weights, dynamic activations" if precision == "int8" else precision
    serve(f"OpenVINO {what} ({version(*packages)})", lambda: request.infer(values) and None)


def sdcpp(width, height, model, wtype, what):
    """A step is what its own progress says between two steps; decoding is what its log says."""
    import re

    import stable_diffusion_cpp
    from PIL import Image
    log = []
    if what == "decode":
        @stable_diffusion_cpp.sd_log_callback
        def keep(_, text, __):
            log.append(text.decode(errors="replace"))
        stable_diffusion_cpp.sd_set_log_callback(keep, None)
    folder = pathlib.Path(model)
    engine = stable_diffusion_cpp.StableDiffusion(
        diffusion_model_path=str(next((folder / "transformer").glob("*.safetensors"))),
        vae_path=str(next((folder / "vae").glob("*.safetensors"))),
        clip_l_path=str(next((folder / "text_encoder").glob("*.safetensors"))),
        wtype=wtype, n_threads=os.cpu_count(), diffusion_flash_attn=True, verbose=what == "decode")
    picture = Image.new("RGB", (width, height), (90, 120, 60))

    def step():
        times = []
        engine.generate_image(prompt="put the cat in the city", ref_images=[picture], width=width, height=height, cfg_scale=1.0,
                              guidance=2.5, sample_steps=1 if what == "decode" else 2, seed=1, progress_callback=lambda _, __, t: times.append(t))
        if what == "decode":
            found = [re.search(r"decode\w* completed, taking ([\d.]+)", line) for line in log]
            return float([m for m in found if m][-1].group(1))
        return float(times[-1])
    serve(f"stable-diffusion.cpp {wtype} ({version('stable-diffusion-cpp-python')})", step)


def diffusers_decode(width, height, _):
    import torch
    from diffusers import AutoencoderKL
    torch.manual_seed(0)
    vae = AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16, use_quant_conv=False,
                        use_post_quant_conv=False).eval()
    latents = torch.randn(1, 16, height // 8, width // 8)
    serve_torch(f"Diffusers float32 ({version('diffusers', 'torch')})", lambda: vae.decode(latents))


WORKERS = {
    "diffusers-f32": lambda *a: diffusers_step(*a, "float32"),
    "diffusers-bf16": lambda *a: diffusers_step(*a, "bfloat16"),
    "openvino-f32": lambda *a: openvino_step(*a, "f32"),
    "openvino-bf16": lambda *a: openvino_step(*a, "bf16"),
    "openvino-int8": lambda *a: openvino_step(*a, "int8"),
    "torchao-int8": torchao_step,
    "sdcpp-q8_0": lambda *a: sdcpp(*a, "q8_0", "step"),
    "sdcpp-q4_k": lambda *a: sdcpp(*a, "q4_k", "step"),
    "diffusers-decode": diffusers_decode,
    "sdcpp-decode": lambda *a: sdcpp(*a, "default", "decode"),
}

if __name__ == "__main__":
    name, width, height, model = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    try:
        WORKERS[name](width, height, model)
    except Exception as e:  # the table says why a peer has no figure
        say(error=f"{type(e).__name__}: {e}"[:300])
