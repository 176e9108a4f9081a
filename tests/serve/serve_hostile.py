"""Hostile requests to every API: hostile_table.py against one server, which must stay whole; and the judge against answers that lie."""
import base64
import collections
import http.server
import json
import os
import socket
import threading
import time
import unittest

from hostile_table import APIS, HOSTILE, MOST_BODY, SECRET, Case, cases, exchange, faults, request, websocket_frames
from plain_websocket import WebSocket
from serve_comfy import form, kontext
from served import PICTURE, Served

KEYS = ("the first key of this test", "the second key of this test")
HEAD_SECONDS, BODY_SECONDS = 30, 60  # of docs/serve.md: a request's head, a request's body
MIB = 1 << 20


class Hostile(Served):
    flags = ("--max-body", str(MOST_BODY), "--max-waiting", "2000", "--max-waiting-per-key", "2000")

    def anonymous(self):
        """MiB that the server holds."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

    def picture(self):
        return self.ask("GET", self.wait(self.edit(seed=11))["images"][0]["url"])[2]

    def idle(self):
        """Ends what the sound ones among the hostile requests have asked for."""
        for edit in self.json("GET", "/v1/edits?limit=200")["edits"]:
            if "finished" not in edit:
                self.json("POST", f"/v1/edits/{edit['id']}/cancel")

    def slow(self, first, then, seconds):
        """How long the server listens to a client that sends `then` again and again, a second apart; `seconds` at most."""
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(first)
            client.settimeout(1)
            while time.monotonic() - begin < seconds:
                try:
                    if client.recv(1 << 16) == b"":
                        break
                except TimeoutError:
                    pass
                except OSError:
                    break
                try:
                    client.sendall(then)
                except OSError:
                    break
        return time.monotonic() - begin

    def start_slow_clients(self):
        """Of five kinds, each on a thread of its own; {kind: seconds until it was let go}."""
        head = b"POST /v1/edits HTTP/1.1\r\nHost: localhost\r\n"
        body = head + b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
        kinds = {"head": (head, b"X: y\r\n", HEAD_SECONDS), "half a head": (head + b"X: ", b"y", HEAD_SECONDS), "body": (body, b" ", BODY_SECONDS),
                 "body of an unknown path": (body.replace(b"/v1/edits", b"/nothing"), b" ", BODY_SECONDS),
                 "chunks": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", BODY_SECONDS)}
        took, threads = {}, []
        for kind, (first, then, seconds) in kinds.items():
            def run(kind=kind, first=first, then=then, seconds=seconds):
                took[kind] = self.slow(first, then, 2 * seconds + 20), seconds
            threads.append(threading.Thread(target=run))
            threads[-1].start()
        return threads, took

    def test_the_table(self):
        expected = self.picture()
        self.assertEqual(self.json("POST", "/upload/image", *[form()[0]], 200, form()[1])["name"], "in.png")
        threads, took = self.start_slow_clients()
        wrong, counts, begin = [], collections.Counter(), time.monotonic()
        for case in cases():
            counts[case.api] += 1
            try:
                found = faults(case, exchange(self.port, case.raw, case.half_close))
            except OSError as error:
                found = [f"{error}"]
            wrong += [f"{case.api}: {case.name}: {fault}" for fault in found]
            self.assertIsNone(self.process.poll(), f"the server ended at {case.api}: {case.name}")
        seconds = time.monotonic() - begin
        self.sockets()
        self.idle()
        for thread in threads:
            thread.join()
        print(f"{sum(counts.values())} hostile requests in {seconds:.0f} s: {dict(counts)}")
        print("slow clients let go after", {kind: f"{s:.0f} s, at most {m} + 5" for kind, (s, m) in took.items()})
        for kind, (s, most) in took.items():
            if s > most + 5:
                wrong.append(f"a slow {kind} was listened to for {s:.0f} s, at most {most}")
        self.assertEqual(wrong, [], "\n".join([f"{len(wrong)} wrong"] + wrong[:200]))
        self.assertEqual(self.picture(), expected, "an edit after it all is not the one before")
        self.every_api_works()
        self.memory_stays_bounded()
        self.log_is_sound()

    def sockets(self):
        for name, frames in websocket_frames().items():
            ws = WebSocket(self.port, "/ws?clientId=hostile")
            self.assertEqual(ws.status, 101, name)
            try:
                ws.socket.sendall(frames)
            except OSError:
                pass
            ws.close()

    def every_api_works(self):
        self.assertEqual(self.json("POST", "/v1/images/edits", APIS[2].body)["data"][0]["b64_json"][:6], "iVBORw")
        self.assertEqual(self.json("POST", "/sdapi/v1/img2img", APIS[3].body)["images"][0][:6], "iVBORw")
        task = self.json("POST", "/v1/flux-kontext-pro", APIS[1].body)["id"]
        prompt = self.json("POST", "/prompt", APIS[4].body)["prompt_id"].replace("-", "")
        for edit in (task, prompt):
            self.wait({"id": edit})

    def memory_stays_bounded(self):
        """Again and again the largest that is taken: what stays is less than one request's own, however many there were.

        Held at most at once by a request: its body, the stream and the part that are made of it, and the JSON: 4 x MOST_BODY."""
        large = request("POST", "/v1/edits", json.dumps({"prompt": "x", "images": ["A" * (MOST_BODY - 1000)]}).encode())
        many = request("POST", "/v1/edits", (b'{"a":[' + b"0," * (MOST_BODY // 2 - 10) + b"0]}"))
        # Decoded in whole, 25 megapixels of a kilobyte, and refused: as a mask it is all black.
        bomb = request("POST", "/v1/edits", json.dumps({"prompt": "x", "images": [PICTURE], "mask": base64.b64encode((HOSTILE / "png_bomb.png").read_bytes()).decode()}).encode())
        held = []
        for _ in range(16):
            for raw in (large, many, bomb):
                exchange(self.port, raw)
            held.append(self.anonymous())
        print(f"anonymous memory after each 3 of {3 * len(held)} of the largest requests: {' '.join(f'{h:.0f}' for h in held)} MiB")
        self.assertLess(max(held[8:]) - max(held[:8]), 4 * MOST_BODY / MIB)

    def log_is_sound(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
            lines = log.read().splitlines()
        for line in lines:
            self.assertIsInstance(json.loads(line), dict)
            self.assertNotIn(SECRET, line)
        self.assertEqual([line for line in lines if json.loads(line).get("status", 0) >= 500], [])


class OthersIds(Served):
    """What one key has made, another key cannot see, change or end, by any API."""
    keys = KEYS

    def test_ids_of_another_key(self):
        mine, other = ({"x-key": key} for key in KEYS)
        edit = self.json("POST", "/v1/edits", {"prompt": "a", "images": [PICTURE], "steps": 1}, 202, mine)["id"]
        project = self.json("POST", "/v1/projects", {"name": "p"}, 201, mine)["id"]
        self.json("POST", f"/v1/projects/{project}/turns", base64.b64decode(PICTURE), 201, mine)
        body, types = form()
        self.json("POST", "/upload/image", body, 200, {**types, **mine})
        prompt = self.json("POST", "/prompt", {"prompt": kontext(steps=1)}, 200, mine)["prompt_id"]
        while not self.json("GET", f"/history/{prompt}", headers=mine):
            time.sleep(0.05)
        image = self.json("GET", f"/history/{prompt}", headers=mine)[prompt]["outputs"]["136"]["images"][0]["filename"]
        at, p = f"/v1/edits/{edit}", f"/v1/projects/{project}"
        for method, path in (("GET", at), ("DELETE", at), ("POST", at + "/cancel"), ("GET", at + "/events"), ("GET", at + "/images/0"), ("GET", p),
                             ("PATCH", p), ("DELETE", p), ("GET", p + "/file"), ("POST", p + "/purge"), ("POST", p + "/edits"), ("POST", p + "/turns"),
                             ("GET", p + "/turns/1/image"), ("GET", p + "/turns/1/thumbnail"), ("DELETE", p + "/turns/1"),
                             ("POST", p + "/turns/1/edits"), ("POST", p + "/turns/1/again"), ("GET", f"/view?filename={image}&type=output"),
                             ("GET", "/view?filename=in.png&type=input")):
            sent = base64.b64decode(PICTURE) if path.endswith("/turns") else {"name": "x", "prompt": "a"} if method in ("POST", "PATCH") else None
            with self.subTest(f"{method} {path}"):
                self.json(method, path, sent, 404, other)
                self.json(method, path, sent, 401, {"x-key": "no key of this server's"})
        self.assertEqual(self.json("GET", f"/v1/get_result?id={edit}", headers=other)["status"], "Task not found")
        self.assertEqual(self.json("GET", f"/history/{prompt}", headers=other), {})
        self.assertEqual(self.json("POST", "/prompt", {"prompt": kontext()}, 400, other)["node_errors"]["142"]["errors"][0]["type"], "custom_validation_failed")
        self.assertEqual(self.ask("POST", "/history", {"delete": [prompt]}, other)[0], 200)
        self.assertEqual(self.ask("POST", "/history", {"clear": True}, other)[0], 200)
        self.assertEqual(self.json("GET", "/v1/edits", headers=other)["edits"], [])
        self.assertEqual(self.json("GET", "/v1/projects", headers=other)["projects"], [])
        self.assertEqual(len(self.json("GET", "/v1/edits", headers=mine)["edits"]), 2)  # all is still there
        self.assertEqual(len(self.json("GET", p, headers=mine)["turns"]), 1)

    def test_keys_that_are_none(self):
        for api in APIS:
            for headers in ({}, {"x-key": ""}, {"x-key": KEYS[0][:-1]}, {"x-key": KEYS[0] + " "[:0] + "x"}, {"Authorization": "Bearer"},
                            {"Authorization": "Bearer " + KEYS[0][::-1]}, {"Authorization": "Basic " + "A" * 5000}, {"Authorization": KEYS[0]},
                            {"x-key": "x" * 8000}, {"x-key": "\xff\xfe" * 10}):
                case = Case(api.name, str(headers), request("POST", api.path, json.dumps(api.body).encode(), headers), {401})
                self.assertEqual(faults(case, exchange(self.port, case.raw)), [], f"{api.name} {headers}")


class Liar(http.server.BaseHTTPRequestHandler):
    """A server that answers everything with `answer`: (status, headers, body)."""
    answer = None

    def handle(self):
        self.connection.settimeout(0.2)
        try:
            while self.connection.recv(1 << 16):
                pass
        except OSError:
            pass
        if self.answer is None:
            return
        status, headers, body = self.answer
        lines = "".join(f"{n}: {v}\r\n" for n, v in {"Content-Length": len(body), **headers}.items())
        self.connection.sendall(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)


class TheJudge(unittest.TestCase):
    """The twin that must fail: no lie passes for a case, whatever the API."""

    def test_lies_are_found(self):
        kind = {"Content-Type": "application/json"}
        native = json.dumps({"error": {"code": "x", "message": "y", "request_id": "z"}}).encode()
        comfy = json.dumps({"error": {"type": "x", "message": "y", "details": "", "extra_info": {}}, "node_errors": {}}).encode()
        fastapi = json.dumps({"detail": [{"loc": ["body"], "msg": "x", "type": "y"}]}).encode()
        lies = {"accepted": (200, kind, b"{}"), "fell over": (500, kind, native), "not there": (503, kind, comfy), "closed": None,
                "HTML": (400, {"Content-Type": "text/html"}, b"<h1>Bad Request</h1>"), "empty": (400, kind, b""), "of another API": (400, kind, fastapi),
                "no message": (422, kind, b'{"detail": []}'), "a list": (400, kind, b"[]"), "a method without Allow": (405, kind, native)}
        found = collections.Counter()
        for case in cases():
            if case.sound or case.closed:
                continue
            for name, lie in lies.items():
                with self.subTest(f"{case.api}: {case.name}: {name}"):
                    lie_in_lower = lie and (lie[0], {k.lower(): v for k, v in lie[1].items()}, lie[2])
                    self.assertTrue(faults(case, lie_in_lower))
                found[name] += 1
        print(f"{sum(found.values())} lies found")

    def test_over_a_socket(self):
        for answer in ((200, {}, b"{}"), (500, {}, b""), None):
            handler = type("Lies", (Liar,), {"answer": answer})
            with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                case = Case("native", "a lie", request("POST", "/v1/edits", b"{"))
                self.assertTrue(faults(case, exchange(server.server_port, case.raw)))
                server.shutdown()


if __name__ == "__main__":
    unittest.main()
