"""kontext edit and generate, as a user runs them."""
import json
import signal
import subprocess
import time

from program import KONTEXT, ProgramTest, gradient, png, read_png


class Edit(ProgramTest):
    def test_same_seed_same_picture_and_the_recipe_is_inside(self):
        self.edit("--seed", "7", "-o", "a.png")
        self.edit("--seed", "7", "-o", "b.png")
        self.edit("--seed", "8", "-o", "c.png")
        a, b, c = ((self.folder / n).read_bytes() for n in ("a.png", "b.png", "c.png"))
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)
        width, height, recipe = read_png(self.folder / "a.png")
        self.assertEqual((width, height), (128, 128))
        self.assertEqual(recipe["prompt"], "make it night")
        self.assertEqual((recipe["seed"], recipe["steps"], recipe["guidance"]), (7, 2, 2.5))
        self.assertEqual(recipe["model"]["name"], "mini")
        self.assertTrue(recipe["ai_generated"])

    def test_default_name_holds_input_and_seed_and_never_overwrites(self):
        self.edit("--seed", "42")
        self.edit("--seed", "42")
        self.assertEqual(self.files(), ["in-42-2.png", "in-42.png", "in.png"])

    def test_named_output_is_replaced(self):
        self.write("out.png", b"old")
        self.edit("--seed", "1", "-o", "out.png")
        self.assertEqual(read_png(self.folder / "out.png")[:2], (128, 128))

    def test_a_drawn_seed_is_printed_and_stored(self):
        done = self.edit("-o", "out.png")
        seed = read_png(self.folder / "out.png")[2]["seed"]
        self.assertIn(f"seed {seed}", done.stdout)

    def test_several_seeds(self):
        self.edit("--seed", "5", "--n", "3", "-o", "out.png")
        self.assertEqual(self.files(), ["in.png", "out-5.png", "out-6.png", "out-7.png"])
        self.edit("--seed", "6", "-o", "six.png")
        self.assertEqual((self.folder / "six.png").read_bytes(), (self.folder / "out-6.png").read_bytes())

    def test_generate_and_size(self):
        self.succeed("generate", "-p", "a happy cat", "--seed", "3", "--steps", "2", "--size", "160x96", "-o", "g.png")
        width, height, recipe = read_png(self.folder / "g.png")
        self.assertEqual((width, height), (160, 96))
        self.assertEqual(recipe["references"], [])

    def test_two_references_change_the_result(self):
        self.write("second.png", png(64, 128, lambda x, y: (255, 0, 0)))
        self.edit("--seed", "1", "-o", "one.png")
        self.edit("--seed", "1", "-i", "second.png", "-o", "two.png")
        self.assertEqual(len(read_png(self.folder / "two.png")[2]["references"]), 2)
        self.assertNotEqual((self.folder / "one.png").read_bytes(), (self.folder / "two.png").read_bytes())

    def test_true_cfg(self):
        self.edit("--seed", "1", "-o", "plain.png")
        self.edit("--seed", "1", "--negative", "day", "--true-cfg", "3", "-o", "cfg.png")
        recipe = read_png(self.folder / "cfg.png")[2]
        self.assertEqual((recipe["negative"], recipe["true_cfg"]), ("day", 3.0))
        self.assertNotEqual((self.folder / "plain.png").read_bytes(), (self.folder / "cfg.png").read_bytes())

    def test_every_like_runs(self):
        pictures = set()
        for like in ("bfl", "diffusers", "comfyui", "sdcpp"):
            self.edit("--seed", "1", "--like", like, "-o", f"{like}.png")
            self.assertEqual(read_png(self.folder / f"{like}.png")[2]["like"], like)
            pictures.add((self.folder / f"{like}.png").read_bytes())
        self.assertEqual(len(pictures), 4)

    def test_formats(self):
        for name, magic in (("o.jpg", b"\xff\xd8"), ("o.webp", b"RIFF"), ("o.PNG", b"\x89PNG")):
            self.edit("--seed", "1", "-o", name)
            self.assertTrue((self.folder / name).read_bytes().startswith(magic))
            shown = self.succeed("inspect", name, "--json")
            self.assertEqual(json.loads(shown.stdout)["recipe"]["seed"], 1)

    def test_preview_is_rewritten(self):
        self.edit("--seed", "1", "--preview", "now.png", "-o", "out.png")
        self.assertEqual(read_png(self.folder / "now.png")[:2], (16, 16))

    def test_json_events(self):
        done = self.edit("--seed", "1", "--json", "-o", "out.png")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        steps = [e for e in events if e["event"] == "step"]
        self.assertEqual([e["step"] for e in steps], [1, 2])
        self.assertGreater(steps[0]["seconds_left"], 0)
        picture = [e for e in events if e["event"] == "picture"]
        self.assertEqual((picture[0]["path"], picture[0]["seed"]), ("out.png", 1))

    def test_pipe_gets_plain_lines(self):
        done = self.edit("--seed", "1", "-o", "out.png")
        self.assertNotIn("\r", done.stderr)
        self.assertIn("step 2 of 2", done.stderr)

    def test_keep_alpha(self):
        self.write("alpha.png", png(128, 128, lambda x, y: (*gradient(x, y), 255 if x < 64 else 0), colour=6))
        self.succeed("edit", "-i", "alpha.png", "-p", "make it night", "--steps", "1", "--keep-alpha", "-o", "out.png")
        self.assertEqual((self.folder / "out.png").read_bytes()[25], 6, "colour type with alpha")
        done = self.succeed("edit", "-i", "alpha.png", "-p", "make it night", "--steps", "1", "-o", "flat.png")
        self.assertIn("alpha", done.stderr)

    def test_long_prompt_is_cut_and_said(self):
        done = self.succeed("edit", "-i", "in.png", "-p", "make it night " * 200, "--steps", "1", "-o", "out.png")
        self.assertIn("were cut", done.stderr)

    def test_reference_backend_gives_the_same_picture_nearly(self):
        self.edit("--seed", "1", "--dtype", "f32", "-o", "cpu.png")
        self.edit("--seed", "1", "--backend", "reference", "--dtype", "f32", "-o", "ref.png")
        self.assertEqual(read_png(self.folder / "ref.png")[2]["backend"], "reference")


class Interrupt(ProgramTest):
    def test_ctrl_c_ends_soon_with_130_and_leaves_nothing(self):
        process = subprocess.Popen(
            [KONTEXT, "edit", "-i", "in.png", "-p", "x", "--steps", "1000", "--json", "-o", "out.png"],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=self.environment())
        for line in process.stdout:
            if json.loads(line)["event"] == "step":
                break
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(60), 130)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(self.files(), ["in.png"])
