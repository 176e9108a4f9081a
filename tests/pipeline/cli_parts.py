"""Models without a directory: -m FILE with its parts beside it or all in one; and what is said when parts are missing or mixed up."""
import json
import unittest

from mini_files import FOLDERS, all_in_one, bfl_transformer, bfl_vae, pack, part, prefixed, tensors
from program import MINI, ProgramTest


class SingleFiles(ProgramTest):
    def pixels(self, *model, seed=7):
        """The picture's bytes from the IDAT chunks on: the recipe names the model and may differ."""
        self.edit("--seed", seed, "-o", "out.png", *model)
        data = (self.folder / "out.png").read_bytes()
        return data[data.index(b"IDAT"):]

    def files_of_mini(self):
        self.write("clip_l.safetensors", pack(part("clip")))
        self.write("t5xxl_fp16.safetensors", pack(part("t5")))
        self.write("ae.safetensors", pack(bfl_vae()))
        return ("--clip", "clip_l.safetensors", "--t5", "t5xxl_fp16.safetensors", "--vae", "ae.safetensors", "--tokenizers", MINI)

    def test_a_bfl_file_edits_as_the_directory_does(self):
        expected = self.pixels("-m", MINI)
        others = self.files_of_mini()
        self.write("flux1-kontext-dev.safetensors", pack(bfl_transformer()))
        self.assertEqual(self.pixels("-m", "flux1-kontext-dev.safetensors", *others), expected)
        # The same without -m, and over the directory.
        self.assertEqual(self.pixels("--transformer", "flux1-kontext-dev.safetensors", *others), expected)
        self.assertEqual(self.pixels("-m", MINI, "--transformer", "flux1-kontext-dev.safetensors"), expected)
        self.assertEqual(self.pixels("-m", MINI, *others), expected)
        self.assertNotEqual(self.pixels("-m", MINI, seed=8), expected, "the comparison must be able to fail")

    def test_an_all_in_one_file_edits_as_the_directory_does(self):
        expected = self.pixels("-m", MINI)
        self.write("kontext-all.safetensors", pack(all_in_one()))
        self.assertEqual(self.pixels("-m", "kontext-all.safetensors", "--tokenizers", MINI), expected)
        # One of its parts replaced by the same from a file.
        vae = MINI / FOLDERS["vae"]
        self.assertEqual(self.pixels("-m", "kontext-all.safetensors", "--vae", vae, "--tokenizers", MINI), expected)

    def test_the_mini_needs_its_own_tokenizers(self):
        self.write("all.safetensors", pack(all_in_one()))
        self.bad("-m", "all.safetensors", "--clip", MINI / FOLDERS["clip"], says=["--tokenizers"])

    def bad(self, *flags, says):
        self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "--steps", "2", "-o", "out.png", *flags, says=says)
        self.assertNotIn("out.png", self.files())

    def test_all_missing_parts_are_named_at_once(self):
        self.write("flux1-kontext-dev.safetensors", pack(bfl_transformer()))
        self.bad("-m", "flux1-kontext-dev.safetensors", says=[
            "flux1-kontext-dev.safetensors", "transformer", "--clip", "clip_l.safetensors", "--t5", "t5xxl_fp16.safetensors",
            "--vae", "ae.safetensors", "kontext doctor"])
        self.write("part.safetensors", pack({**prefixed("model.diffusion_model.", bfl_transformer()), **prefixed("vae.", bfl_vae())}))
        done = self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "-m", "part.safetensors", says=["--clip", "--t5"])
        self.assertNotIn("--vae", done.stderr)

    def test_parts_in_the_wrong_place(self):
        others = self.files_of_mini()
        self.bad("-m", "t5xxl_fp16.safetensors", *others, says=["t5xxl_fp16.safetensors", "T5 text encoder", "pass it with --t5"])
        self.bad("-m", MINI, "--clip", "ae.safetensors", says=["ae.safetensors", "VAE", "pass it with --vae", "clip_l.safetensors"])
        self.bad("-m", MINI, "--vae", "clip_l.safetensors", says=["CLIP", "pass it with --clip"])

    def test_other_models_are_named_with_what_to_get(self):
        transformer = bfl_transformer()
        dtype, (rows, _), data = transformer["img_in.weight"]
        fill = {**transformer, "img_in.weight": (dtype, [rows, 384], data * 6)}
        flux2 = {**transformer, "double_stream_modulation_img.lin.weight": (dtype, [1, 1], b"\0\0")}
        no_guidance = {n: t for n, t in transformer.items() if not n.startswith("guidance_in")}
        clip_g = {n: (d, [1280 if s == 64 else s for s in shape], None) for n, (d, shape, _) in part("clip").items()}
        clip_g = {n: (d, s, bytes(2 * (s[0] * (s[1] if len(s) > 1 else 1)))) for n, (d, s, _) in clip_g.items() if "mlp" not in n}
        for flag, named, says in (("--transformer", fill, ["FLUX.1 Fill", "384", "flux1-kontext-dev.safetensors"]),
                                  ("--transformer", flux2, ["FLUX.2"]), ("--transformer", no_guidance, ["schnell"]),
                                  ("--clip", clip_g, ["CLIP-G", "clip_l.safetensors"]),
                                  ("--transformer", {"lora_unet_double_blocks_0_img_mod_lin.lora_up.weight": (dtype, [1, 1], b"\0\0")}, ["LoRA", "--lora"])):
            self.write("x.safetensors", pack(named))
            self.bad("-m", MINI, flag, "x.safetensors", says=["x.safetensors", *says])

    def test_wrong_shapes_are_listed_with_the_file(self):
        self.write("f.safetensors", pack({n: t for n, t in bfl_transformer().items() if not n.startswith("double_blocks.0.img_mlp")}))
        self.bad("-m", MINI, "--transformer", "f.safetensors", says=["f.safetensors", "img_mlp.0.weight"])

    def test_shards(self):
        """Half of the index's files, and a name that stands in two of them."""
        model = self.copy_of_mini()
        whole = model / FOLDERS["transformer"]
        named = tensors(whole)
        names = sorted(named)
        whole.unlink()
        one, two = names[:len(names) // 2], names[len(names) // 2:]
        first, second = (f"diffusion_pytorch_model-0000{k}-of-00002.safetensors" for k in (1, 2))
        index = {"weight_map": {**{n: first for n in one}, **{n: second for n in two}}}
        folder = whole.parent
        (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
        (folder / first).write_bytes(pack({n: named[n] for n in one}))
        self.bad("-m", model, says=["missing", second])
        (folder / second).write_bytes(pack({n: named[n] for n in [*two, one[0]]}))
        self.bad("-m", model, says=[one[0], "earlier file"])
        (folder / second).write_bytes(pack({n: named[n] for n in two}))
        self.assertEqual(self.pixels("-m", model), self.pixels("-m", MINI))


if __name__ == "__main__":
    unittest.main()
