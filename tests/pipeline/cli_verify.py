"""kontext verify: a picture's recipe, run again (docs/verify.md)."""
import json
import struct
from pathlib import Path

from program import ProgramTest, chunk, gradient, png, read_png


def doctored(path, change):
    """The PNG's bytes with its recipe changed by `change(recipe)`."""
    data, out, at = Path(path).read_bytes(), b"\x89PNG\r\n\x1a\n", 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at:at + 4])
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        if kind == b"iTXt" and body.startswith(b"kontext\0"):
            recipe = read_png(path)[2]
            change(recipe)
            body = b"kontext\0\0\0\0\0" + json.dumps(recipe).encode()
        out += chunk(kind, body)
        at += 12 + length
    return out


class Verify(ProgramTest):
    def make(self, *arguments, out="out.png"):
        self.edit("--seed", "7", "-o", out, *arguments)

    def doctor(self, change):
        return self.write("doctored.png", doctored(self.folder / "out.png", change)).name

    def test_own_pictures_are_equal(self):
        self.make()
        self.assertIn("matches: equal pixels", self.succeed("verify", "out.png").stdout)
        self.assertIn("in.png", self.files())

    def test_lossy_formats_are_compared_as_saved(self):
        self.make(out="out.jpg")
        self.assertIn("equal pixels", self.succeed("verify", "out.jpg").stdout)

    def test_masked_edits_and_settings(self):
        self.write("m.png", png(128, 128, lambda x, y: (255 * (x < 64),) * 3))
        self.make("--mask", "m.png", "--feather", "3", "--guidance", "3.1", "--like", "bfl", "--size", "160x96")
        self.succeed("verify", "out.png")
        self.write("m.png", png(128, 128, lambda x, y: (255 * (x < 63),) * 3))
        self.fail_with(3, "verify", "out.png", says=["its mask was not found", "m.png is another picture"])

    def test_a_doctored_recipe_fails(self):
        self.make()
        for change in (lambda r: r.update(seed=8), lambda r: r.update(prompt="put the cat in the city"),
                       lambda r: r.update(seed=8, threads=3, build="another")):
            done = self.fail_with(1, "verify", self.doctor(change))
            self.assertIn("does not match", done.stdout)

    def test_a_picture_painted_over_fails(self):
        self.make()
        recipe = read_png(self.folder / "out.png")[2]
        white = png(128, 128, lambda x, y: (255, 255, 255))
        text = chunk(b"iTXt", b"kontext\0\0\0\0\0" + json.dumps(recipe).encode())
        self.write("white.png", white[:33] + text + white[33:])
        self.fail_with(1, "verify", "white.png")

    def test_other_threads_need_forty_decibels_only(self):
        self.make()
        done = self.succeed("verify", self.doctor(lambda r: r.update(threads=1)), "--json", "--threads", "2")
        verdict = [json.loads(line) for line in done.stdout.splitlines()][-1]
        self.assertEqual((verdict["event"], verdict["matches"]), ("verified", True))
        self.assertEqual(verdict["differences"], ["threads: 1, here 2"])

    def test_inputs_that_moved_or_changed(self):
        self.make()
        (self.folder / "in.png").rename(self.folder / "moved.png")
        self.fail_with(3, "verify", "out.png", says=["input picture 1 was not found", "in.png"])
        self.succeed("verify", "out.png", "-i", "moved.png")
        self.write("in.png", png(128, 128, lambda x, y: gradient(y, x)))
        self.fail_with(3, "verify", "out.png", says=["in.png is another picture"])
        self.fail_with(2, "verify", "out.png", "-i", "moved.png", "-i", "in.png", says=["1 input pictures, 2 were named"])

    def test_found_beside_the_picture(self):
        self.make()
        other = self.folder / "other"
        other.mkdir()
        for name in ("in.png", "out.png"):
            (self.folder / name).rename(other / name)
        self.succeed("verify", "other/out.png")

    def test_missing_or_broken_recipes(self):
        self.fail_with(3, "verify", "in.png", says=["in.png: carries no recipe"])
        self.fail_with(3, "verify", "gone.png", says=["gone.png"])
        self.make()
        for field in ("prompt", "seed", "steps", "references", "model", "threads", "build", "like", "width"):
            self.fail_with(3, "verify", self.doctor(lambda r: r.pop(field)), says=["recipe", field])
        for change in ({"seed": -1}, {"steps": 1e9}, {"references": 3}, {"references": [3]}, {"like": "x"}, {"asked_size": [1]},
                       {"threads": 0}, {"loras": [{}]}, {"mask": 1}):
            self.fail_with(3, "verify", self.doctor(lambda r: r.update(change)), says=["recipe"])

    def test_another_model_is_named(self):
        self.make()
        self.fail_with(3, "verify", self.doctor(lambda r: r["model"].update(fingerprint="00", name="big")), says=["big (00)", "mini ("])
        self.fail_with(3, "verify", self.doctor(lambda r: r.update(loras=[{"file": "a", "sha256": "b", "strength": 1}])),
                       says=["made with 1 adapters", "0 were named"])
