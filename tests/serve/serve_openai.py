"""OpenAI's images API, by its wire format."""
import base64
import time
import unittest
from urllib.parse import parse_qs, urlsplit

from served import PICTURE, Served
from program import gradient, png


def form(**fields):
    body = b""
    for name, value in fields.items():
        file = '; filename="a.png"' if isinstance(value, bytes) else ""
        data = value if isinstance(value, bytes) else value.encode()
        body += f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return body + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


class OpenAi(Served):
    def test_edits_by_form(self):
        body, headers = form(image=png(128, 128, gradient), prompt="make it night", n="1", size="auto", steps_unknown="")
        answer = self.json("POST", "/v1/images/edits", body, 200, headers)
        self.assertTrue(base64.b64decode(answer["data"][0]["b64_json"]).startswith(b"\x89PNG"))
        usage = answer["usage"]
        self.assertEqual(usage["output_tokens"], 64)  # 128 x 128 pixels
        self.assertEqual(usage["input_tokens_details"]["image_tokens"], 64)
        self.assertGreater(usage["input_tokens_details"]["text_tokens"], 3)
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])

    def test_edits_by_references(self):
        body = {"prompt": "make it night", "seed": 1, "steps": 2}
        whole, headers = form(image=png(128, 128, gradient), **{k: str(v) for k, v in body.items()})
        reference = {"image_url": "data:image/png;base64," + PICTURE}
        by_form = self.json("POST", "/v1/images/edits", whole, 200, headers)["data"]
        self.assertEqual(self.json("POST", "/v1/images/edits", {**body, "images": [reference]})["data"], by_form)
        self.assertNotEqual(self.json("POST", "/v1/images/edits", {**body, "images": [reference], "mask": reference})["data"], by_form)

    def test_an_idempotency_key_makes_one_edit(self):
        body, headers = {"prompt": "a happy orange cat", "steps": 1}, {"Idempotency-Key": "k"}
        first = self.json("POST", "/v1/images/generations", body, headers=headers)["data"]
        self.assertEqual(self.json("POST", "/v1/images/generations", body, headers=headers)["data"], first)  # the seed was drawn once
        self.assertEqual(len(self.json("GET", "/v1/edits")["edits"]), 1)
        for other in ({**body, "steps": 2}, {**body, "prompt": "a sad cat"}, {**body, "n": 2}):
            error = self.json("POST", "/v1/images/generations", other, 422, headers)["error"]
            self.assertEqual(error["code"], "idempotency_key_reused")
        picture, types = form(image=png(128, 128, gradient), prompt=body["prompt"], steps="1")
        self.json("POST", "/v1/images/edits", picture, 422, {**types, **headers})
        self.assertEqual(len(self.json("GET", "/v1/edits")["edits"]), 1)

    def test_one_model_is_told_by_its_name(self):
        (model,) = self.json("GET", "/v1/models")["data"]
        self.assertEqual(self.json("GET", f"/v1/models/{model['id']}"), model)
        error = self.json("GET", "/v1/models/other", status=404)["error"]
        self.assertEqual((error["param"], error["code"]), ("model", "model_not_found"))

    def test_pictures_as_urls(self):
        body = {"prompt": "a happy orange cat", "steps": 1, "seed": 1, "n": 2, "output_format": "webp"}
        whole = [base64.b64decode(d["b64_json"]) for d in self.json("POST", "/v1/images/generations", body)["data"]]
        data = self.json("POST", "/v1/images/generations", {**body, "response_format": "url"})["data"]
        paths = [urlsplit(d["url"]) for d in data]
        for path, picture in zip(paths, whole, strict=True):
            status, headers, got = self.ask("GET", f"{path.path}?{path.query}")
            self.assertEqual((status, headers["Content-Type"], got), (200, "image/webp", picture))
            self.assertTrue(3590 < int(parse_qs(path.query)["expires"][0]) - time.time() <= 3600)
        self.assertNotEqual(*whole)
        self.assertEqual([*data[0]], ["url"])
        for model, keys in (("dall-e-3", ["b64_json", "url"]), ("gpt-image-1", ["b64_json"]), (None, ["b64_json"]), (1, ["b64_json"])):
            self.assertEqual([*self.json("POST", "/v1/images/generations", {**body, "model": model})["data"][0]], keys)
        self.json("GET", f"{paths[0].path}?{paths[1].query}", status=403)
        error = self.json("POST", "/v1/images/generations", {**body, "response_format": "png"}, 400)["error"]
        self.assertEqual(error["param"], "response_format")

    def test_generations_streamed(self):
        events = self.events("/v1/images/generations", {"prompt": "a happy orange cat", "stream": True, "partial_images": 2, "steps": 9})
        self.assertEqual(events[-1][0], "image_generation.completed")
        self.assertEqual(events[-1][1]["type"], "image_generation.completed")
        self.assertLessEqual(len(events), 3)

    def test_mistakes_have_openais_shape(self):
        for bad in ({}, {"prompt": "a", "n": 0}, {"prompt": "a", "size": "7"}, {"prompt": "a", "output_format": "gif"}, []):
            error = self.json("POST", "/v1/images/generations", bad, 400)["error"]
            self.assertEqual(error["type"], "invalid_request_error")
        body, headers = form(prompt="a")
        self.assertEqual(self.json("POST", "/v1/images/edits", body, 400, headers)["error"]["param"], "image")
        self.assertEqual(self.json("GET", "/v1/models")["object"], "list")


if __name__ == "__main__":
    unittest.main()
