"""PyPI webuiapi against this server, as its README uses it."""
import json
import threading
import time
import unittest

import webuiapi
from PIL import Image

from served import Served

KEY = "a key of sixteen or more"


def drawn():
    picture = Image.new("RGB", (128, 128))
    picture.putdata([(x * 2, y * 2, 128) for y in range(128) for x in range(128)])
    return picture


class WebUiApi(Served):
    def setUp(self):
        super().setUp()
        self.api = webuiapi.WebUIApi(host="127.0.0.1", port=self.port, steps=2)

    def test_txt2img_with_the_clients_own_defaults(self):
        result = self.api.txt2img(prompt="a happy orange cat", seed=3, width=128, height=128, n_iter=2)
        self.assertEqual([i.size for i in result.images], [(128, 128)] * 2)
        self.assertEqual(result.info["all_seeds"], [3, 4])
        self.assertTrue([n for n in result.info["notes"] if n.startswith("sampler_name")])  # its default is Euler a
        self.assertEqual(result.parameters["prompt"], "a happy orange cat")

    def test_img2img_with_a_mask_keeps_the_rest(self):
        picture, mask = drawn(), Image.new("L", (128, 128))
        mask.paste(255, (0, 0, 64, 128))
        result = self.api.img2img(images=[picture], mask_image=mask, prompt="make it night", seed=3, width=128, height=128, mask_blur=0)
        right = (64, 0, 128, 128)
        self.assertEqual(result.image.crop(right).tobytes(), picture.crop(right).tobytes())
        self.assertNotEqual(result.image.tobytes(), picture.tobytes())

    def test_img2img_and_png_info(self):
        result = self.api.img2img(images=[drawn()], prompt="make it night", seed=3, width=128, height=128, cfg_scale=2.5, sampler_name="Euler")
        self.assertIn("make it night\nSteps: 2, Sampler: Euler", result.info["infotexts"][0])
        self.assertEqual(self.api.png_info(result.image).info, result.info["infotexts"][0])

    def test_progress_and_interrupt(self):
        done = []
        thread = threading.Thread(target=lambda: done.append(self.api.txt2img(prompt="a cat", steps=500, width=128, height=128)))
        thread.start()
        while self.api.get_progress()["progress"] == 0:
            time.sleep(0.02)
        self.assertEqual(self.api.get_progress()["state"]["sampling_steps"], 500)
        self.api.interrupt()
        thread.join(timeout=30)
        self.assertEqual(done[0].images, [])
        self.api.util_wait_for_ready(check_interval=0.1)
        self.api.skip()

    def test_lists_and_settings(self):
        self.assertEqual(self.api.util_get_sampler_names(), ["Euler"])
        self.assertEqual(self.api.util_get_scheduler_names(), ["automatic", "simple"])
        (model,) = self.api.util_get_model_names()
        self.api.util_set_model(model)
        self.assertEqual(self.api.util_get_current_model(), model)
        self.assertIsNone(self.api.set_options({"sd_model_checkpoint": model}))
        for name in ("cmd_flags", "sd_vae", "upscalers", "latent_upscale_modes", "loras", "hypernetworks", "face_restorers", "realesrgan_models",
                     "prompt_styles", "scripts", "embeddings", "memory", "options"):
            self.assertIsInstance(getattr(self.api, f"get_{name}")(), (list, dict), name)
        self.api.refresh_checkpoints()

    def test_what_is_not_offered_says_so(self):
        for call in (lambda: self.api.extra_single_image(drawn()), lambda: self.api.interrogate(drawn()),
                     lambda: self.api.txt2img(prompt="a cat", sampler_name="DDIM"), lambda: self.api.txt2img(prompt="a cat", enable_hr=True)):
            with self.assertRaises(RuntimeError) as caught:
                call()
            self.assertIn("detail", json.loads(caught.exception.args[1]))


class WithKey(Served):
    keys = (KEY,)

    def test_the_password_is_the_key(self):
        api = webuiapi.WebUIApi(host="127.0.0.1", port=self.port, steps=2, username="anyone", password=KEY)
        self.assertEqual(len(api.txt2img(prompt="a cat", width=128, height=128).images), 1)
        wrong = webuiapi.WebUIApi(host="127.0.0.1", port=self.port, username="anyone", password="wrong")
        self.assertIn("detail", wrong.get_options())


if __name__ == "__main__":
    unittest.main()
