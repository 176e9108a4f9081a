"""`kontext convert` as a user meets it: the packed model edits as the source does, and no accident leaves a broken file."""
import json
import math
import re
import signal
import subprocess
import time
import unittest

from program import KONTEXT, MINI, ProgramTest, read_pixels, write_safetensors

EDIT = ("--seed", "1", "-i", "in.png", "-p", "put the cat in the city", "-q")
TRANSFORMER = MINI / "transformer"


def psnr(a, b):
    error = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def full_size_header():
    """The header of FLUX.1's transformer in bf16 under BFL's names, and the size of its data (spec weights 2)."""
    hidden, shapes = 3072, {}

    def linear(name, out, inner):
        shapes.update({name + ".weight": [out, inner], name + ".bias": [out]})
    for name, inner in ("img_in", 64), ("txt_in", 4096):
        linear(name, hidden, inner)
    for name, inner in ("time_in", 256), ("guidance_in", 256), ("vector_in", 768):
        linear(name + ".in_layer", hidden, inner)
        linear(name + ".out_layer", hidden, hidden)
    for i in range(19):
        for stream in "img", "txt":
            block = f"double_blocks.{i}.{stream}"
            for name, out, inner in (("mod.lin", 6, 1), ("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.0", 4, 1), ("mlp.2", 1, 4)):
                linear(f"{block}_{name}", out * hidden, inner * hidden)
            shapes.update({f"{block}_attn.norm.{n}_norm.scale": [128] for n in ("query", "key")})
    for i in range(38):
        block = f"single_blocks.{i}."
        for name, out, inner in (("modulation.lin", 3, 1), ("linear1", 7, 1), ("linear2", 1, 5)):
            linear(block + name, out * hidden, inner * hidden)
        shapes.update({f"{block}norm.{n}_norm.scale": [128] for n in ("query", "key")})
    linear("final_layer.adaLN_modulation.1", 2 * hidden, hidden)
    linear("final_layer.linear", 64, hidden)
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    return header, at


class Convert(ProgramTest):
    def edited(self, name, *model):
        self.succeed("edit", *EDIT, "-o", name, *model)
        return read_pixels(self.folder / name)[3]

    def test_packed_models_edit_as_the_source_does(self):
        source = self.edited("source.png")
        for packing in "bf16", "int8":
            self.succeed("convert", MINI, packing, "--to", packing)
            self.succeed("convert", packing, "--verify")
        self.assertEqual(self.edited("bf16.png", "-m", "bf16"), source)
        observed = psnr(self.edited("int8.png", "-m", "int8"), source)
        # A row of normal values rounded to 255 steps is off by step / sqrt(12), step = 3.5 deviations / 127 (the
        # largest of 256): 0.8 % of the weights' size. 18 matrices in a row (6 blocks, 3 products deep) in quadrature
        # make 3.4 % of the velocity, in 28 steps of independent noise levels no more than that of the picture's spread
        # (0.25 of the range): 41 dB.
        print(f"int8 against its source: {observed:.1f} dB, bound 41")
        self.assertGreaterEqual(observed, 41)
        self.assertLess(observed, math.inf)  # the weights are not the same

    def test_killed_in_the_middle_it_goes_on(self):
        self.succeed("convert", TRANSFORMER, "whole.safetensors")
        whole = (self.folder / "whole.safetensors").read_bytes()
        for milliseconds in 5, 15, 25, 35:
            run = subprocess.Popen([KONTEXT, "convert", TRANSFORMER, "out.safetensors", "-q"], cwd=self.folder,
                                   stdout=subprocess.DEVNULL)
            time.sleep(milliseconds / 1000)
            run.send_signal(signal.SIGKILL)
            if run.wait() == -signal.SIGKILL:
                self.assertFalse((self.folder / "out.safetensors").exists())
        self.succeed("convert", TRANSFORMER, "out.safetensors")
        self.assertEqual((self.folder / "out.safetensors").read_bytes(), whole)
        self.assertEqual([p.name for p in self.folder.glob("out.*")], ["out.safetensors"])

    def test_a_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            self.skipTest("mounting a tmpfs is not allowed here")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=False)
        # FLUX.1 Kontext [dev] at its real size, all of it a hole: refused before the work.
        header, size = full_size_header()
        with open(self.folder / "flux1-kontext-dev.safetensors", "wb") as f:
            f.write(write_safetensors(header, b""))
            f.truncate(f.tell() + size)
        begin = time.monotonic()
        done = self.fail_with(4, "convert", "flux1-kontext-dev.safetensors", "disk/q.safetensors", says=["bytes are needed", "are free"])
        needed = int(re.search(r"(\d+) bytes are needed", done.stderr)[1])
        print(f"{size / 1e9:.1f} GB of source, {needed / 1e9:.1f} GB needed, refused in {time.monotonic() - begin:.2f} s")
        self.assertAlmostEqual(needed / 1e9, 15.2, delta=0.1)   # docs/full-size.md has the file's bytes
        self.assertEqual(list(disk.iterdir()), [])
        # With room for it the same command ends.
        self.fail_with(4, "convert", TRANSFORMER, "disk/q.safetensors")
        subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
        self.succeed("convert", TRANSFORMER, "disk/q.safetensors")
        self.succeed("convert", "disk/q.safetensors", "--verify")

    def test_one_flipped_byte_is_found(self):
        self.succeed("convert", TRANSFORMER, "q.safetensors")
        data = bytearray((self.folder / "q.safetensors").read_bytes())
        data[len(data) // 2] ^= 1
        self.write("q.safetensors", bytes(data))
        self.fail_with(3, "convert", "q.safetensors", "--verify", says=["1 of ", "checksum"])

    def test_events(self):
        events = [json.loads(line) for line in self.succeed("convert", TRANSFORMER, "q.safetensors", "--json").stdout.splitlines()]
        self.assertEqual(events[-1]["event"], "done")
        self.assertEqual(events[-1]["bytes_out"], (self.folder / "q.safetensors").stat().st_size)
        self.assertTrue(any(e["event"] == "progress" for e in events))

    def test_refusals(self):
        self.fail_with(3, "convert", "nowhere.safetensors", "q.safetensors", says=["nowhere.safetensors", "no such"])
        self.fail_with(2, "convert", TRANSFORMER, "q.gguf", says=["NAME.safetensors"])
        self.fail_with(2, "convert", TRANSFORMER, "q.safetensors", "--to", "int3", says=["int3"])
        self.write("in.safetensors", b"no safetensors at all")
        self.fail_with(3, "convert", "in.safetensors", "q.safetensors", says=["in.safetensors"])
        self.assertFalse((self.folder / "q.safetensors").exists())


if __name__ == "__main__":
    unittest.main()
