"""OpenAI's images API, by its wire format."""
import base64
import unittest

from served import Served
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
