"""Model files that are not what they should be, and kontext inspect."""
import json
import struct

from program import MINI, ProgramTest, read_safetensors, write_safetensors

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


class Models(ProgramTest):
    def bad(self, model, code, *says):
        self.fail_with(code, "edit", "-i", "in.png", "-p", "x", "--steps", "2", "-m", model, "-o", "out.png", says=says)
        self.assertNotIn("out.png", self.files())

    def test_no_model_or_half_a_model(self):
        self.bad("absent", 3, "absent", "model directory")
        self.bad("in.png", 3, "in.png", "safetensors")
        model = self.copy_of_mini()
        (model / "vae/config.json").unlink()
        self.bad(model, 3, "vae/config.json")

    def test_parts_in_the_wrong_place(self):
        t5 = MINI / "text_encoder_2/model.safetensors"
        self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "--transformer", t5, says=["T5"])
        vae = MINI / "vae/diffusion_pytorch_model.safetensors"
        self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "--clip", vae, says=["diffusion_pytorch_model"])

    def test_all_tensor_problems_at_once(self):
        model = self.copy_of_mini()
        header, body = read_safetensors(MINI / TRANSFORMER)
        header["surprise.weight"] = header.pop("x_embedder.bias")           # one missing, one unexpected
        header["proj_out.weight"]["shape"].reverse()                          # one mis-shaped
        self.replace(model / TRANSFORMER, write_safetensors(header, body))
        self.bad(model, 3, "x_embedder.bias", "surprise.weight", "proj_out.weight", "[256,64]", "[64,256]")

    def test_schnell_and_fill_are_named(self):
        header, body = read_safetensors(MINI / TRANSFORMER)
        for name in [n for n in header if "guidance_embedder" in n]:
            del header[name]
        model = self.copy_of_mini()
        self.replace(model / TRANSFORMER, write_safetensors(header, body))
        self.bad(model, 3, "schnell")

    def test_nan_weights_stop_at_the_step_and_leave_no_picture(self):
        model = self.copy_of_mini()
        header, body = read_safetensors(MINI / TRANSFORMER)
        begin = header["proj_out.bias"]["data_offsets"][0]
        body[begin:begin + 2] = struct.pack("<H", 0x7FC0)  # a bf16 NaN
        self.replace(model / TRANSFORMER, write_safetensors(header, body))
        self.bad(model, 1, "step 1 of 2", "NaN")

    def test_lying_headers(self):
        header, body = read_safetensors(MINI / TRANSFORMER)
        whole = write_safetensors(header, body)
        model = self.copy_of_mini()
        self.replace(model / TRANSFORMER, whole[:-1000])
        self.bad(model, 3, TRANSFORMER.split("/")[1])
        self.replace(model / TRANSFORMER, struct.pack("<Q", 2**62) + whole[8:])
        self.bad(model, 3, TRANSFORMER.split("/")[1])
        header["proj_out.bias"]["data_offsets"] = [0, 2**63 - 1]
        self.replace(model / TRANSFORMER, write_safetensors(header, body))
        self.bad(model, 3, "proj_out.bias")

    def test_the_other_byte_order(self):
        whole = (MINI / TRANSFORMER).read_bytes()
        model = self.copy_of_mini()
        self.replace(model / TRANSFORMER, whole[:8][::-1] + whole[8:])
        self.bad(model, 3, TRANSFORMER.split("/")[1], "big-endian")

    def test_cut_off_in_every_section(self):
        header, body = read_safetensors(MINI / TRANSFORMER)
        whole = write_safetensors(header, body)
        data = len(whole) - len(body)
        model = self.copy_of_mini()
        for at in (0, 5, 8, data // 2, data, data + 1, data + len(body) // 2, len(whole) - 1):
            with self.subTest(at):
                self.replace(model / TRANSFORMER, whole[:at])
                self.bad(model, 3, TRANSFORMER.split("/")[1])

    def test_names_twice_or_colliding(self):
        header, body = read_safetensors(MINI / TRANSFORMER)
        text = json.dumps(header).encode()
        model = self.copy_of_mini()
        twice = text.replace(b'"x_embedder.bias"', b'"proj_out.bias"')
        self.replace(model / TRANSFORMER, struct.pack("<Q", len(twice)) + twice + body)
        self.bad(model, 3, "proj_out.bias", "stands twice")
        # The same tensor under BFL's name beside Diffusers', and the whole network under a prefix beside it.
        self.replace(model / TRANSFORMER, write_safetensors({**header, "img_in.weight": header["x_embedder.weight"] | {"data_offsets": [
            len(body), len(body) + 2 * 256 * 64]}}, body + bytes(2 * 256 * 64)))
        self.bad(model, 3, "unexpected", "img_in.weight")
        again = {"transformer." + n: t | {"data_offsets": [len(body) + o for o in t["data_offsets"]]}
                 for n, t in header.items() if n != "__metadata__"}
        self.replace(model / TRANSFORMER, write_safetensors({**header, **again}, body + body))
        self.bad(model, 3, '"x_embedder.weight"', '"transformer.x_embedder.weight"', "two networks")

    def test_a_tensor_of_nothing(self):
        header, body = read_safetensors(MINI / TRANSFORMER)
        header["proj_out.weight"] |= {"shape": [0, 256], "data_offsets": [0, 0]}
        model = self.copy_of_mini()
        self.replace(model / TRANSFORMER, write_safetensors(header, body))
        self.bad(model, 3, "proj_out.weight", "[0,256]", "[64,256]")

    def test_other_containers_say_what_to_get(self):
        for name, data, says in (("a.ckpt", b"PK\x03\x04" + b"x" * 100, ["pickle", "never read"]),
                                 ("a.bin", b"\x80\x02" + b"x" * 100, ["pickle", "never read"]),
                                 ("a.onnx", b"\x08\x0a\x12\x07pytorch" + b"\0" * 100, ["ONNX", "under numbers"]),
                                 ("a.engine", b"ftrt" + b"\0" * 100, ["TensorRT", "one GPU"])):
            self.write(name, data)
            for flags in (["-m", name], ["-m", MINI, "--transformer", name], ["-m", MINI, "--t5", name]):
                with self.subTest(flags=flags):
                    self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "-o", "out.png", *flags,
                                   says=[name, *says, "get the .safetensors file"])

    def test_hostile_configs(self):
        for text in (b"", b"{", b"[]", b"null", b'{"in_channels": -1}', b'{"in_channels": 1e99}', b"[" * 100000):
            model = self.copy_of_mini()
            self.replace(model / "transformer/config.json", text)
            self.bad(model, 3, "config.json")
            import shutil
            shutil.rmtree(model)


class InspectFiles(ProgramTest):
    def inspect(self, path, code=0):
        done = self.run_kontext("inspect", path, "--json")
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def test_model_directory(self):
        found = self.inspect(MINI)
        self.assertEqual([p["family"] for p in found["parts"]],
                         ["FLUX.1 transformer", "CLIP text encoder", "T5 text encoder", "FLUX.1 autoencoder"])
        self.assertEqual(found["problems"], [])
        header, _ = read_safetensors(MINI / TRANSFORMER)
        self.assertEqual(found["parts"][0]["tensors"], len([n for n in header if n != "__metadata__"]))
        self.assertEqual(found["parts"][0]["dtypes"][0]["dtype"], "BF16")

    def test_what_cannot_be_used_says_what_to_get(self):
        for name, data, word in (("a.ckpt", b"PK\x03\x04" + b"x" * 100, "safetensors"),
                                 ("a.pt", b"\x80\x02" + b"x" * 100, "safetensors"),
                                 ("a.onnx", b"\x08\x0a\x12\x07pytorch" + b"\0" * 100, "ONNX")):
            self.write(name, data)
            found = self.inspect(name, 3)
            self.assertIn(word, found["kind"] + found["problems"][0])
        self.write("a.gguf", b"GGUF" + b"\0" * 100)
        self.fail_with(3, "inspect", "a.gguf", says=["a.gguf"])
        self.fail_with(3, "inspect", "absent", says=["absent"])
