"""Filters: nothing is seen before it was judged, a kill lets nothing slip through, and a filter that hangs holds nothing up."""
import base64
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from program import KONTEXT, MINI
from served import PICTURE, Served

# Programs are written into the server's folder: each appends its input to `judged`, then runs the test's own lines.
HEAD = "#!/bin/sh\ncd {folder}\ncat >> judged\n"


class Filtered(Served):
    stage = "after"
    lines = "exit 0\n"

    def start(self):
        program = os.path.join(self.folder, "filter.sh")
        with open(program, "w", encoding="utf-8") as file:
            file.write(HEAD.format(folder=self.folder) + self.lines)
        os.chmod(program, 0o755)
        self.flags = (f"--filter-{self.stage}", program)
        super().start()

    def judged(self):
        path = os.path.join(self.folder, "judged")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def until_judging(self):
        for _ in range(600):
            if self.judged():
                return
            time.sleep(0.02)
        self.fail("the filter was not started")


class Passes(Filtered):
    def test_each_picture_is_judged_once_and_no_preview_is_sent(self):
        edit = self.edit(n=2, steps=4)
        events = self.events(f"/v1/edits/{edit['id']}/events")
        self.assertEqual(events[-1][0], "ready")
        self.assertFalse([d for _, d in events if d.get("preview")])
        judged = self.judged()
        self.assertEqual([(j["stage"], j["id"], j["prompt"]) for j in judged], [("after", edit["id"], "make it night")] * 2)
        self.assertNotEqual(judged[0]["picture"], judged[1]["picture"])


class RefusesSlowly(Filtered):
    lines = "sleep 2\necho not this\nexit 1\n"

    def test_nothing_is_seen_while_it_is_judged_nor_after(self):
        project = self.json("POST", "/v1/projects", {"name": "p"}, 201)["id"]
        body = {"prompt": "a happy cat", "steps": 2, "seed": 3}
        edit = self.json("POST", f"/v1/projects/{project}/edits", body, 202)
        self.until_judging()
        self.assertEqual(self.json("GET", f"/v1/edits/{edit['id']}")["images"], [])
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        self.assertEqual(self.wait(edit, "moderated")["error"], {"code": "moderated", "message": "not this\n"})
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        self.assertEqual(self.json("GET", f"/v1/projects/{project}")["turns"], [])

    def test_killed_while_it_is_judged_it_is_judged_again(self):
        edit = self.edit()
        self.until_judging()
        self.stop(signal.SIGKILL)
        self.start()
        self.wait(edit, "moderated")
        self.assertEqual(len(self.judged()), 2)


class RefusesAtOnce(Filtered):
    lines = "echo not this\nexit 1\n"

    def test_requests_that_wait_for_their_picture_are_refused_in_their_own_words(self):
        body = {"prompt": "a happy cat", "steps": 1}
        error = self.json("POST", "/v1/images/generations", body, 400)["error"]
        self.assertEqual((error["message"], error["code"]), ("not this\n", "moderation_blocked"))
        self.assertEqual(self.json("POST", "/sdapi/v1/txt2img", body, 400)["detail"], "not this\n")
        (last,) = self.events("/v1/images/generations", {**body, "stream": True})
        self.assertEqual((last[0], last[1]["error"]["code"]), ("error", "moderation_blocked"))


class Service:
    """A filter over HTTP: keeps what it is asked, answers with `code` and `body` after `seconds`."""

    def __init__(self, code, body=b"", seconds=0):
        self.asked, outer = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                time.sleep(seconds)
                self.send_response(code)
                self.send_header("Location", "http://127.0.0.1:9/")
                if code != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/judge?a=b"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Services(Served):
    def judged_by(self, service, stage="after"):
        self.addCleanup(service.close)
        self.stop()
        self.flags = (f"--filter-{stage}", service.url)
        self.start()
        return service

    def test_each_picture_is_posted_and_passes(self):
        for code in (200, 204):
            service = self.judged_by(Service(code))
            edit = self.edit(n=2)
            self.assertEqual(len(self.wait(edit)["images"]), 2)
            self.assertEqual([(j["stage"], j["id"], j["prompt"], j["picture"][:6]) for j in service.asked], [("after", edit["id"], "make it night", "iVBORw")] * 2)

    def test_refused_it_is_moderated_with_what_the_service_says(self):
        self.judged_by(Service(403, ("not this: " + "\u00e9" * 300).encode()))
        edit = self.wait(self.edit(), "moderated")
        self.assertEqual(edit["error"]["message"], "not this: " + "\u00e9" * 95)  # 200 bytes of it
        before = self.judged_by(Service(403), "before")
        self.assertEqual(self.wait(self.edit(), "moderated")["error"]["message"], "refused by the filter")
        self.assertEqual([(j["stage"], j["picture"], j["inputs"]) for j in before.asked], [("before", "", [PICTURE])])

    def test_before_an_edit_it_sees_what_is_edited(self):
        before = self.judged_by(Service(204), "before")
        project = "/v1/projects/" + self.json("POST", "/v1/projects", {"name": "cat"}, 201)["id"]
        turn = self.json("POST", project + "/turns", base64.b64decode(PICTURE), 201)["id"]
        shown = self.ask("GET", f"{project}/turns/{turn}/image")[2]
        self.wait(self.json("POST", f"{project}/turns/{turn}/edits", {"prompt": "make it night", "images": [PICTURE], "steps": 1}, 202))
        (asked,) = before.asked
        self.assertEqual([base64.b64decode(i) for i in asked["inputs"]], [shown, base64.b64decode(PICTURE)])

    def test_whatever_else_it_answers_lets_nothing_pass(self):
        for code in (201, 302, 400, 401, 404, 500, 503):
            self.judged_by(Service(code))
            self.assertIn(f"answered {code}", self.wait(self.edit(steps=1), "failed")["error"]["message"])
        gone = self.judged_by(Service(200))
        gone.close()
        self.assertEqual(self.wait(self.edit(steps=1), "failed")["images"], [])
        self.judged_by(Service(403, b"x" * 100000))
        self.assertEqual(self.wait(self.edit(steps=1), "failed")["images"], [])

    def test_cancelling_does_not_wait_for_it(self):
        service = self.judged_by(Service(200, seconds=30), "before")
        edit = self.edit()
        while not service.asked:
            time.sleep(0.02)
        begin = time.monotonic()
        self.assertEqual(self.json("POST", f"/v1/edits/{edit['id']}/cancel")["state"], "cancelled")
        print(f"cancelled in {time.monotonic() - begin:.2f} s, at most 5 s")
        self.assertLess(time.monotonic() - begin, 5)

    def test_a_url_that_is_none_is_told_at_the_start(self):
        for url in ("http://", "https://user:pw@host/", "http://a b/"):
            run = subprocess.run([KONTEXT, "serve", "--port", "0", "--folder", self.folder + "/x", "--filter-after", url], capture_output=True, text=True,
                                 timeout=60, env={**os.environ, "KONTEXT_MODEL": str(MINI)})
            self.assertEqual(run.returncode, 2, run.stderr)


class Hangs(Filtered):
    stage = "before"
    lines = "sleep 600\n"

    def test_it_ends_with_the_edit_and_with_the_server(self):
        first, second = self.edit(), self.edit()
        self.until_judging()
        begin = time.monotonic()
        self.assertEqual(self.json("POST", f"/v1/edits/{first['id']}/cancel")["state"], "cancelled")
        while self.json("GET", f"/v1/edits/{second['id']}")["state"] != "running":
            time.sleep(0.02)
        self.assertEqual(self.stop(), 0)
        took = time.monotonic() - begin
        print(f"cancelled and stopped in {took:.2f} s, at most 10 s")
        self.assertLess(took, 10)
        self.start()
        self.assertIn(self.json("GET", f"/v1/edits/{second['id']}")["state"], ("queued", "running"))


class Refuses(Filtered):
    stage = "before"
    lines = "exit 1\n"

    def test_a_refused_prompt_draws_nothing(self):
        self.assertEqual(self.wait(self.edit(), "moderated")["error"]["message"], "refused by the filter")
        self.assertEqual([j["picture"] for j in self.judged()], [""])


class Breaks(Filtered):
    lines = "exit 3\n"

    def test_a_broken_filter_lets_nothing_pass(self):
        edit = self.wait(self.edit(), "failed")
        self.assertIn("ended with code 3", edit["error"]["message"])
        self.assertEqual(edit["images"], [])


class Absent(Served):
    flags = ("--filter-after", "/nowhere/filter")

    def test_a_missing_filter_lets_nothing_pass(self):
        self.assertIn("cannot be started", self.wait(self.edit(), "failed")["error"]["message"])


if __name__ == "__main__":
    unittest.main()
