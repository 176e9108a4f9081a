"""What only many edits show: memory that grows, edits lost or made twice by kills, an API slowed by those who wait.

`make test-full` runs it; alone: KONTEXT=build/kontext KONTEXT_SOURCE=. PYTHONPATH=tests/pipeline:tests/serve python3 -m unittest -v endurance
"""
import concurrent.futures
import hashlib
import http.client
import random
import signal
import statistics
import threading
import time
import unittest

from served import PICTURE, Served

JOBS = 2000
KILLS = 50
CLIENTS = 200


class Soak(Served):
    flags = ("--max-waiting", "64", "--max-waiting-per-key", "64", "--keep", "20MB")

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

    def test_memory_stays_flat(self):
        """After a tenth of the edits nothing grows any more: at most 8 MiB, 4.6 KiB an edit, until the last."""
        waiting, early, begin = [], None, time.monotonic()
        for i in range(JOBS):
            waiting.append(self.edit(steps=1, seed=i))
            while len(waiting) >= 32:
                self.wait(waiting.pop(0))
            if i == JOBS // 10:
                early = self.resident()
        for edit in waiting:
            self.wait(edit)
        late = self.resident()
        print(f"{JOBS} edits of one step in {time.monotonic() - begin:.0f} s; anonymous memory {early:.1f} MiB after a tenth, "
              f"{late:.1f} MiB at the end")
        self.assertLess(late - early, 8)


class Chaos(Served):
    flags = ("--max-waiting", "100", "--max-waiting-per-key", "100")

    def test_nothing_is_lost_or_made_twice(self):
        """kill -9 at random moments. Whatever was accepted ends ready, once, with the picture an undisturbed server makes."""
        rng = random.Random(1)
        fields = {"prompt": "make it night", "images": [PICTURE], "steps": 12}
        expected = {}
        for seed in range(3):
            edit = self.wait(self.edit(**fields, seed=seed))
            expected[seed] = self.picture(edit)
        undisturbed = {e["id"] for e in self.listed()}
        accepted = {}
        for _ in range(KILLS):
            killer = threading.Timer(rng.uniform(0.02, 0.8), self.process.send_signal, (signal.SIGKILL,))
            killer.start()
            while self.process.poll() is None:
                if len(accepted) >= 2 * KILLS:
                    time.sleep(0.01)    # enough; only wait for the kill
                    continue
                number = len(accepted)
                try:  # one that got no answer is sent again, under the same key, until it has one
                    accepted[number] = self.json("POST", "/v1/edits", {**fields, "seed": number % 3}, 202,
                                                 {"Idempotency-Key": f"chaos-{number}"})["id"]
                    time.sleep(rng.uniform(0, 0.3))
                except (OSError, http.client.HTTPException):
                    break
            killer.join()
            self.process.wait()
            self.process.stdout.close()
            self.start()
        for number, edit in accepted.items():
            done = self.wait({"id": edit})
            self.assertEqual(len(done["images"]), 1)
            self.assertEqual(self.picture(done), expected[number % 3])
        made = [e["id"] for e in self.listed() if e["id"] not in undisturbed]
        self.assertEqual(len(made), len(set(made)))
        self.assertLessEqual(set(accepted.values()), set(made))
        self.assertLessEqual(len(made), len(accepted) + 1)     # the last sent may have been stored without an answer
        print(f"{KILLS} kills, {len(accepted)} edits accepted, all ready once with the expected picture")

    def picture(self, edit):
        return hashlib.sha256(self.ask("GET", f"/v1/edits/{edit['id']}/images/0")[2]).hexdigest()

    def listed(self):
        edits, before = [], ""
        while True:
            page = self.json("GET", f"/v1/edits?limit=100{before}")
            edits += page["edits"]
            if "next" not in page:
                return edits
            before = f"&before={page['next']}"


class Load(Served):
    flags = ("--max-waiting", str(2 * CLIENTS), "--max-waiting-per-key", str(2 * CLIENTS))

    def test_requests_while_many_wait(self):
        """Requests a second of the API alone; then CLIENTS ask for an edit at once and each waits for its own."""
        done = self.wait(self.edit(steps=1))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        begin, count = time.monotonic(), 2000
        for _ in range(count):
            connection.request("GET", f"/v1/edits/{done['id']}")
            self.assertEqual(connection.getresponse().read()[:1], b"{")
        rate = count / (time.monotonic() - begin)
        connection.close()

        answers, ends = [], []

        def client(seed):
            begin = time.monotonic()
            edit = self.edit(steps=1, seed=seed)
            answers.append(time.monotonic() - begin)
            self.assertEqual(self.events(f"/v1/edits/{edit['id']}/events")[-1][0], "ready")
            ends.append(time.monotonic() - begin)
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            for future in [pool.submit(client, seed) for seed in range(CLIENTS)]:
                future.result()
        took = time.monotonic() - begin
        print(f"{rate:.0f} requests/s on one connection; {CLIENTS} clients at once: accepted after {statistics.median(answers):.2f} s "
              f"(most {max(answers):.2f}), served after {statistics.median(ends):.1f} s (most {max(ends):.1f}), {CLIENTS / took:.1f} edits/s")
        self.assertEqual(len(ends), CLIENTS)
        self.assertLess(max(answers), 10)


if __name__ == "__main__":
    unittest.main()
