"""PyPI blackforest, the makers' own library, against this server, as its README uses it."""
import tempfile
import unittest

import requests
from blackforest import BFLClient, BFLError
from blackforest.types.general.client_config import ClientConfig

from program import gradient, png
from served import Served

KEY = "a key of sixteen or more"
SYNC = ClientConfig(sync=True, timeout=120, polling_interval=0.1, max_retries=1000)


class BlackForest(Served):
    keys = (KEY,)

    def setUp(self):
        super().setUp()
        self.client = BFLClient(api_key=KEY, base_url=f"http://127.0.0.1:{self.port}")
        self.addCleanup(self.client.session.close)

    def test_generate_and_wait(self):
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(png(128, 128, gradient))
            file.flush()
            done = self.client.generate("flux-kontext-pro", {"prompt": "make it night", "input_image": file.name, "seed": 3}, SYNC)
        self.assertEqual((done.result["prompt"], done.result["seed"]), ("make it night", 3))
        answer = requests.get(done.result["sample"], timeout=60)
        self.assertEqual((answer.status_code, answer.content[:4]), (200, b"\x89PNG"))

    def test_generate_and_ask_later(self):
        task = self.client.generate("flux-kontext-pro", {"prompt": "a happy orange cat", "aspect_ratio": "1:1", "output_format": "jpeg"},
                                    ClientConfig(sync=False))
        self.assertIn(self.client.get_task_status(task.id).status, ("Pending", "Ready"))
        sample = self.client.get_polling_result(task.id, SYNC)["sample"]
        self.assertEqual(requests.get(sample, timeout=60).content[:2], b"\xff\xd8")
        self.assertEqual(self.client.get_task_status(task.id).status, "Ready")
        self.assertEqual(self.client.get_task_status("0" * 32).status, "Task not found")

    def test_mistakes_and_a_wrong_key_are_its_own_errors(self):
        with self.assertRaisesRegex(BFLError, "422"):
            self.client.generate("flux-kontext-pro", {"prompt": "a cat", "input_image": "no picture"})
        with self.assertRaisesRegex(BFLError, "send a key"):
            BFLClient(api_key="wrong", base_url=self.client.base_url).generate("flux-kontext-pro", {"prompt": "a cat"})


if __name__ == "__main__":
    unittest.main()
