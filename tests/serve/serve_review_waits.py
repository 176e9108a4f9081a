"""Reviews: who may decide, and what becomes of requests that wait for it."""
import json
import os
import socket
import subprocess
import threading
import time
import unittest

from program import KONTEXT, MINI
from serve_review import Reviewed, red

KEY, OTHER, REVIEWER = "a key of sixteen or more", "another key of sixteen or more", "a reviewer's key of sixteen or more"


class NobodyComes(Reviewed):
    """Requests that are answered with the picture wait for a reviewer as long as --review-wait says; their edits wait on."""
    flags = ("--review", "--review-wait", "1")

    def test_openai(self):
        body, key = {"prompt": "a happy cat", "steps": 2}, {"Idempotency-Key": "once"}
        begin = time.monotonic()
        status, headers, data = self.ask("POST", "/v1/images/generations", body, key)
        took = time.monotonic() - begin
        self.assertEqual((status, headers["x-should-retry"]), (503, "false"))  # its clients would draw it again
        waiting = self.held()
        error = json.loads(data)["error"]
        self.assertIn(waiting["id"], error["message"])
        self.assertEqual((set(error), error["type"]), ({"message", "type", "param", "code"}, "server_error"))
        self.assertFalse(red(data))
        print(f"answered 503 after {took:.1f} s of drawing and 1 s of waiting")
        self.decide(waiting, "approve")
        self.assertEqual(len(self.json("POST", "/v1/images/generations", body, 200, key)["data"]), 1)
        self.assertEqual(len(self.json("GET", "/v1/edits")["edits"]), 1)

    def test_openai_streamed_waits_as_long_as_its_client(self):
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(self.events("/v1/images/generations", {"prompt": "a", "steps": 2, "stream": True})))
        reader.start()
        waiting = self.held()
        time.sleep(3)
        self.assertTrue(reader.is_alive())
        self.decide(waiting, "approve")
        reader.join(30)
        self.assertEqual(seen[-1][0], "image_generation.completed")

    def test_a1111(self):
        error = self.json("POST", "/sdapi/v1/txt2img", {"prompt": "a happy cat", "steps": 2}, 503)
        waiting = self.held()
        self.assertIn(waiting["id"], error["detail"])
        self.decide(waiting, "approve")
        self.assertEqual(len(self.wait(waiting)["images"]), 1)


class TheClientLeaves(Reviewed):
    """A request whose client has gone holds no thread until somebody looks at its picture."""

    def test_its_thread_is_free_and_its_edit_is_kept(self):
        for path in ("/v1/images/generations", "/sdapi/v1/txt2img"):
            body = json.dumps({"prompt": "a happy cat", "steps": 2}).encode()
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
                client.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                waiting = self.held()
                self.assertEqual(self.ended(path), 0)
            begin = time.monotonic()
            while not self.ended(path) and time.monotonic() < begin + 10:
                time.sleep(0.05)
            print(f"{path}: let go {time.monotonic() - begin:.2f} s after its client had left, at most 10 s")
            self.assertEqual(self.ended(path), 1)
            self.decide(waiting, "approve")
            self.wait(waiting)

    def ended(self, path):
        """Requests for `path` that the log tells of."""
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
            return len([line for line in log if json.loads(line).get("path") == path])


class WithKeys(Reviewed):
    keys = (KEY, OTHER)

    def start(self):
        path = os.path.join(self.folder, "reviewers")
        with open(path, "w", encoding="utf-8") as file:
            file.write(REVIEWER + "\n")
        self.flags = ("--review", "--reviewer-keys", path)
        super().start()

    def test_who_may_review(self):
        mine, reviewer = {"x-key": KEY}, {"Authorization": f"Bearer {REVIEWER}"}
        edit = self.json("POST", "/v1/edits", {"prompt": "a cat", "steps": 1}, 202, mine)
        while not (waiting := self.json("GET", "/v1/review", headers=reviewer)["waiting"]):
            time.sleep(0.05)
        self.assertEqual(waiting[0]["id"], edit["id"])
        image = waiting[0]["images"][0]["url"]
        for path in ("/v1/review", "/v1/review/decisions", f"/v1/review/{edit['id']}", image):
            self.json("GET", path, status=401)
            self.json("GET", path, status=401, headers={"x-key": "some key of sixteen or more"})
            self.json("GET", path, status=403, headers=mine)
            self.assertEqual(self.ask("GET", path, headers=reviewer)[0], 200)
        for word in ("approve", "refuse"):
            self.json("POST", f"/v1/review/{edit['id']}/{word}", {}, 401)
            self.json("POST", f"/v1/review/{edit['id']}/{word}", {}, 403, mine)
        self.assertEqual(self.json("GET", f"/v1/edits/{edit['id']}", headers=mine)["state"], "running")
        self.json("GET", "/v1/edits", status=401, headers=reviewer)  # a reviewer's key opens nothing else
        self.json("POST", f"/v1/review/{edit['id']}/approve", {}, headers=reviewer)
        self.assertEqual(self.json("GET", f"/v1/edits/{edit['id']}", headers=mine)["state"], "ready")
        (decision,) = self.json("GET", "/v1/review/decisions", headers=reviewer)["decisions"]
        self.assertEqual((len(decision["reviewer"]), len(decision["owner"])), (16, 16))

    def test_with_keys_somebody_must_be_named(self):
        run = subprocess.run([KONTEXT, "serve", "--port", "0", "--folder", self.folder + "/x", "--review", "--keys", self.folder + "/keys"],
                             capture_output=True, text=True, timeout=60, env={**os.environ, "KONTEXT_MODEL": str(MINI)})
        self.assertEqual(run.returncode, 2)
        self.assertIn("--reviewer-keys", run.stderr)


if __name__ == "__main__":
    unittest.main()
