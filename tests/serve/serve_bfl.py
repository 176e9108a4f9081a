"""BFL's API: tasks, results, signed URLs, webhooks; hostile bodies."""
import hashlib
import hmac
import http.server
import json
import os
import signal
import stat
import threading
import time
import unittest
from urllib.parse import parse_qs, urlsplit

from served import PICTURE, Served

KEYS = ("the first key of this test", "the second key of this test")


class Receiver:
    """An HTTP server that keeps what it gets and answers with `codes` in turn, then 200."""

    def __init__(self, *codes):
        self.got, codes = [], list(codes)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((time.monotonic(), self.path, dict(self.headers), body))
                self.send_response(codes.pop(0) if codes else 200)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=b"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count, seconds=60):
        end = time.monotonic() + seconds
        while len(self.got) < count and time.monotonic() < end:
            time.sleep(0.02)
        return self.got

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class BflServed(Served):
    def task(self, status=200, headers=None, model="pro", **fields):
        body = {"prompt": "make it night", "input_image": PICTURE, "steps": 2, "seed": 1, **fields}
        return self.json("POST", f"/v1/flux-kontext-{model}", body, status, headers)

    def result(self, task, status=None, headers=None):
        for _ in range(1200):
            got = self.json("GET", f"/v1/get_result?id={task['id']}", headers=headers)
            if got["status"] != "Pending":
                self.assertEqual(got["status"], status or "Ready", got)
                return got
            time.sleep(0.05)
        self.fail("the task did not end")

    def path(self, url):
        parts = urlsplit(url)
        self.assertEqual(parts.netloc, f"127.0.0.1:{self.port}")
        return f"{parts.path}?{parts.query}"

    def receiver(self, *codes):
        receiver = Receiver(*codes)
        self.addCleanup(receiver.close)
        return receiver


class Tasks(BflServed):
    def test_from_asking_to_the_picture(self):
        task = self.task()
        self.assertEqual(self.path(task["polling_url"]), f"/v1/get_result?id={task['id']}")
        got = self.result(task)
        self.assertEqual((got["progress"], got["result"]["prompt"], got["result"]["seed"]), (1.0, "make it night", 1))
        _, headers, data = self.ask("GET", self.path(got["result"]["sample"]))
        self.assertEqual(headers["Content-Type"], "image/png")
        self.assertEqual(data, self.ask("GET", f"/v1/edits/{task['id']}/images/0")[2])
        got = self.result(self.task(model="max", output_format="jpeg", input_image=None, input_image_2=None))
        _, headers, data = self.ask("GET", self.path(got["result"]["sample"]))
        self.assertEqual((headers["Content-Type"], data[:2]), ("image/jpeg", b"\xff\xd8"))

    def test_fields(self):
        got = self.result(self.task(input_image_2="data:image/png;base64," + PICTURE, aspect_ratio="1:1", prompt_upsampling=True,
                                    safety_tolerance=6, guidance=3.5, own=1))
        self.assertEqual([n.split(":")[0] for n in got["details"]["notes"]], ["prompt_upsampling", "safety_tolerance", "own"])
        edit = self.json("GET", f"/v1/edits/{got['id']}")["request"]
        self.assertEqual((edit["images"], edit["width"], edit["height"], edit["guidance"]), (2, 128, 128, 3.5))
        self.assertNotIn("bfl", edit)

    def test_seeds_are_any_integer_of_64_bits(self):
        for seed, used in (((1 << 64) - 1, (1 << 63) - 1), ((1 << 63) + 5, 5), (-1, (1 << 63) - 1), (7, 7)):
            self.assertEqual(self.result(self.task(seed=seed, steps=1))["result"]["seed"], used)

    def test_status_words(self):
        self.assertEqual(self.json("GET", "/v1/get_result?id=" + "0" * 32)["status"], "Task not found")
        task = self.task(steps=500)
        while (got := self.json("GET", f"/v1/get_result?id={task['id']}"))["progress"] in (None, 0):
            self.assertEqual(got["status"], "Pending")
            time.sleep(0.02)
        self.assertTrue(0 < got["progress"] < 1)
        self.json("POST", f"/v1/edits/{task['id']}/cancel")
        self.assertIsNone(self.result(task, "Error")["result"])

    def test_mistakes_are_told_field_by_field(self):
        wrong = {"prompt": 3, "input_image": "%", "input_image_2": ["x"], "input_image_3": "AAAA", "input_image_4": "https://example.org/a.png",
                 "seed": 1 << 70, "aspect_ratio": "100:1", "prompt_upsampling": "yes", "safety_tolerance": 7, "output_format": "gif",
                 "webhook_url": "https://example.org/hook", "webhook_secret": 1, "steps": 0, "guidance": 1e300}
        detail = self.task(422, **wrong)["detail"]
        self.assertEqual({d["loc"][1] for d in detail}, set(wrong) - {"webhook_url"})
        self.assertTrue(all(d["loc"][0] == "body" and d["msg"] and d["type"] for d in detail))
        (detail,) = self.task(422, webhook_url="https://example.org/hook")["detail"]
        self.assertIn("--webhook-host", detail["msg"])
        for aspect in ("", "1", "1:0", "0:1", "-1:1", "1:1:1", "9:22", "22:9", "a:b", "99999999999:1", 1, []):
            self.task(422, aspect_ratio=aspect)
        for bad in (b"", b"{", b"[]", b"null", b"{}", b"[" * 100000, b"\xff\xfe", b'{"prompt":null}', b'{"prompt":"a","seed":1e400}'):
            self.assertIn("detail", self.json("POST", "/v1/flux-kontext-pro", bad, 422))
        self.json("POST", "/v1/flux-kontext-pro", b"x", 413, {"Content-Length": str(1 << 40)})
        self.assertEqual(self.json("GET", "/v1/get_result", status=422)["detail"][0]["loc"], ["query", "id"])
        self.json("POST", "/v1/flux-pro-1.1", {}, 404)
        self.assertEqual(self.json("GET", "/v1/edits")["edits"], [])

    def test_links_are_signed_and_expire(self):
        first, second = self.result(self.task()), self.result(self.task(seed=2))
        path = self.path(first["result"]["sample"])
        expires = int(parse_qs(path.split("?")[1])["expires"][0])
        self.assertTrue(590 < expires - time.time() <= 600)
        for forged in (path[:-1] + ("0" if path[-1] != "0" else "1"), path.replace(f"expires={expires}", f"expires={expires + 1}"),
                       path.replace(first["id"], second["id"]), path.replace(".png", ".jpeg"), path.split("?")[0], path[:-8]):
            self.json("GET", forged, status=403)
        secret = os.path.join(self.folder, "secret")
        self.assertEqual(stat.S_IMODE(os.stat(secret).st_mode), 0o600)
        with open(secret, encoding="ascii") as file:
            key = file.read()
        old = int(time.time()) - 1
        text = f"bfl sample {first['id']}.png {old}"
        signature = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
        error = self.json("GET", f"/v1/samples/{first['id']}.png?expires={old}&signature={signature}", status=403)
        self.assertEqual(error["error"], "expired")
        self.stop()
        self.start()
        self.assertEqual(self.ask("GET", path)[0], 200)
        self.json("DELETE", f"/v1/edits/{first['id']}")
        self.json("GET", path, status=404)


class WithKeys(BflServed):
    keys = KEYS
    flags = ("--max-waiting-per-key", "1")

    def test_a_key_sees_its_own_tasks_and_a_link_needs_none(self):
        mine, other = ({"x-key": key} for key in KEYS)
        task = self.task(headers=mine)
        self.assertIn("detail", self.task(401, {"x-key": "a wrong key of this test"}))
        got = self.result(task, headers=mine)
        self.assertEqual(self.json("GET", f"/v1/get_result?id={task['id']}", headers=other)["status"], "Task not found")
        self.json("GET", f"/v1/get_result?id={task['id']}", status=401)
        self.assertEqual(self.ask("GET", self.path(got["result"]["sample"]))[0], 200)

    def test_a_polling_url_needs_no_key(self):
        mine = {"x-key": KEYS[0]}
        second = self.result(self.task(headers=mine), headers=mine)
        task = self.task(headers=mine)
        path = self.path(task["polling_url"])
        self.assertEqual(self.json("GET", path)["id"], task["id"])
        self.assertEqual(self.result(task, headers=mine)["result"]["seed"], self.json("GET", path)["result"]["seed"])
        for forged in (path[:-1] + ("0" if path[-1] != "0" else "1"), path.replace(task["id"], second["id"]), path.split("&")[0] + "&signature="):
            self.json("GET", forged, status=401)
        self.json("DELETE", f"/v1/edits/{task['id']}", headers=mine)
        self.assertEqual(self.json("GET", path)["status"], "Task not found")

    def test_too_many_waiting(self):
        headers = {"x-key": KEYS[0]}
        for _ in range(4):
            body = {"prompt": "a cat", "steps": 500}
            status, answer, data = self.ask("POST", "/v1/flux-kontext-pro", body, headers)
        self.assertEqual((status, json.loads(data)["error"]), (429, "rate_limit_exceeded"))
        self.assertEqual(int(answer["Retry-After"]), json.loads(data)["retry_after"])


class Webhooks(BflServed):
    flags = ("--webhook-host", "127.0.0.1", "--webhook-host", "*")

    def test_signed_and_tried_again_until_it_is_taken(self):
        receiver = self.receiver(500, 302)
        task = self.task(webhook_url=receiver.url, webhook_secret="a secret")
        self.assertEqual((task["status"], task["webhook_url"]), ("Pending", receiver.url))
        calls = receiver.wait(3)
        self.assertEqual([c[1] for c in calls], ["/hook?a=b"] * 3)  # the redirect is not followed
        self.assertGreaterEqual(calls[1][0] - calls[0][0], 0.9)
        self.assertGreaterEqual(calls[2][0] - calls[1][0], 4.9)
        _, _, headers, body = calls[2]
        expected = hmac.new(b"a secret", body, hashlib.sha256).hexdigest()
        self.assertEqual(headers["X-BFL-Signature"], "sha256=" + expected)
        told = json.loads(body)
        self.assertEqual((told["id"], told["status"], told["result"]["seed"]), (task["id"], "Ready", 1))
        self.assertRegex(told["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(self.ask("GET", self.path(told["result"]["sample"]))[0], 200)
        time.sleep(2.5)
        self.assertEqual(len(receiver.got), 3)

    def test_what_failed_is_told_too_and_unsigned_without_a_secret(self):
        receiver = self.receiver()
        task = self.task(webhook_url=receiver.url, steps=500)
        self.json("POST", f"/v1/edits/{task['id']}/cancel")
        (_, _, headers, body), = receiver.wait(1)
        told = json.loads(body)
        self.assertEqual((told["status"], told["error"]), ("Error", "cancelled"))
        self.assertNotIn("X-BFL-Signature", headers)

    def test_kept_over_kill_9_between_attempts(self):
        receiver = self.receiver(500, 500)
        task = self.task(webhook_url=receiver.url, webhook_secret="s")
        receiver.wait(1)
        self.stop(signal.SIGKILL)
        self.start()
        calls = receiver.wait(3)
        self.assertEqual({json.loads(c[3])["id"] for c in calls}, {task["id"]})
        self.assertEqual(len(calls), 3)

    def test_an_edit_and_its_webhook_go_on_after_kill_9(self):
        receiver = self.receiver()
        task = self.task(webhook_url=receiver.url, steps=200)
        while not self.json("GET", f"/v1/get_result?id={task['id']}")["progress"]:
            time.sleep(0.01)
        self.stop(signal.SIGKILL)
        self.start()
        (call,) = receiver.wait(1, 120)
        self.assertEqual(json.loads(call[3])["status"], "Ready")

    def test_where_it_may_not_go(self):
        for url in ("http://10.0.0.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/",
                    "http://[64:ff9b::a00:1]/", "http://0.0.0.0/", "http://192.168.1.1:8080/", "ftp://127.0.0.1/", "file:///etc/passwd",
                    "http://me:pw@127.0.0.1/", "http://", "", "x", "http://127.0.0.1/\r\nX: y", "h" * 3000, 1, []):
            with self.subTest(url):
                (detail,) = self.task(422, webhook_url=url)["detail"]
                self.assertEqual(detail["loc"], ["body", "webhook_url"])

    def test_a_name_of_a_private_address_is_not_spoken_to(self):
        receiver = self.receiver()
        port = receiver.server.server_port
        task = self.task(webhook_url=f"http://localhost:{port}/x")
        self.result(task)
        end = time.monotonic() + 30
        while "no public address" not in self.log() and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIn("no public address", self.log())
        self.assertEqual(receiver.got, [])

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
            return file.read()


if __name__ == "__main__":
    unittest.main()
