"""A `kontext serve` of its own for each test class, and short ways to speak to it."""
import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from program import KONTEXT, MINI, gradient, png

PICTURE = base64.b64encode(png(128, 128, gradient)).decode()


class Served(unittest.TestCase):
    flags = ()
    keys = ()   # of the server; none: no key is needed
    environment = {}

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="kontext-serve-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.start()
        self.addCleanup(self.stop)

    def start(self):
        keys = ()
        if self.keys:
            keys = ("--keys", os.path.join(self.folder, "keys"))
            with open(keys[1], "w", encoding="utf-8") as file:
                file.write("".join(key + "\n" for key in self.keys))
        with open(os.path.join(self.folder, "log"), "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [KONTEXT, "serve", "--port", "0", "--folder", self.folder, *self.flags, *keys], stdout=subprocess.PIPE, stderr=log,
                text=True, env={**os.environ, "KONTEXT_MODEL": str(MINI), **self.environment})
        line = self.process.stdout.readline()
        self.assertIn("://", line)
        self.port = int(line.rsplit(":", 1)[1])

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, bytes)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def json(self, method, path, body=None, status=200, headers=None):
        got, _, data = self.ask(method, path, body, headers)
        self.assertEqual(got, status, data[:500])
        return json.loads(data)

    def edit(self, **fields):
        return self.json("POST", "/v1/edits", {"prompt": "make it night", "images": [PICTURE], "steps": 2, "seed": 1, **fields}, 202)

    def wait(self, edit, state="ready"):
        for _ in range(1200):
            now = self.json("GET", f"/v1/edits/{edit['id']}")
            if "finished" in now:
                self.assertEqual(now["state"], state, now)
                return now
            time.sleep(0.05)
        self.fail("the edit did not end")

    def events(self, path, body=None):
        """[(event, data)] of a stream, to its end."""
        _, headers, data = self.ask("POST" if body else "GET", path, body)
        self.assertTrue(headers["Content-Type"].startswith("text/event-stream"))
        events = []
        for block in data.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                events.append((fields["event"], json.loads(fields["data"])))
        return events
