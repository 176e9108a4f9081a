"""kontext doctor on a made-up ComfyUI folder with eight mistakes, on an empty one and on a model directory; kontext inspect on single files."""
import hashlib
import json
import os
import shlex
import subprocess
import unittest

from mini_files import FOLDERS, all_in_one, bfl_transformer, bfl_vae, pack, part
from program import KONTEXT, MINI, SOURCE, ProgramTest, read_png

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:843a26dc765d3105dba081c30bce7b14c65b0988f9e8d14e9fbc8856a6deebd5\nsize 23802947360\n"
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"


class Doctor(ProgramTest):
    def make_comfyui(self):
        """ComfyUI's models folder, sound but for eight mistakes."""
        transformer, vae = bfl_transformer(), bfl_vae()
        root = "My Models"
        whole = pack(transformer)
        self.write(f"{root}/diffusion_models/flux1-kontext-dev.safetensors", whole)
        self.write(f"{root}/clip/clip_l.safetensors", pack(part("clip")))
        self.write(f"{root}/vae/ae.safetensors", pack(vae))
        self.write(f"{root}/checkpoints/readme.txt", b"put checkpoints here\n")
        for file in (*[p for p in MINI.glob("tokenizer*/*")], MINI / "vae/config.json", MINI / "text_encoder/config.json", MINI / "kontext.json"):
            self.write(f"{root}/kontext/{file.relative_to(MINI)}", file.read_bytes())
        # 1 a text encoder in the transformers' folder
        self.write(f"{root}/unet/t5xxl_fp16.safetensors", pack(part("t5")))
        # 2 a download that broke off
        self.write(f"{root}/diffusion_models/flux1-kontext-dev (1).safetensors", whole[:len(whole) // 2])
        # 3 Git's pointer in place of the file
        self.write(f"{root}/diffusion_models/kontext-lfs.safetensors", LFS)
        # 4 a login page in place of the file
        self.write(f"{root}/vae/flux_vae.safetensors", PAGE)
        # 5 a wrong variant under a right name
        dtype, (rows, _), data = transformer["img_in.weight"]
        self.write(f"{root}/diffusion_models/flux1-kontext-new.safetensors",
                   pack({**transformer, "img_in.weight": (dtype, [rows, 384], data * 6)}))
        # 6 the autoencoder of another model
        dtype, (rows, z, *kernel), data = vae["decoder.conv_in.weight"]
        self.write(f"{root}/vae/vae-ft-mse.safetensors", pack({**vae, "decoder.conv_in.weight": (dtype, [rows, 4, *kernel], data[:len(data) // (z // 4)])}))
        # 7 a shard is missing
        named = part("t5")
        names = sorted(named)
        index = {"weight_map": {n: f"model-0000{1 + (i >= len(names) // 2)}-of-00002.safetensors" for i, n in enumerate(names)}}
        self.write(f"{root}/text_encoders/t5/model.safetensors.index.json", json.dumps(index).encode())
        self.write(f"{root}/text_encoders/t5/model-00001-of-00002.safetensors", pack({n: named[n] for n in names[:len(names) // 2]}))
        # 8 a pickle
        self.write(f"{root}/checkpoints/flux-kontext.ckpt", b"PK\x03\x04" + b"x" * 100)
        return root

    def diagnose(self, folder, code=0):
        done = self.run_kontext("doctor", folder, "--json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        found = json.loads(done.stdout)
        return found, {os.path.relpath(f["path"], folder): f for f in found["files"]}

    def test_a_comfyui_folder_with_eight_mistakes(self):
        root = self.make_comfyui()
        found, files = self.diagnose(root)
        for name, usable, *says in (
                ("unet/t5xxl_fp16.safetensors", True, "folder unet/", "text_encoders/"),
                ("diffusion_models/flux1-kontext-dev (1).safetensors", False, "cut off", "ownload it again"),
                ("diffusion_models/kontext-lfs.safetensors", False, "git lfs pull"),
                ("vae/flux_vae.safetensors", False, "licence"),
                ("diffusion_models/flux1-kontext-new.safetensors", False, "Fill", "flux1-kontext-dev.safetensors"),
                ("vae/vae-ft-mse.safetensors", False, "Stable Diffusion", "ae.safetensors"),
                ("text_encoders/t5/model.safetensors.index.json", False, "missing", "model-00002-of-00002.safetensors"),
                ("checkpoints/flux-kontext.ckpt", False, "never read")):
            with self.subTest(name):
                self.assertEqual(files[name]["usable"], usable)
                self.assertEqual(len(files[name]["problems"]), 1, files[name])
                for word in says:
                    self.assertIn(word, files[name]["problems"][0])
        sound = [n for n, f in files.items() if not f["problems"]]
        self.assertEqual(sorted(sound), ["clip/clip_l.safetensors", "diffusion_models/flux1-kontext-dev.safetensors", "vae/ae.safetensors"])
        self.assertNotIn("text_encoders/t5/model-00001-of-00002.safetensors", files, "seen through its index")
        self.assertEqual(found["missing"], [])
        self.assertEqual(found["notes"], [])
        self.runs(found)

    def runs(self, found):
        """The proposed line, pasted into a shell, edits."""
        line = found["command_line"] + " --steps 1 --seed 3 -o out.png"
        self.assertEqual(shlex.split(found["command_line"]), ["kontext", *found["command"]])
        done = subprocess.run(["sh", "-c", f'kontext() {{ "$KONTEXT" "$@"; }}; {line}'], cwd=self.folder, capture_output=True, text=True,
                              env={**os.environ, "KONTEXT": KONTEXT})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(read_png(self.folder / "out.png")[:2], (128, 128))

    def test_text_for_people(self):
        root = self.make_comfyui()
        text = self.succeed("doctor", root).stdout
        shown = (SOURCE / "docs/doctor.md").read_text().split('$ kontext doctor "My Models"\n')[1].split("```")[0]
        self.assertEqual(text, shown, "docs/doctor.md shows this very folder")
        self.assertIn("This runs:\n  kontext edit -m 'My Models/diffusion_models/flux1-kontext-dev.safetensors'", text)
        self.assertIn("ok? My Models/unet/t5xxl_fp16.safetensors", text)

    def test_missing_parts_and_an_empty_folder(self):
        self.write("d/flux1-kontext-dev.safetensors", pack(bfl_transformer()))
        found, _ = self.diagnose("d", 3)
        self.assertEqual(found["command"], [])
        self.assertEqual([m.split(":")[0] for m in found["missing"]],
                         ["the CLIP-L text encoder", "the T5-XXL text encoder", "the FLUX.1 autoencoder"])
        (self.folder / "empty").mkdir()
        found, files = self.diagnose("empty", 3)
        self.assertEqual((files, len(found["missing"])), ({}, 4))
        self.fail_with(3, "doctor", "in.png", says=["kontext inspect"])
        self.fail_with(3, "doctor", "absent", says=["absent"])

    def test_a_model_directory_and_a_cache_of_links(self):
        found, files = self.diagnose(MINI)
        self.assertEqual(found["command"][:3], ["edit", "-m", str(MINI)])
        self.assertTrue(all(f["usable"] for f in files.values()))
        # Hugging Face's cache: blobs under their sums, snapshots of links, and a link that runs in a circle.
        cache = self.folder / "hub/models--someone--mini-kontext"
        for file in [p for p in MINI.rglob("*") if p.is_file()]:
            data = file.read_bytes()
            blob = cache / "blobs" / hashlib.sha256(data).hexdigest()
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(data)
            link = cache / "snapshots/abc" / file.relative_to(MINI)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
        (cache / "snapshots/abc/again").symlink_to(cache)
        (cache / "snapshots/abc/gone.safetensors").symlink_to(cache / "blobs/absent")
        found, files = self.diagnose("hub")
        self.assertEqual(found["command"][2], "hub/models--someone--mini-kontext/snapshots/abc")
        self.assertEqual(len(files), 4)
        self.assertTrue(any("gone.safetensors" in n for n in found["notes"]))
        self.runs(found)

    def test_an_all_in_one_file_and_dev(self):
        self.write("d/kontext-all.safetensors", pack(all_in_one()))
        _, files = self.diagnose("d", 3)  # the mini's sizes are not FLUX.1's, and nothing here says what they are
        self.assertIn("--tokenizers", files["kontext-all.safetensors"]["problems"][0])
        os.rename(self.folder / "d/kontext-all.safetensors", self.folder / "d/flux1-dev.safetensors")
        for file in (*MINI.glob("tokenizer*/*"), MINI / "vae/config.json", MINI / "text_encoder/config.json"):
            self.write(f"d/t/{file.relative_to(MINI)}", file.read_bytes())
        found, files = self.diagnose("d", 3)
        self.assertEqual(found["command"][0], "generate")
        self.assertIn("not trained to edit", files["flux1-dev.safetensors"]["problems"][0])


class InspectSingleFiles(ProgramTest):
    def inspect(self, path, *flags, code=0):
        done = self.run_kontext("inspect", path, "--json", *flags)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_family_variant_and_sum(self):
        data = pack(bfl_transformer())
        self.write("flux1-kontext-dev.safetensors", data)
        found = self.inspect("flux1-kontext-dev.safetensors", "--sha256")
        self.assertEqual(found["family"], "FLUX.1 transformer")
        self.assertIn("Kontext [dev], by the name", found["variant"])
        self.assertEqual(found["sha256"], hashlib.sha256(data).hexdigest())
        self.assertIn("no published file", found["published"])
        self.write("x.safetensors", pack(bfl_transformer(), {"modelspec.title": "FLUX.1 Kontext"}))
        found = self.inspect("x.safetensors")
        self.assertIn("by the metadata", found["variant"])
        self.assertNotIn("sha256", found)
        self.write("y.safetensors", data)
        self.assertIn("neither metadata nor name", self.inspect("y.safetensors")["variant"])

    def test_incomplete_files_list_what_they_lack(self):
        named = bfl_transformer()
        del named["double_blocks.1.img_attn.proj.weight"]
        self.write("f.safetensors", pack(named))
        found = self.inspect("f.safetensors", code=3)
        self.assertIn("double_blocks.1.img_attn.proj.weight", found["problems"][0])

    def test_things_in_place_of_weights(self):
        for name, data, word in (("a.safetensors", LFS, "LFS"), ("b.safetensors", PAGE, "web page"), ("c.safetensors", b"", "empty"),
                                 ("d.engine", b"ftrt" + b"\0" * 100, "TensorRT"), ("e.onnx", b"\x08\x0a\x12\x07pytorch" + b"\0" * 100, "ONNX")):
            self.write(name, data)
            found = self.inspect(name, code=3)
            self.assertIn(word, found["kind"])
            self.assertEqual(len(found["problems"]), 1)

    def test_text_encoder_and_all_in_one(self):
        self.assertIn("T5", self.inspect(MINI / FOLDERS["t5"])["layout"])
        self.write("all.safetensors", pack(all_in_one()))
        done = self.run_kontext("inspect", "all.safetensors", "--json")
        self.assertIn("all-in-one", json.loads(done.stdout)["layout"])


if __name__ == "__main__":
    unittest.main()
