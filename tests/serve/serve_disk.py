"""A disk that takes nothing more, and a folder that is in use: nothing that was accepted is lost."""
import os
import resource
import signal
import subprocess
import time
import unittest

from program import KONTEXT, MINI
from served import Served

FREE = resource.RLIM_INFINITY


class Disk(Served):
    def bound(self, size):
        """No file of the server's may grow beyond `size` bytes: what a full disk is to it, and needs no rights."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, FREE))

    def until(self, holds):
        for _ in range(600):
            if holds():
                return
            time.sleep(0.05)
        self.fail("it did not come to that")

    def fill_up(self):
        """An edit that has begun, and the disk full under it."""
        edit = self.edit(steps=200)
        self.until(lambda: self.json("GET", f"/v1/edits/{edit['id']}").get("progress", {}).get("step", 0) > 2)
        self.bound(1 << 10)
        self.until(lambda: self.ask("GET", "/readyz")[0] == 503)
        return edit

    def picture(self, edit):
        return self.ask("GET", self.wait(edit)["images"][0]["url"])[2]

    def test_the_edit_waits_and_goes_on_when_there_is_room(self):
        whole = self.picture(self.edit(steps=200))
        edit = self.fill_up()
        self.until(lambda: self.json("GET", f"/v1/edits/{edit['id']}")["progress"]["stage"] == "disk")
        body = {"prompt": "make it night", "steps": 1}
        status, headers, _ = self.ask("POST", "/v1/edits", body)
        self.assertEqual((status, headers["Retry-After"]), (507, "30"))
        for path in ("/v1/images/generations", "/v1/flux-kontext-pro", "/v1/projects"):
            self.assertEqual(self.ask("POST", path, {**body, "name": "cat"} if path.endswith("projects") else body)[0], 507, path)
        self.bound(FREE)
        self.assertEqual(self.picture(edit), whole)
        self.assertEqual(self.ask("GET", "/readyz")[0], 200)

    def test_cancelled_meanwhile_it_is_cancelled_when_there_is_room(self):
        edit = self.fill_up()
        begin = time.monotonic()
        self.json("POST", f"/v1/edits/{edit['id']}/cancel")
        self.assertLess(time.monotonic() - begin, 5)
        self.bound(FREE)
        self.wait(edit, "cancelled")

    def test_killed_or_ended_meanwhile_it_goes_on_from_its_last_step(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            edit = self.fill_up()
            self.stop(how)
            self.start()
            self.wait(edit)

    def test_one_server_a_folder(self):
        second = [KONTEXT, "serve", "--port", "0", "--folder", self.folder]
        run = subprocess.run(second, capture_output=True, text=True, timeout=60, env={**os.environ, "KONTEXT_MODEL": str(MINI)})
        self.assertEqual(run.returncode, 2)
        self.assertIn("another kontext serve", run.stderr)
        self.stop(signal.SIGKILL)
        self.start()  # the lock has gone with the process


if __name__ == "__main__":
    unittest.main()
