"""ComfyUI's /ws: what a prompt's client is told, what others are not, interrupting, hostile sockets."""
import json
import struct
import time
import unittest

from serve_comfy import Comfy, kontext
from plain_websocket import WebSocket


class Sockets(Comfy):
    def open(self, path="/ws?clientId=me", **options):
        ws = WebSocket(self.port, path, **options)
        self.addCleanup(ws.close)
        return ws

    def until(self, ws, last, client="me"):
        seen = []
        while not seen or not (isinstance(seen[-1], dict) and last(seen[-1])):
            seen.append(ws.message())
        return seen

    def test_a_prompt_is_told_from_start_to_end(self):
        ws, other = self.open(), self.open("/api/ws?clientId=other")
        first = ws.message()
        self.assertEqual(first, {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}})
        ws.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": False}}).encode())
        prompt_id = self.queue(kontext(steps=12), client_id="me")["prompt_id"]
        seen = self.until(ws, lambda m: m["type"] == "executing" and m["data"]["node"] is None)
        texts = [m for m in seen if isinstance(m, dict)]
        types = [m["type"] for m in texts if m["type"] not in ("status", "feature_flags")]
        self.assertEqual(types[:2], ["execution_start", "execution_cached"])
        self.assertEqual(types[-2:], ["execution_success", "executing"])
        self.assertTrue(all(m["data"]["prompt_id"] == prompt_id for m in texts if m["type"] not in ("status", "feature_flags")))
        progress = [m["data"] for m in texts if m["type"] == "progress"]
        values = [p["value"] for p in progress]
        self.assertEqual(values, sorted(values))
        self.assertEqual((progress[-1]["value"], progress[-1]["max"], progress[-1]["node"]), (12, 12, "31"))
        executed = {m["data"]["node"]: m["data"]["output"] for m in texts if m["type"] == "executed"}
        self.assertEqual(executed, self.done(prompt_id)["outputs"])
        previews = [m for m in seen if isinstance(m, bytes)]
        self.assertTrue(previews)
        for preview in previews:
            self.assertEqual(preview[:12], struct.pack(">II", 1, 2) + b"\x89PNG")
        self.until(ws, lambda m: m["type"] == "status" and m["data"]["status"]["exec_info"]["queue_remaining"] == 0)
        other.socket.settimeout(1)
        heard = []
        try:
            while True:
                heard.append(other.message()["type"])
        except TimeoutError:
            self.assertEqual(set(heard), {"status"})

    def test_pictures_come_over_the_socket_if_asked(self):
        ws = self.open()
        ws.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}).encode())
        self.until(ws, lambda m: m["type"] == "feature_flags")
        graph = kontext()
        graph["136"]["class_type"] = "SaveImageWebsocket"
        prompt_id = self.queue(graph, client_id="me")["prompt_id"]
        seen = self.until(ws, lambda m: m["type"] == "execution_success")
        last = [m for m in seen if isinstance(m, bytes)][-1]
        kind, size = struct.unpack(">II", last[:8])
        about = json.loads(last[8:8 + size])
        self.assertEqual((kind, about["node_id"], about["prompt_id"], about["image_type"]), (4, "136", prompt_id, "image/png"))
        self.assertTrue(last[8 + size:].startswith(b"\x89PNG"))

    def test_previews_can_be_left_out(self):
        ws = self.open()
        self.queue(kontext(steps=12), client_id="me", extra_data={"preview_method": "none"})
        seen = self.until(ws, lambda m: m["type"] == "execution_success")
        self.assertEqual([m for m in seen if isinstance(m, bytes)], [])

    def test_interrupted_and_unqueued(self):
        ws = self.open()
        running, waiting = (self.queue(kontext(steps=500), client_id="me")["prompt_id"] for _ in range(2))
        self.until(ws, lambda m: m["type"] == "progress")
        queue = self.json("GET", "/queue")
        self.assertEqual(queue["queue_running"][0][3]["client_id"], "me")
        self.assertEqual([[i[1] for i in queue[k]] for k in ("queue_running", "queue_pending")], [[running], [waiting]])
        self.ask("POST", "/queue", {"delete": [waiting, running, "nonsense", 3]})
        self.assertEqual(self.json("GET", "/queue")["queue_pending"], [])
        self.ask("POST", "/interrupt", {"prompt_id": waiting})
        self.assertEqual(len(self.json("GET", "/queue")["queue_running"]), 1)
        self.assertEqual(self.ask("POST", "/interrupt")[0], 200)
        self.until(ws, lambda m: m["type"] == "execution_interrupted" and m["data"]["prompt_id"] == running)
        history = self.json("GET", "/history")
        self.assertEqual([(k, h["status"]["status_str"]) for k, h in history.items()], [(running, "error")])
        self.queue(kontext(steps=500))
        self.queue(kontext(steps=500))
        self.assertEqual(self.ask("POST", "/queue", {"clear": True})[0], 200)
        self.assertEqual(self.json("GET", "/queue")["queue_pending"], [])
        self.ask("POST", "/interrupt")
        self.ask("POST", "/history", {"clear": True})
        self.assertEqual(self.json("GET", "/history"), {})
        for body in (b"[]", b"{", b'{"delete":3}'):
            self.assertEqual(self.ask("POST", "/queue", body)[0], 400)

    def test_a_client_that_comes_back_is_told(self):
        self.open().close()
        prompt_id = self.queue(kontext(steps=100), client_id="me")["prompt_id"]
        seen = self.until(self.open(), lambda m: m["type"] == "execution_success")
        self.assertEqual(seen[-1]["data"]["prompt_id"], prompt_id)

    def test_hostile_sockets(self):
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            self.assertEqual(self.open(headers=headers).status, 403)
        for headers in ({"Sec-WebSocket-Key": None}, {"Sec-WebSocket-Version": "1"}, {"Upgrade": None}):
            self.assertEqual(self.open(headers=headers).status, 400)
        for body, opcode, declared in ((b"x" * 70000, 1, None), (b"", 1, 1 << 62), (b"{", 1, None), (b"[" * 9000, 1, None), (b"\xff", 1, None),
                                       (b'{"type":"feature_flags","data":3}', 1, None), (b"", 3, None), (b"x", 8, None), (b"a", 2, 100)):
            self.open().send(body, opcode, declared)
        slow = self.open(receive_buffer=2048)  # never reads
        for _ in range(3):
            self.queue(kontext(steps=60), client_id="me")
        self.queue(kontext(), client_id="me")
        self.until(self.open(), lambda m: m["type"] == "status" and m["data"]["status"]["exec_info"]["queue_remaining"] == 0)
        self.assertEqual(slow.status, 101)
        begin = time.monotonic()
        self.assertEqual(self.stop(), 0)
        print(f"stopped with open sockets in {time.monotonic() - begin:.2f} s, at most 15 s")
        self.assertLess(time.monotonic() - begin, 15)
        self.start()


if __name__ == "__main__":
    unittest.main()
