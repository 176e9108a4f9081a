"""`kontext convert` as a user meets it: the packed model edits as the source does, and no accident leaves a broken file."""
import json
import math
import signal
import subprocess
import time
import unittest

from program import KONTEXT, MINI, ProgramTest, read_pixels

EDIT = ("--seed", "1", "-i", "in.png", "-p", "put the cat in the city", "-q")
TRANSFORMER = MINI / "transformer"


def psnr(a, b):
    error = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


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
