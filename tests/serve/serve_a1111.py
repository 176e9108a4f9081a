"""AUTOMATIC1111's API, by its wire format: drawing, progress, interrupting, settings, lists, hostile bodies, keys."""
import base64
import http.client
import json
import socket
import threading
import time

import unittest

from program import gradient, png
from served import PICTURE, Served

API = "/sdapi/v1"
KEY = "a key of sixteen or more"


def half(value):
    """A mask: white on the left half, black on the right, or the other way."""
    return base64.b64encode(png(128, 128, lambda x, y: (value if x < 64 else 255 - value,) * 3)).decode()


class A1111(Served):
    def draw(self, kind="txt2img", status=200, **fields):
        return self.json("POST", f"{API}/{kind}", {"prompt": "a happy orange cat", "steps": 2, "seed": 7, **fields}, status)

    def refused(self, kind="txt2img", **fields):
        """The fields that a 422 names."""
        detail = self.draw(kind, 422, **fields)["detail"]
        for mistake in detail:
            self.assertEqual(set(mistake), {"loc", "msg", "type"})
        return {mistake["loc"][1] for mistake in detail}

    def test_txt2img(self):
        answer = self.draw(n_iter=2, width=135, height=128, cfg_scale=3.5, distilled_cfg_scale=None)
        pictures = [base64.b64decode(i) for i in answer["images"]]
        self.assertEqual(len({bytes(p) for p in pictures}), 2)
        info = json.loads(answer["info"])
        self.assertEqual((info["seed"], info["all_seeds"], info["width"], info["steps"]), (7, [7, 8], 128, 2))
        self.assertIn("Steps: 2, Sampler: Euler", info["infotexts"][0])
        for name in ("sd_vae_name", "sd_vae_hash", "seed_resize_from_w", "face_restoration_model", "all_prompts", "version"):  # as A1111's own
            self.assertIn(name, info)
        self.assertIn("Distilled CFG Scale: 3.5", info["infotexts"][0])
        self.assertIn("width, height: cut to 128 x 128", info["notes"])
        self.assertEqual(answer["parameters"]["cfg_scale"], 3.5)
        again = self.draw(cfg_scale=3.5, width=128, height=128)
        self.assertEqual(again["images"][0], answer["images"][0])
        told = self.json("POST", f"{API}/png-info", {"image": answer["images"][0]})
        self.assertEqual(told["info"], info["infotexts"][0])
        self.assertEqual(self.json("POST", f"{API}/png-info", {"image": PICTURE})["info"], "")

    def test_random_seeds_differ_and_pictures_can_be_left_out(self):
        one, two = (self.draw(seed=-1, send_images=False) for _ in range(2))
        self.assertEqual(one["images"], [])
        self.assertNotEqual(json.loads(one["info"])["seed"], json.loads(two["info"])["seed"])

    def test_img2img_edits_the_picture(self):
        answer = self.draw("img2img", init_images=[PICTURE], prompt="make it night", denoising_strength=0.4)
        self.assertIsNone(answer["parameters"]["init_images"])
        edit = json.loads(answer["info"])["edit"]
        self.assertEqual(self.json("GET", f"/v1/edits/{edit}")["request"]["images"], 1)
        self.assertTrue([n for n in json.loads(answer["info"])["notes"] if n.startswith("denoising_strength")])
        kept = self.draw("img2img", init_images=[PICTURE], include_init_images=True, override_settings={"samples_format": "jpg"})
        self.assertEqual(kept["parameters"]["init_images"], [PICTURE])
        self.assertEqual(base64.b64decode(kept["images"][0])[:2], b"\xff\xd8")

    def test_a_mask_is_painted_where_it_is_white_or_opaque(self):
        white = self.draw("img2img", init_images=[PICTURE], mask=half(255), mask_blur=0)["images"]
        other = self.draw("img2img", init_images=[PICTURE], mask=half(0), mask_blur=0)["images"]
        self.assertNotEqual(white, other)
        inverted = self.draw("img2img", init_images=[PICTURE], mask=half(0), mask_blur=0, inpainting_mask_invert=1)["images"]
        self.assertEqual(white, inverted)
        opaque = base64.b64encode(png(128, 128, lambda x, y: (9, 9, 9, 255 if x < 64 else 0), colour=6)).decode()
        self.assertEqual(self.draw("img2img", init_images=[PICTURE], mask=opaque, mask_blur=0)["images"], white)

    def test_what_is_not_offered_is_refused_by_name(self):
        wrong = {"enable_hr": True, "restore_faces": True, "tiling": True, "subseed_strength": 0.5, "s_churn": 1, "s_noise": 1.1, "styles": ["x"],
                 "script_name": "x", "alwayson_scripts": {"ControlNet": {"args": [{"enabled": True}]}}, "refiner_checkpoint": "x", "sampler_name": "DDIM", "scheduler": "Karras",
                 "override_settings": {"sd_model_checkpoint": "sdxl"}, "prompt": "a <lora:x:1>"}
        self.assertEqual(self.refused(**wrong), set(wrong))
        notes = json.loads(self.draw(alwayson_scripts={"ControlNet": {"args": []}}, sampler_name="Euler a", scheduler="normal")["info"])["notes"]
        self.assertEqual([n.split(":")[0] for n in notes], ["sampler_name", "scheduler"])
        self.assertEqual(self.refused(alwayson_scripts=[]), {"alwayson_scripts"})
        self.assertIn("nonsense: unknown; ignored", json.loads(self.draw(nonsense=1)["info"])["notes"])
        for path in ("extra-single-image", "interrogate", "unload-checkpoint"):
            self.assertIn("not offered", self.json("POST", f"{API}/{path}", {}, 501)["detail"])
        self.assertIn("detail", self.json("GET", f"{API}/nothing", status=404))

    def test_hostile_bodies(self):
        wrong = {"prompt": 3, "steps": "many", "seed": [], "width": -5, "height": 1e300, "cfg_scale": {}, "batch_size": 10**30, "n_iter": 0.5,
                 "send_images": "maybe", "override_settings": [], "styles": {}, "extra_images": ["%"]}
        self.assertEqual(self.refused(**wrong), set(wrong))
        self.assertEqual(self.refused("img2img"), {"init_images"})
        for bad in (["%%%"], [""], [3], "x", ["AAAA"], [PICTURE] * 100, [PICTURE[:200]]):
            self.assertIn("init_images", self.refused("img2img", init_images=bad))
        for bad in ("%", "AAAA", 3):
            self.assertIn("mask", self.refused("img2img", init_images=[PICTURE], mask=bad))
        wide = base64.b64encode(png(128, 64, gradient)).decode()
        self.assertEqual(self.refused("img2img", init_images=[PICTURE], mask=wide), {"mask"})
        for bad in (b"", b"{", b"[" * 100000, b"\xff\xfe", b'{"prompt":"a","prompt":"b"}'):
            self.assertIn("detail", self.json("POST", f"{API}/txt2img", bad, 400))
        for path in ("txt2img", "options", "png-info"):
            self.json("POST", f"{API}/{path}", b"[]", 422)
        self.assertEqual(self.json("GET", "/v1/edits")["edits"], [])

    def test_a_body_that_is_not_read_is_no_request(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for size in (100000, 2000000, 10):
            connection.request("POST", f"{API}/interrogate", json.dumps({"image": "x" * size}), {"Content-Type": "application/json"})
            self.assertEqual(connection.getresponse().read()[:10], b'{"body":""')
        connection.close()
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as raw:
            raw.sendall(f"POST {API}/options HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())  # as `curl -X POST`: no length, no body
            self.assertIn(b" 400 ", raw.recv(100))

    def test_progress_is_told_and_interrupting_ends_the_request(self):
        idle = self.json("GET", f"{API}/progress")
        self.assertEqual((idle["progress"], idle["state"]["job_count"], idle["current_image"]), (0, 0, None))
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.draw(steps=500)))
        thread.start()
        seen = []
        while len(seen) < 3:
            now = self.json("GET", f"{API}/progress")
            if now["state"]["sampling_step"] > 0 and now["progress"] not in seen:
                seen.append(now["progress"])
        self.assertTrue(0 < seen[0] < seen[1] < seen[2] < 1)
        self.assertEqual((now["state"]["job_count"], now["state"]["sampling_steps"]), (1, 500))
        self.assertTrue(base64.b64decode(now["current_image"]).startswith(b"\x89PNG"))
        self.assertIsNone(self.json("GET", f"{API}/progress?skip_current_image=true")["current_image"])
        begin = time.monotonic()
        self.json("POST", f"{API}/interrupt")
        thread.join(timeout=30)
        print(f"interrupted in {time.monotonic() - begin:.3f} s")
        self.assertEqual(answers[0]["images"], [])
        self.assertIn("interrupted: finished pictures only", json.loads(answers[0]["info"])["notes"])
        self.json("POST", f"{API}/skip")

    def test_settings_and_lists(self):
        options = self.json("GET", f"{API}/options")
        title = self.json("GET", f"{API}/sd-models")[0]["title"]
        self.assertEqual(options["sd_model_checkpoint"], title)
        self.assertIsNone(self.json("POST", f"{API}/options", {"sd_model_checkpoint": title, "CLIP_stop_at_last_layers": 2}))
        detail = self.json("POST", f"{API}/options", {"sd_vae": "other"}, 422)["detail"]
        self.assertEqual(detail[0]["loc"], ["body", "sd_vae"])
        self.assertEqual([s["name"] for s in self.json("GET", f"{API}/samplers")], ["Euler"])
        self.assertEqual(self.json("GET", f"{API}/scripts"), {"txt2img": [], "img2img": []})
        self.assertGreater(self.json("GET", f"{API}/memory")["ram"]["total"], 0)
        for name in ("schedulers", "sd-vae", "upscalers", "loras", "embeddings", "hypernetworks", "face-restorers", "realesrgan-models",
                     "prompt-styles", "script-info", "cmd-flags", "latent-upscale-modes", "extensions"):
            self.assertIsInstance(self.json("GET", f"{API}/{name}"), (list, dict), name)
        for name in ("refresh-checkpoints", "refresh-loras", "reload-checkpoint"):
            self.assertIsNone(self.json("POST", f"{API}/{name}"))


class WithKeys(Served):
    other = KEY + " of another"
    keys = (KEY, other)

    def basic(self, key):
        return {"Authorization": "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode()}

    def test_the_password_is_the_key_and_others_see_nothing(self):
        for headers in ({}, self.basic("wrong"), {"Authorization": "Basic %"}, {"Authorization": "Basic "}):
            status, answer, data = self.ask("GET", f"{API}/progress", headers=headers)
            self.assertEqual((status, answer["WWW-Authenticate"]), (401, "Basic"))
            self.assertIn("detail", json.loads(data))
        thread = threading.Thread(target=self.json, args=("POST", f"{API}/txt2img", {"prompt": "a", "steps": 500}, 200, self.basic(KEY)))
        thread.start()
        while self.json("GET", f"{API}/progress", headers=self.basic(KEY))["state"]["sampling_step"] < 1:
            time.sleep(0.02)
        self.assertEqual(self.json("GET", f"{API}/progress", headers=self.basic(self.other))["progress"], 0)
        self.json("POST", f"{API}/interrupt", headers=self.basic(self.other))
        time.sleep(0.3)
        self.assertTrue(thread.is_alive())
        self.json("POST", f"{API}/interrupt", headers=self.basic(KEY))
        thread.join(timeout=30)
        self.assertFalse(thread.is_alive())


if __name__ == "__main__":
    unittest.main()
