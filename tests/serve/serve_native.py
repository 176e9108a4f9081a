"""The native API: its contract (docs/openapi.json), hostile bodies, cancelling, and kill -9."""
import base64
import gzip
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import unittest
from pathlib import Path

from program import KONTEXT, MINI
from served import PICTURE, Served

SOURCE = Path(os.environ["KONTEXT_SOURCE"])


class Native(Served):
    def test_an_edit_from_asking_to_the_picture(self):
        edit = self.wait(self.edit(n=2))
        self.assertEqual([i["seed"] for i in edit["images"]], [1, 2])
        for image in edit["images"]:
            _, headers, data = self.ask("GET", image["url"])
            self.assertEqual(headers["Content-Type"], "image/png")
            self.assertTrue(data.startswith(b"\x89PNG") and b"kontext" in data)
        self.assertEqual(self.json("GET", "/v1/edits")["edits"][0]["id"], edit["id"])
        self.json("DELETE", f"/v1/edits/{edit['id']}")
        self.json("GET", f"/v1/edits/{edit['id']}", status=404)

    def test_a_form_is_the_same_request(self):
        body = b"".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in
                        (("prompt", "make it night"), ("steps", 2), ("seed", 1)))
        body += b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + base64.b64decode(PICTURE) + b"\r\n--b--\r\n"
        by_form = self.json("POST", "/v1/edits", body, 202, {"Content-Type": "multipart/form-data; boundary=b"})
        pictures = [self.ask("GET", self.wait(edit)["images"][0]["url"])[2] for edit in (by_form, self.edit())]
        self.assertEqual(*pictures)

    def test_wrong_methods_are_told_the_right_ones(self):
        for method, path, allowed in (("PUT", "/v1/edits", {"GET", "POST"}), ("POST", "/v1/model", {"GET"}), ("GET", "/v1/tokens", {"POST"})):
            status, headers, _ = self.ask(method, path)
            self.assertEqual((status, set(headers["Allow"].split(", "))), (405, allowed))
        self.json("GET", "/v1/nothing", status=404)

    def test_head_is_get_without_the_body(self):
        edit = self.wait(self.edit(steps=1))
        for path in ("/", "/studio.js", "/v1/model", "/healthz", "/v1/edits", edit["images"][0]["url"], "/sdapi/v1/options", "/queue", "/v1/models", "/v1/nothing"):
            (got, whole, body), (status, headers, data) = self.ask("GET", path), self.ask("HEAD", path)
            self.assertEqual((status, headers["Content-Type"], headers["Content-Length"], data), (got, whole["Content-Type"], whole["Content-Length"], b""), path)
            self.assertEqual(int(headers["Content-Length"]), len(body))
        running = self.edit(steps=1000)
        begin = time.monotonic()
        self.assertEqual(self.ask("HEAD", f"/v1/edits/{running['id']}/events")[::2], (200, b""))
        self.assertLess(time.monotonic() - begin, 2)
        self.json("DELETE", f"/v1/edits/{running['id']}")
        self.assertEqual(self.ask("HEAD", "/v1/tokens")[0], 405)

    def test_events_tell_every_step_and_end(self):
        names = [(n, d) for n, d in self.events(f"/v1/edits/{self.edit(steps=4)['id']}/events")]
        self.assertEqual(names[-1][0], "ready")
        steps = [d for n, d in names if n == "step" and d["step"] > 0]
        self.assertTrue(steps and all(d["steps"] == 4 for d in steps))
        self.assertTrue(any(d.get("preview", "").startswith("data:image/png;base64,") for d in steps))

    def test_mistakes_are_told_field_by_field(self):
        body = {"prompt": 3, "steps": 0, "width": 100, "images": ["%"], "extra": 1, "like": []}
        error = self.json("POST", "/v1/edits", body, 400)["error"]
        self.assertEqual({f["field"] for f in error["fields"]}, {"prompt", "steps", "width", "images[0]", "extra", "like"})
        for bad in (b"", b"{", b"[]", b"null", b'{"prompt":"a","prompt":"b"}', b"[" * 100000, b"\xff\xfe", b'{"prompt":"a","images":["AAAA"]}'):
            self.json("POST", "/v1/edits", bad, 400)
        self.json("POST", "/v1/edits", b"--x\r\n", 400, {"Content-Type": "multipart/form-data; boundary=x"})
        self.json("POST", "/v1/edits", b"x", 413, {"Content-Length": str(1 << 40)})
        self.assertEqual(self.json("GET", "/v1/edits")["edits"], [])

    def test_an_idempotency_key_makes_one_edit(self):
        body, headers = {"prompt": "make it night", "images": [PICTURE], "steps": 1}, {"Idempotency-Key": "k"}
        first = self.json("POST", "/v1/edits", body, 202, headers)
        self.assertEqual(self.json("POST", "/v1/edits", body, 202, headers)["id"], first["id"])
        self.json("POST", "/v1/edits", {**body, "steps": 2}, 409, headers)

    def test_cancelled_while_it_runs_and_while_it_waits(self):
        running, waiting = self.edit(steps=500), self.edit()
        while self.json("GET", f"/v1/edits/{running['id']}").get("progress", {}).get("step", 0) < 1:
            time.sleep(0.02)
        self.assertEqual(self.json("GET", f"/v1/edits/{waiting['id']}")["position"], 1)
        self.assertEqual(self.json("POST", f"/v1/edits/{waiting['id']}/cancel")["state"], "cancelled")
        begin = time.monotonic()
        self.assertEqual(self.json("DELETE", f"/v1/edits/{running['id']}")["state"], "cancelled")
        took = time.monotonic() - begin
        print(f"cancelled in {took:.3f} s, at most 5 s")
        self.assertLess(took, 5)

    def test_an_edit_is_foretold_from_edits_of_its_own_kind(self):
        small, large = {"images": [], "width": 64, "height": 64}, {"images": [], "width": 512, "height": 512}
        self.wait(self.edit(**large, steps=3))
        running = self.edit(**small, steps=1000)
        while self.json("GET", f"/v1/edits/{running['id']}").get("progress", {}).get("step", 0) < 20:
            time.sleep(0.02)
        waiting = [self.edit(**kind, steps=100) for kind in (small, large)]
        now = [self.json("GET", f"/v1/edits/{e['id']}") for e in (running, *waiting)]
        a_step = now[0]["progress"]["seconds_per_step"]
        own = (now[2]["predicted_seconds"] - now[1]["predicted_seconds"]) / 100
        print(f"a step of the running edit {a_step:.4f} s, foretold of the larger {own:.4f} s: more than 3 times that")
        self.assertGreater(own, 3 * a_step)
        for edit in (*waiting, running):
            self.json("DELETE", f"/v1/edits/{edit['id']}")

    def test_killed_it_goes_on_from_its_last_step_with_the_same_picture(self):
        whole = self.ask("GET", self.wait(self.edit(steps=30))["images"][0]["url"])[2]
        edit = self.edit(steps=30)
        while self.json("GET", f"/v1/edits/{edit['id']}").get("progress", {}).get("step", 0) < 3:
            time.sleep(0.01)
        self.stop(signal.SIGKILL)
        self.start()
        events = self.events(f"/v1/edits/{edit['id']}/events")
        self.assertEqual(events[-1][0], "ready")
        first = min([d["step"] for n, d in events if n == "step" and d["stage"] == "steps"], default=30)
        self.assertGreaterEqual(first, 3)
        self.assertEqual(self.ask("GET", events[-1][1]["images"][0]["url"])[2], whole)

    def test_started_with_another_model_it_begins_the_picture_anew(self):
        edit = self.edit(steps=30)
        while self.json("GET", f"/v1/edits/{edit['id']}").get("progress", {}).get("step", 0) < 3:
            time.sleep(0.01)
        self.stop(signal.SIGKILL)
        self.flags = ("--dtype", "f32")
        self.start()
        begun = self.wait(edit)
        fresh = self.wait(self.edit(steps=30))
        self.assertEqual(*[self.ask("GET", e["images"][0]["url"])[2] for e in (begun, fresh)])

    def test_the_studio_comes_compressed_and_once(self):
        status, plain, page = self.ask("GET", "/studio.js")
        self.assertEqual((status, plain["Content-Type"], plain["Content-Encoding"]), (200, "text/javascript; charset=utf-8", None))
        _, headers, data = self.ask("GET", "/studio.js", headers={"Accept-Encoding": "br, gzip"})
        self.assertEqual((headers["Content-Encoding"], gzip.decompress(data)), ("gzip", page))
        self.assertLess(len(data), len(page) / 2)
        self.assertEqual(self.ask("GET", "/studio.js", headers={"Accept-Encoding": "gzip;q=0"})[2], page)
        again = self.ask("GET", "/studio.js", headers={"If-None-Match": headers["ETag"]})
        self.assertEqual((again[0], again[2]), (304, b""))

    def test_other_hosts_and_origins_are_refused(self):
        self.json("GET", "/v1/model", status=403, headers={"Host": "evil.example"})
        self.json("GET", "/v1/model", status=403, headers={"Origin": "https://evil.example"})
        self.json("GET", "/v1/model", headers={"Origin": f"http://localhost:{self.port}"})

    def test_no_page_elsewhere_is_let_in_and_no_prompt_is_logged(self):
        self.edit(steps=1, prompt="make it a secret")
        status, headers, _ = self.ask("OPTIONS", "/v1/edits", headers={"Origin": f"http://localhost:{self.port}",
                                                                       "Access-Control-Request-Method": "POST"})
        self.assertEqual(status, 405)
        self.assertFalse([h for h in headers if h.lower().startswith("access-control")])
        log = Path(self.folder, "log").read_text(encoding="utf-8")
        self.assertIn('"edit"', log)
        self.assertNotIn("secret", log)

    def test_every_described_path_answers(self):
        described = json.loads((SOURCE / "docs/openapi.json").read_text())
        self.assertEqual(self.json("GET", "/v1/openapi.json"), described)
        edit = self.wait(self.edit(steps=1))
        for path, item in described["paths"].items():
            for method in set(item) - {"parameters"}:
                real = path.replace("{id}", edit["id"]).replace("{index}", "0")
                if method == "delete":
                    continue
                status, _, _ = self.ask(method.upper(), real, b"{}" if method == "post" else None)
                self.assertIn(str(status), item[method]["responses"], f"{method} {real}")
        for name in described["components"]["schemas"]["Model"]["required"]:
            self.assertIn(name, self.json("GET", "/v1/model"))
        counts = self.json("POST", "/v1/tokens", {"prompt": "make it night"})
        self.assertTrue(1 < counts["clip"]["tokens"] < counts["clip"]["limit"])


class Opened(Served):
    """The operator lets pages of one origin in, and prompts into the log."""
    keys = ("a key of sixteen or more",)
    flags = ("--origin", "https://app.example", "--log-prompts")
    origin = {"Origin": "https://app.example"}

    def test_a_named_origin_may_ask_with_a_key(self):
        question = {**self.origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        status, headers, _ = self.ask("OPTIONS", "/v1/edits", headers=question)
        self.assertEqual((status, headers["Access-Control-Allow-Origin"], headers["Vary"]), (200, "https://app.example", "Origin"))
        self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
        key = {"Authorization": f"Bearer {self.keys[0]}"}
        for more, expected in (({}, 401), (key, 200)):     # a page reads why it was refused, too
            status, headers, _ = self.ask("GET", "/v1/model", headers={**self.origin, **more})
            self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (expected, "https://app.example"))
        for other in ("https://app.example.evil.example", "http://app.example", "https://app.example:8443", "null"):
            status, headers, _ = self.ask("GET", "/v1/model", headers={"Origin": other, **key})
            self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (403, None), other)

    def test_prompts_are_logged_when_asked(self):
        body = {"prompt": "make it a secret", "steps": 1}
        edit = self.json("POST", "/v1/edits", body, 202, {"x-key": self.keys[0]})
        for _ in range(100):
            lines = [json.loads(line) for line in Path(self.folder, "log").read_text(encoding="utf-8").splitlines()
                     if line.startswith("{")]
            found = [line for line in lines if line.get("edit") == edit["id"]]
            if found:
                break
            time.sleep(0.05)
        self.assertEqual(found[0]["prompt"], "make it a secret")

    def test_what_is_no_origin_is_told_at_the_start(self):
        for wrong in ("*", "app.example", "https://app.example/", "https://", "https://App.example"):
            run = subprocess.run([KONTEXT, "serve", "--port", "0", "--folder", self.folder, "--origin", wrong], capture_output=True,
                                 text=True, check=False, timeout=60, env={**os.environ, "KONTEXT_MODEL": str(MINI)})
            self.assertEqual(run.returncode, 2, wrong)
            self.assertIn("--origin", run.stderr)


class Bounded(Served):
    """What is kept of one key is bounded; another's is not touched for it."""
    keys = ("the first key of sixteen", "the second key of sixteen")
    flags = ("--keep-per-key", "120KB")

    def test_the_oldest_of_that_key_goes_first(self):
        def draw(key, seed):
            header = {"x-key": self.keys[key]}
            edit = self.json("POST", "/v1/edits", {"prompt": "make it night", "steps": 1, "seed": seed}, 202, header)
            while "finished" not in (now := self.json("GET", f"/v1/edits/{edit['id']}", headers=header)):
                time.sleep(0.02)
            self.assertEqual(now["state"], "ready")
            return edit["id"]
        other = draw(1, 1)
        mine = [draw(0, seed) for seed in range(12)]
        self.json("GET", f"/v1/edits/{other}", headers={"x-key": self.keys[1]})
        self.json("GET", f"/v1/edits/{mine[-1]}", headers={"x-key": self.keys[0]})
        self.json("GET", f"/v1/edits/{mine[0]}", status=404, headers={"x-key": self.keys[0]})


class OverTls(Served):
    """--certificate: the same server over TLS 1.2 and later, and nothing but that on its port."""

    def start(self):
        self.certificate = os.path.join(self.folder, "cert.pem")
        key = os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-days", "2", "-keyout", key, "-out", self.certificate], check=True, capture_output=True, timeout=60)
        self.flags = ("--certificate", self.certificate, "--private-key", key)
        super().start()

    def context(self, most=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        context = ssl.create_default_context(cafile=self.certificate)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, most
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        return context

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.context())
        connection.request(method, path, body=json.dumps(body) if isinstance(body, dict) else body, headers=headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def test_an_edit_over_tls_and_nothing_without(self):
        edit = self.wait(self.edit(steps=1))
        self.assertTrue(self.ask("GET", edit["images"][0]["url"])[2].startswith(b"\x89PNG"))
        self.assertEqual(self.events(f"/v1/edits/{edit['id']}/events")[-1][0], "ready")
        with self.assertRaises(ssl.SSLError):
            with socket.create_connection(("localhost", self.port), timeout=10) as plain:
                self.context(ssl.TLSVersion.TLSv1_1).wrap_socket(plain, server_hostname="localhost")
        with socket.create_connection(("localhost", self.port), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                self.assertNotIn(b"200 OK", plain.recv(1000))
            except ConnectionResetError:
                pass
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)


class Limited(Served):
    flags = ("--max-waiting", "1")

    def test_too_many_are_refused_with_a_time(self):
        self.edit(steps=500)
        statuses = []
        for _ in range(4):
            status, headers, _ = self.ask("POST", "/v1/edits", {"prompt": "", "steps": 500})
            statuses.append(status)
        self.assertEqual(status, 429)
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)


if __name__ == "__main__":
    unittest.main()
