"""ComfyUI's API, by its wire format: the Kontext graph, files, history, queue; hostile graphs and names; keys."""
import json
import signal
import struct
import time
import unittest
import uuid

from program import gradient, png
from served import Served
from plain_websocket import WebSocket

KEY, OTHER = "a key of sixteen or more", "another key of sixteen or more"
PNG = png(128, 128, gradient)


def form(data=PNG, filename="in.png", **fields):
    body = b"".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items())
    body += f'--b\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'.encode()
    return body + data + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def kontext(image="in.png", steps=2, **sampler):
    """The graph of ComfyUI's template flux_kontext_dev_basic."""
    nodes = {
        "37": ("UNETLoader", {"unet_name": "flux1-dev-kontext_fp8_scaled.safetensors", "weight_dtype": "default"}),
        "38": ("DualCLIPLoader", {"clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl_fp8_e4m3fn_scaled.safetensors", "type": "flux", "device": "default"}),
        "39": ("VAELoader", {"vae_name": "ae.safetensors"}),
        "142": ("LoadImage", {"image": image}),
        "42": ("FluxKontextImageScale", {"image": ["142", 0]}),
        "173": ("PreviewImage", {"images": ["42", 0]}),
        "124": ("VAEEncode", {"pixels": ["42", 0], "vae": ["39", 0]}),
        "6": ("CLIPTextEncode", {"text": "make it night", "clip": ["38", 0]}),
        "177": ("ReferenceLatent", {"conditioning": ["6", 0], "latent": ["124", 0]}),
        "35": ("FluxGuidance", {"conditioning": ["177", 0], "guidance": 2.5}),
        "135": ("ConditioningZeroOut", {"conditioning": ["6", 0]}),
        "31": ("KSampler", {"model": ["37", 0], "positive": ["35", 0], "negative": ["135", 0], "latent_image": ["124", 0], "seed": 7,
                            "steps": steps, "cfg": 1, "sampler_name": "euler", "scheduler": "simple", "denoise": 1, **sampler}),
        "8": ("VAEDecode", {"samples": ["31", 0], "vae": ["39", 0]}),
        "136": ("SaveImage", {"images": ["8", 0], "filename_prefix": "ComfyUI"}),
    }
    return {node: {"class_type": name, "inputs": inputs} for node, (name, inputs) in nodes.items()}


class Comfy(Served):
    headers = {}

    def setUp(self):
        super().setUp()
        self.upload()

    def upload(self, status=200, path="/upload/image", headers=None, **fields):
        body, types = form(**fields)
        return self.json("POST", path, body, status, {**types, **(self.headers if headers is None else headers)})

    def queue(self, graph, status=200, headers=None, **fields):
        return self.json("POST", "/prompt", {"prompt": graph, **fields}, status, self.headers if headers is None else headers)

    def done(self, prompt_id):
        for _ in range(600):
            history = self.json("GET", f"/history/{prompt_id}", headers=self.headers)
            if history:
                return history[prompt_id]
            time.sleep(0.05)
        self.fail("the prompt did not end")

    def view(self, image, status=200):
        got, headers, data = self.ask("GET", "/view?filename={filename}&subfolder={subfolder}&type={type}".format(**image), headers=self.headers)
        self.assertEqual(got, status, data[:200])
        return data

    def errors(self, graph):
        """{node: [type of each mistake]} that a 400 tells."""
        answer = self.queue(graph, 400)
        self.assertEqual(set(answer["error"]), {"type", "message", "details", "extra_info"})
        for error in answer["node_errors"].values():
            self.assertEqual(set(error), {"errors", "class_type", "dependent_outputs"})
        return {node: [e["type"] for e in error["errors"]] for node, error in answer["node_errors"].items()}


class Graphs(Comfy):
    def test_the_template_is_drawn_and_kept_over_a_restart(self):
        queued = self.queue(kontext(), extra_data={"extra_pnginfo": {"workflow": {"a": 1}}})
        self.assertEqual((queued["node_errors"], uuid.UUID(queued["prompt_id"]).version), ({}, 4))
        history = self.done(queued["prompt_id"])
        self.assertEqual((history["status"]["status_str"], history["status"]["completed"]), ("success", True))
        (image,) = history["outputs"]["136"]["images"]
        picture = self.view(image)
        self.assertTrue(picture.startswith(b"\x89PNG") and b"kontext" in picture)
        self.assertEqual(history["outputs"]["173"]["images"][0]["type"], "temp")
        self.assertTrue(self.view(history["outputs"]["173"]["images"][0]).startswith(b"\x89PNG"))
        number, prompt_id, prompt, extra, execute = history["prompt"]
        self.assertEqual((prompt_id, prompt, execute), (queued["prompt_id"], kontext(), ["136", "173"]))
        self.assertEqual((number, extra["extra_pnginfo"]["workflow"]), (queued["number"], {"a": 1}))
        self.stop(signal.SIGKILL)
        self.start()
        self.assertEqual(self.json("GET", f"/history/{prompt_id}")[prompt_id], history)
        self.assertEqual(self.view(image), picture)
        again = self.done(self.queue(kontext())["prompt_id"])["outputs"]["136"]["images"][0]
        self.assertNotEqual(again["filename"], image["filename"])
        following = kontext(image=f"{image['filename']} [output]")
        self.assertEqual(self.done(self.queue(following)["prompt_id"])["status"]["status_str"], "success")

    def test_ids_do_not_matter_and_two_pictures_are_stitched(self):
        self.upload(filename="second.png", data=png(64, 128, lambda x, y: (255, 0, 0)))
        graph = kontext()
        graph["x"] = {"class_type": "LoadImage", "inputs": {"image": "second.png"}}
        graph["y"] = {"class_type": "ImageStitch", "inputs": {"image1": ["142", 0], "image2": ["x", 0], "direction": "right", "match_image_size": True,
                                                            "spacing_width": 0, "spacing_color": "white"}}
        graph["z"] = {"class_type": "PreviewImage", "inputs": {"images": ["y", 0]}}
        graph["42"]["inputs"]["image"] = ["y", 0]
        renamed = json.loads(json.dumps(graph).replace('"31"', '"sampler"').replace('"142"', '"a:1"'))
        outputs = self.done(self.queue(renamed)["prompt_id"])["outputs"]
        stitched = self.view(outputs["z"]["images"][0])
        self.assertEqual(struct.unpack(">II", stitched[16:24]), (192, 128))

    def test_a_free_size_a_batch_and_the_custom_sampler(self):
        graph = kontext()
        for node, name, inputs in (
                ("e", "EmptySD3LatentImage", {"width": 128, "height": 96, "batch_size": 2}), ("n", "RandomNoise", {"noise_seed": 2**64 - 1}),
                ("g", "BasicGuider", {"model": ["37", 0], "conditioning": ["35", 0]}), ("k", "KSamplerSelect", {"sampler_name": "euler"}),
                ("s", "BasicScheduler", {"model": ["37", 0], "scheduler": "simple", "steps": 2, "denoise": 1}),
                ("31", "SamplerCustomAdvanced", {"noise": ["n", 0], "guider": ["g", 0], "sampler": ["k", 0], "sigmas": ["s", 0], "latent_image": ["e", 0]}),
                ("t", "PrimitiveStringMultiline", {"value": "make it night"})):
            graph[node] = {"class_type": name, "inputs": inputs}
        graph["6"]["inputs"]["text"] = ["t", 0]
        del graph["135"]
        images = self.done(self.queue(graph)["prompt_id"])["outputs"]["136"]["images"]
        pictures = [self.view(i) for i in images]
        self.assertEqual([struct.unpack(">II", p[16:24]) for p in pictures], [(128, 96)] * 2)
        self.assertNotEqual(*pictures)

    def test_a_mask_keeps_the_rest(self):
        mask = png(128, 128, lambda x, y: (0, 0, 0, 0 if x < 64 else 255), colour=6)
        stored = self.upload(path="/api/upload/mask", data=mask, filename="masked.png", original_ref='{"filename":"in.png","type":"input"}')
        graph = kontext(image=stored["name"])
        graph["124"]["inputs"]["pixels"] = ["142", 0]
        graph["m"] = {"class_type": "SetLatentNoiseMask", "inputs": {"samples": ["124", 0], "mask": ["142", 1]}}
        graph["31"]["inputs"]["latent_image"] = ["m", 0]
        prompt_id = self.queue(graph)["prompt_id"]
        self.assertEqual(self.done(prompt_id)["status"]["status_str"], "success")
        request = self.json("GET", f"/v1/edits/{prompt_id.replace('-', '')}")["request"]
        self.assertNotIn("comfyui", request)

    def test_the_clients_own_id_is_taken_once(self):
        own = str(uuid.uuid4())
        self.assertEqual(self.queue(kontext(), prompt_id=own)["prompt_id"], own)
        self.assertEqual(self.queue(kontext(), 409, prompt_id=own)["error"]["type"], "conflict")
        self.queue(kontext(), 400, prompt_id="../x")

    def test_mistakes_are_told_by_node(self):
        graph = kontext(seed=-1, steps="many", cfg=1000, sampler_name="dpmpp_2m", denoise=0.5)
        del graph["6"]["inputs"]["text"]
        graph["8"]["inputs"]["vae"] = ["38", 0]
        graph["35"]["inputs"]["conditioning"] = ["nowhere", 0]
        graph["124"]["inputs"]["vae"] = "ae"
        del graph["42"]["inputs"]["image"]
        told = self.errors(graph)
        self.assertEqual(sorted(told["31"]), ["invalid_input_type", "value_bigger_than_max", "value_not_in_list", "value_smaller_than_min", "value_smaller_than_min"])
        self.assertEqual(told["8"], ["return_type_mismatch"])
        self.assertEqual((told["35"], told["124"], told["42"]), (["bad_linked_input"], ["bad_linked_input"], ["required_input_missing"]))
        graph = kontext()
        graph["9"] = {"class_type": "LoraLoader", "inputs": {}}
        answer = self.queue(graph, 400)
        self.assertEqual(answer["error"]["type"], "missing_node_type")
        self.assertIn("LoraLoader", answer["error"]["message"])
        self.assertIn("9", answer["node_errors"])
        self.assertEqual(self.errors(kontext(image="absent.png")), {"142": ["custom_validation_failed"]})
        self.assertEqual(self.errors(kontext(cfg=3)), {"135": ["not_offered"]})
        for prefix in ("../../x", "/x", "", "a/", ".x", "x" * 151):
            graph = kontext()
            graph["136"]["inputs"]["filename_prefix"] = prefix
            self.assertEqual(self.errors(graph), {"136": ["custom_validation_failed"]}, prefix)
        graph = kontext()
        del graph["136"], graph["173"]
        self.assertEqual(self.queue(graph, 400)["error"]["type"], "prompt_no_outputs")
        del (only := kontext())["136"]
        self.assertEqual(self.errors(only), {"173": ["not_offered"]})

    def test_hostile_graphs(self):
        for body in (b"", b"{", b"[]", b"null", b'{"prompt":3}', b'{"prompt":[]}', b'{"prompt":{"1":3}}', b'{"prompt":{"1":{"class_type":[]}}}',
                     b'{"prompt":{"1":{"class_type":"SaveImage","inputs":[]}}}', b'{"prompt":{"1":{"class_type":"SaveImage"}}}', b"[" * 100000,
                     b'{"prompt":' + b'{"a":' * 1000 + b"1" + b"}" * 1001):
            status, _, data = self.ask("POST", "/prompt", body, {"Content-Type": "application/json"})
            self.assertEqual(status, 400, body[:60])
            self.assertIn("error", json.loads(data))
        loop = kontext()
        loop["177"]["inputs"]["conditioning"] = ["35", 0]
        self.assertIn("dependency_cycle", sum(self.errors(loop).values(), []))
        itself = {"1": {"class_type": "PrimitiveString", "inputs": {"value": ["1", 0]}}}
        graph = {**kontext(), **itself}
        graph["6"]["inputs"]["text"] = ["1", 0]
        self.assertTrue(self.errors(graph))
        deep = kontext()
        for i in range(10000):
            deep[f"d{i}"] = {"class_type": "FluxGuidance", "inputs": {"conditioning": [f"d{i + 1}" if i < 9999 else "6", 0], "guidance": 2}}
        deep["177"]["inputs"]["conditioning"] = ["d0", 0]
        begin = time.monotonic()
        self.assertTrue(self.errors(deep))
        print(f"10,000 nodes in a chain refused in {time.monotonic() - begin:.2f} s")
        wide = kontext()
        for i in range(30):  # twice as wide each time
            wide[f"w{i}"] = {"class_type": "ImageStitch", "inputs": {"image1": [f"w{i - 1}" if i else "142", 0], "image2": [f"w{i - 1}" if i else "142", 0],
                                                                   "direction": "down", "match_image_size": False, "spacing_width": 0, "spacing_color": "white"}}
        wide["42"]["inputs"]["image"] = ["w29", 0]
        self.assertIn("custom_validation_failed", sum(self.errors(wide).values(), []))
        huge = kontext()
        huge["s"] = {"class_type": "ImageScale", "inputs": {"image": ["142", 0], "upscale_method": "lanczos", "width": 16384, "height": 16384, "crop": "disabled"}}
        huge["42"]["inputs"]["image"] = ["s", 0]
        self.assertTrue(self.errors(huge))
        slots = kontext()
        for slot in (-1, 7, 10**30, 1.5, "0", None):
            slots["136"]["inputs"]["images"] = ["8", slot]
            self.assertTrue(self.errors(slots), slot)
        big = kontext()
        big["6"]["inputs"]["text"] = "x" * 200000
        self.queue(big, 400)
        self.assertEqual(self.json("GET", "/history"), {})


class Files(Comfy):
    def test_uploads_get_other_names_or_overwrite(self):
        red = png(16, 16, lambda x, y: (255, 0, 0))
        self.assertEqual(self.upload(), {"name": "in.png", "subfolder": "", "type": "input"})
        self.assertEqual(self.upload(data=red)["name"], "in (1).png")
        self.assertEqual(self.upload(data=red, overwrite="true", subfolder="a/b")["subfolder"], "a/b")
        self.assertEqual(self.view({"filename": "in.png", "subfolder": "a/b", "type": "input"}), red)
        info = self.json("GET", "/object_info/LoadImage")["LoadImage"]
        self.assertEqual(set(info["input"]["required"]["image"][0]), {"in.png", "in (1).png", "a/b/in.png"})
        status, headers, data = self.ask("GET", "/view?filename=in.png&type=input&preview=webp;90")
        self.assertEqual((status, headers["Content-Type"], data[:4]), (200, "image/webp", b"RIFF"))

    def test_no_way_out_of_the_folders(self):
        for name in ("../x.png", "/etc/x.png", "..", ".hidden.png", "x" * 300, ""):
            self.upload(400, filename=name)
        for subfolder in ("..", "a/../..", "/tmp", "a//b", ".git", "a/./b", "x" * 600):
            self.upload(400, subfolder=subfolder)
        self.upload(400, type="secret")
        self.upload(400, data=b"no picture")
        for query in ("filename=../edits.sqlite", "filename=%2e%2e%2fedits.sqlite&type=input", "filename=edits.sqlite&subfolder=../..&type=input",
                      "filename=/etc/passwd", "filename=in.png&type=../input", "filename=%00", "", "filename=..&type=input", "filename=%0d%0aX:1"):
            self.assertEqual(self.ask("GET", f"/view?{query}")[0], 400, query)
        for name in ("in.png", "ComfyUI_00001_.png", "ComfyUI_99999999999999999999_.png", "_.png", "__.png"):
            self.assertEqual(self.ask("GET", f"/view?filename={name}")[0], 404, name)
        for ref in ("{}", "[", '{"filename":3}', '{"filename":"../../edits.sqlite"}'):
            self.upload(400, path="/upload/mask", original_ref=ref)
        for image in ("../in.png", "/etc/passwd", "in.png [secret]", "in.png [temp]", "a\u0000b"):
            self.assertEqual(self.errors(kontext(image=image)), {"142": ["custom_validation_failed"]})

    def test_what_there_is(self):
        info = self.json("GET", "/api/object_info")
        for node in kontext().values():
            self.assertIn(node["class_type"], info)
        self.assertEqual(info["KSampler"]["input"]["required"]["sampler_name"], [["euler"]])
        self.assertEqual(info["KSampler"]["input"]["required"]["model"], ["MODEL"])
        order = ["model", "seed", "steps", "cfg", "sampler_name", "scheduler", "positive", "negative", "latent_image", "denoise"]
        for orders in (info["KSampler"]["input_order"], info["KSampler"]["input"]):  # clients give values by it, without names
            self.assertEqual(list(orders["required"]), order)
        self.assertTrue(info["SaveImage"]["output_node"])
        for node, name in (("37", "unet_name"), ("38", "clip_name1"), ("39", "vae_name")):  # clients look here before they send
            node = kontext()[node]
            self.assertIn(node["inputs"][name], info[node["class_type"]]["input"]["required"][name][0])
        self.assertEqual(self.json("GET", "/object_info/Nothing"), {})
        self.assertGreater(self.json("GET", "/system_stats")["system"]["ram_total"], 0)
        for path in ("/embeddings", "/extensions", "/models", "/models/vae", "/models/controlnet", "/features", "/prompt", "/queue", "/history"):
            self.assertEqual(self.ask("GET", f"/api{path}")[2], self.ask("GET", path)[2], path)
        self.assertIn("error", self.json("GET", "/models/secret", status=404))


class WithKeys(Comfy):
    headers = {"x-key": KEY}

    keys = (KEY, OTHER)

    def test_others_see_nothing(self):
        other = {"x-key": OTHER}
        prompt_id = self.queue(kontext())["prompt_id"]
        image = self.done(prompt_id)["outputs"]["136"]["images"][0]
        self.assertEqual(self.json("GET", f"/history/{prompt_id}", headers=other), {})
        self.assertEqual(self.json("GET", "/history", headers=other), {})
        for name, kind in ((image["filename"], "output"), ("in.png", "input")):
            self.assertEqual(self.ask("GET", f"/view?filename={name}&type={kind}", headers=other)[0], 404)
        self.assertEqual(self.queue(kontext(), 400, other)["node_errors"]["142"]["errors"][0]["type"], "custom_validation_failed")
        self.ask("POST", "/history", {"delete": [prompt_id], "clear": True}, other)
        running = self.queue(kontext(steps=500))["prompt_id"]
        self.ask("POST", "/interrupt", {}, other)
        self.ask("POST", "/queue", {"clear": True}, other)
        self.assertEqual(self.json("GET", "/queue", headers=other), {"queue_running": [], "queue_pending": []})
        self.assertTrue(self.done(prompt_id))
        queue = self.json("GET", "/queue", headers=self.headers)
        self.assertEqual([i[1] for k in queue.values() for i in k], [running])
        self.ask("POST", "/interrupt", headers=self.headers)

    def test_the_socket_takes_a_header_or_a_token(self):
        for path, headers, status in (("/ws", {}, 401), ("/ws?token=wrong", {}, 401), ("/ws", {"x-key": KEY}, 101),
                                      (f"/ws?token={KEY.replace(' ', '%20')}", {}, 101), ("/ws", {"Authorization": f"Bearer {KEY}"}, 101)):
            ws = WebSocket(self.port, path, headers)
            self.assertEqual(ws.status, status, (path, headers))
            ws.close()
        self.assertEqual(self.ask("GET", f"/queue?token={KEY.replace(' ', '%20')}")[0], 401)
        self.assertIn("error", self.json("GET", "/queue", status=401))


if __name__ == "__main__":
    unittest.main()
