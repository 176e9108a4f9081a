"""PyPI openai against this server, as its README uses it."""
import base64
import unittest

import openai

from program import gradient, png
from served import Served

KEY = "a key of sixteen or more"
PICTURE = png(128, 128, gradient)


class OpenAiClient(Served):
    flags = ("--max-waiting", "2")

    def setUp(self):
        super().setUp()
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    def png(self, text):
        data = base64.b64decode(text)
        self.assertTrue(data.startswith(b"\x89PNG"))
        return data

    def test_models(self):
        (model,) = self.client.models.list().data
        self.assertEqual((model.object, model.owned_by), ("model", "kontext"))

    def test_edit_of_one_picture(self):
        answer = self.client.images.edit(image=("a.png", PICTURE), prompt="make it night", size="auto", extra_body={"steps": 2, "seed": 1})
        self.png(answer.data[0].b64_json)
        self.assertEqual((answer.output_format, answer.size), ("png", "128x128"))
        self.assertEqual(answer.usage.output_tokens, 64)
        self.assertEqual(answer.usage.input_tokens_details.image_tokens, 64)

    def test_edit_of_two_pictures_n_2_as_jpeg(self):
        answer = self.client.images.edit(image=[("a.png", PICTURE), ("b.png", PICTURE)], prompt="put the cat in the city", n=2,
                                         output_format="jpeg", extra_body={"steps": 2})
        self.assertEqual(len(answer.data), 2)
        for picture in answer.data:
            self.assertTrue(base64.b64decode(picture.b64_json).startswith(b"\xff\xd8"))

    def test_edit_streamed_with_partial_pictures(self):
        events = list(self.client.images.edit(image=("a.png", PICTURE), prompt="make it night", stream=True, partial_images=2,
                                              extra_body={"steps": 28}))
        self.assertEqual(events[-1].type, "image_edit.completed")
        self.png(events[-1].b64_json)
        self.assertGreater(events[-1].usage.total_tokens, 64)
        partial = events[:-1]
        self.assertTrue(all(e.type == "image_edit.partial_image" for e in partial))
        self.assertEqual([e.partial_image_index for e in partial], list(range(len(partial))))
        for event in partial:
            self.png(event.b64_json)

    def test_generation_whole_and_streamed(self):
        answer = self.client.images.generate(prompt="a happy orange cat", size="128x128", extra_body={"steps": 2})
        self.png(answer.data[0].b64_json)
        events = list(self.client.images.generate(prompt="a happy orange cat", stream=True, extra_body={"steps": 2}))
        self.assertEqual(events[-1].type, "image_generation.completed")

    def test_mistakes_are_its_own_exceptions(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.images.generate(prompt="a cat", size="7x7")
        self.assertEqual(caught.exception.type, "invalid_request_error")
        self.assertEqual(caught.exception.param, "width")
        for _ in range(3):
            self.json("POST", "/v1/edits", {"prompt": "a cat", "steps": 500}, 202)
            self.wait_until_one_runs()
        with self.assertRaises(openai.RateLimitError) as caught:
            self.client.images.generate(prompt="a cat")
        self.assertGreaterEqual(int(caught.exception.response.headers["retry-after"]), 1)

    def wait_until_one_runs(self):
        while not any(e["state"] == "running" for e in self.json("GET", "/v1/edits")["edits"]):
            pass


class WithKey(Served):
    keys = (KEY,)

    def test_the_api_key_is_the_key(self):
        url = f"http://127.0.0.1:{self.port}/v1"
        with openai.OpenAI(base_url=url, api_key=KEY) as client:
            self.assertEqual(len(client.models.list().data), 1)
        with openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client, self.assertRaises(openai.AuthenticationError):
            client.models.list()


if __name__ == "__main__":
    unittest.main()
