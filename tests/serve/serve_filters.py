"""Filters: nothing is seen before it was judged, a kill lets nothing slip through, and a filter that hangs holds nothing up."""
import json
import os
import signal
import time
import unittest

from served import Served

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
