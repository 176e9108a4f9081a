"""--review: no API shows a picture before somebody approved it, whatever is killed in between."""
import base64
import http.client
import json
import os
import signal
import threading
import time
import unittest

from plain_websocket import WebSocket
from serve_comfy import kontext
from served import PICTURE, Served


def red(data):
    """What every PNG of an answer holds, wherever it is: a held picture's bytes are among them, or not."""
    return b"\x89PNG" in data or b"iVBORw0KGgo" in data


class Reviewed(Served):
    flags = ("--review",)

    def held(self, edit=None):
        """The edit once it waits for a reviewer; the first one without `edit`."""
        for _ in range(1200):
            for waiting in self.json("GET", "/v1/review")["waiting"]:
                if edit is None or waiting["id"] == edit["id"]:
                    return waiting
            time.sleep(0.05)
        self.fail("nothing waits for a review")

    def decide(self, waiting, word, status=200, **body):
        return self.json("POST", f"/v1/review/{waiting['id']}/{word}", body, status)

    def project(self):
        project = self.json("POST", "/v1/projects", {"name": "p"}, 201)["id"]
        self.json("POST", f"/v1/projects/{project}/turns?name=a", base64.b64decode(PICTURE), 201)
        return f"/v1/projects/{project}"


class Native(Reviewed):
    def test_approved_it_is_as_if_nobody_had_looked(self):
        edit = self.edit(n=2, steps=4)
        waiting = self.held(edit)
        self.assertEqual((waiting["prompt"], len(waiting["images"]), len(waiting["inputs"])), ("make it night", 2, 1))
        now = self.json("GET", f"/v1/edits/{edit['id']}")
        self.assertEqual((now["state"], now["progress"]["stage"], now["images"]), ("running", "review", []))
        self.assertNotIn("finished", now)
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        pictures = [self.ask("GET", i["url"])[2] for i in waiting["images"]]
        self.assertEqual(self.ask("GET", waiting["inputs"][0])[2], base64.b64decode(PICTURE))
        self.assertEqual(self.decide(waiting, "approve"), {"id": edit["id"], "state": "ready"})
        ready = self.wait(edit)
        self.assertEqual([self.ask("GET", i["url"])[2] for i in ready["images"]], pictures)
        self.assertEqual(self.json("GET", "/v1/review")["waiting"], [])
        self.json("GET", waiting["images"][0]["url"], status=404)
        self.decide(waiting, "refuse", 404)
        (decision,) = self.json("GET", "/v1/review/decisions")["decisions"]
        self.assertEqual((decision["edit"], decision["approved"], decision["reviewer"]), (edit["id"], True, ""))

    def test_refused_it_is_moderated_and_its_bytes_stay_with_reviewers(self):
        edit = self.edit()
        waiting = self.held(edit)
        self.decide(waiting, "refuse", reason="a face that is not ours to show")
        told = self.wait(edit, "moderated")
        self.assertEqual((told["error"]["message"], told["images"]), ("a face that is not ours to show", []))
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        self.assertTrue(red(self.ask("GET", waiting["images"][0]["url"])[2]))
        self.decide(waiting, "approve", 409)
        self.wait(edit, "moderated")
        self.json("DELETE", f"/v1/edits/{edit['id']}")
        self.json("GET", waiting["images"][0]["url"], status=404)
        (decision,) = self.json("GET", "/v1/review/decisions")["decisions"]
        self.assertEqual((decision["approved"], decision["reason"]), (False, "a face that is not ours to show"))
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
            self.assertIn({"review": edit["id"], "approved": False, "reviewer": ""}, [json.loads(line) for line in log])

    def test_events_tell_the_wait_and_show_no_preview(self):
        edit = self.edit(steps=6)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", f"/v1/edits/{edit['id']}/events")
        stream, lines, told = connection.getresponse(), [], []
        while not told or told[-1].get("stage") != "review":  # approved only after that was told
            lines.append(stream.readline())
            self.assertTrue(lines[-1], f"the stream ended before the review: {told}")
            if lines[-1].startswith(b"data: "):
                told.append(json.loads(lines[-1][6:]))
        self.decide(self.held(edit), "approve")
        rest = stream.read()
        self.assertIn(b"event: ready", rest)
        told += [json.loads(line[6:]) for line in rest.splitlines() if line.startswith(b"data: ")]
        self.assertFalse([data for data in told if data.get("preview")])

    def test_taken_back_by_its_owner_it_leaves_the_queue_and_is_never_seen(self):
        edit = self.edit()
        waiting = self.held(edit)
        self.assertEqual(self.json("POST", f"/v1/edits/{edit['id']}/cancel")["state"], "cancelled")
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        self.json("GET", waiting["images"][0]["url"], status=404)
        self.decide(waiting, "approve", 404)

    def test_of_several_pictures_none_is_seen_if_the_others_are_never_made(self):
        edit = self.edit(n=2, steps=100)
        while self.json("GET", f"/v1/edits/{edit['id']}").get("progress", {}).get("picture", 0) < 1:
            time.sleep(0.02)
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        self.json("POST", f"/v1/edits/{edit['id']}/cancel")
        self.assertEqual(self.wait(edit, "cancelled")["images"], [])
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)

    def test_killed_it_waits_still_and_a_decision_outlives_a_kill(self):
        first, second = self.edit(), self.edit(seed=2)
        waiting = [self.held(first), self.held(second)]
        self.stop(signal.SIGKILL)
        self.start()
        self.assertEqual([w["id"] for w in self.json("GET", "/v1/review")["waiting"]], [first["id"], second["id"]])
        self.json("GET", f"/v1/edits/{first['id']}/images/0", status=404)
        self.assertEqual(self.json("GET", f"/v1/edits/{first['id']}")["progress"]["stage"], "review")
        self.decide(waiting[0], "approve")
        self.decide(waiting[1], "refuse")
        self.stop(signal.SIGKILL)
        self.start()
        self.wait(first)
        self.wait(second, "moderated")
        self.assertEqual(len(self.json("GET", "/v1/review/decisions")["decisions"]), 2)

    def test_killed_while_it_is_drawn_and_started_without_review_what_was_held_is_held(self):
        edit = self.edit(n=2, steps=100)
        while self.json("GET", f"/v1/edits/{edit['id']}").get("progress", {}).get("picture", 0) < 1:
            time.sleep(0.02)
        self.stop(signal.SIGKILL)
        self.flags = ()
        self.start()
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        self.assertEqual([i["index"] for i in self.held(edit)["images"]], [0])
        self.json("GET", f"/v1/edits/{edit['id']}/images/0", status=404)
        self.decide(edit, "approve")
        self.assertEqual(len(self.wait(edit)["images"]), 2)

    def test_odd_bodies(self):
        waiting = self.held(self.edit())
        path = f"/v1/review/{waiting['id']}/refuse"
        for bad in (b"{", b"[]", b"null", b'{"reason": 1}', b'{"reason": null}', b"\xff", json.dumps({"reason": "x" * 1001}).encode()):
            self.json("POST", path, bad, 400)
        for index in ("1", "-1", "x", "99999999999999999999"):
            self.json("GET", f"/v1/review/{waiting['id']}/images/{index}", status=404)
            self.json("GET", f"/v1/review/{waiting['id']}/inputs/{index}", status=404)
        self.json("GET", "/v1/review/nothing", status=404)
        self.json("POST", path, b"")
        metrics = self.ask("GET", "/metrics")[2].decode()
        self.assertIn('kontext_edits_total{state="moderated"} 1', metrics)
        self.assertIn("kontext_edits_in_review 0", metrics)


class Projects(Reviewed):
    def test_a_turn_comes_with_the_approval_and_goes_on_from_its_latents(self):
        for killed in (False, True):
            path = self.project()
            edit = self.json("POST", f"{path}/turns/1/edits", {"prompt": "make it night", "steps": 2, "seed": 1}, 202)
            waiting = self.held(edit)
            self.assertEqual(len(waiting["inputs"]), 1)
            self.assertTrue(red(self.ask("GET", waiting["inputs"][0])[2]))
            self.assertEqual(len(self.json("GET", path)["turns"]), 1)
            picture = self.ask("GET", waiting["images"][0]["url"])[2]
            self.assertNotIn(b"make it night", self.ask("GET", path + "/file")[2])
            if killed:
                self.stop(signal.SIGKILL)
                self.start()
            self.decide(waiting, "approve")
            turn = self.json("GET", path)["turns"][1]
            self.assertEqual((turn["parent"], turn["latents"], turn["recipe"]["prompt"]), (1, True, "make it night"))
            self.assertEqual(self.ask("GET", f"{path}/turns/2/image")[2], picture)
            self.assertEqual(self.wait(edit)["notes"], [])

    def test_a_refused_one_is_no_turn(self):
        path = self.project()
        edit = self.json("POST", f"{path}/turns/1/edits", {"prompt": "make it night", "steps": 2}, 202)
        self.decide(self.held(edit), "refuse")
        self.wait(edit, "moderated")
        self.assertEqual(len(self.json("GET", path)["turns"]), 1)

    def test_where_its_project_is_gone_it_can_be_fetched_all_the_same(self):
        path = self.project()
        edit = self.json("POST", f"{path}/turns/1/edits", {"prompt": "make it night", "steps": 2}, 202)
        waiting = self.held(edit)
        self.json("DELETE", f"{path}/turns/1")
        self.json("POST", f"{path}/purge")
        self.decide(waiting, "approve")
        ready = self.wait(edit)
        self.assertIn("not added to its project", ready["notes"][0])
        self.assertTrue(red(self.ask("GET", ready["images"][0]["url"])[2]))


class OtherApis(Reviewed):
    flags = ("--review", "--webhook-host", "127.0.0.1")

    def later(self, method, path, body):
        """A request that waits for its edit, on a thread; result() is its answer."""
        answer = []
        thread = threading.Thread(target=lambda: answer.append(self.ask(method, path, body)))
        thread.start()

        def result():
            thread.join(60)
            return answer[0]
        return thread, result

    def test_bfl(self):
        task = self.json("POST", "/v1/flux-kontext-pro", {"prompt": "make it night", "input_image": PICTURE, "steps": 2})
        waiting = self.held(task)
        got = self.json("GET", f"/v1/get_result?id={task['id']}")
        self.assertEqual((got["status"], got["result"], got["preview"]), ("Pending", None, None))
        self.decide(waiting, "approve")
        got = self.json("GET", f"/v1/get_result?id={task['id']}")
        self.assertEqual(got["status"], "Ready")
        self.assertTrue(red(self.ask("GET", got["result"]["sample"].split(str(self.port))[1])[2]))
        task = self.json("POST", "/v1/flux-kontext-pro", {"prompt": "make it night", "steps": 2})
        self.decide(self.held(task), "refuse")
        self.assertEqual(self.json("GET", f"/v1/get_result?id={task['id']}")["status"], "Content Moderated")

    def test_openai(self):
        body = {"prompt": "a happy cat", "steps": 2}
        for word, status in (("approve", 200), ("refuse", 400)):
            thread, result = self.later("POST", "/v1/images/generations", body)
            waiting = self.held()
            time.sleep(0.3)
            self.assertTrue(thread.is_alive())
            self.decide(waiting, word)
            got, _, data = result()
            self.assertEqual((got, red(data)), (status, status == 200))
        thread, result = self.later("POST", "/v1/images/generations", {**body, "steps": 8, "stream": True, "partial_images": 3})
        self.decide(self.held(), "refuse")
        self.assertFalse(red(result()[2]))

    def test_a1111(self):
        for word, status in (("approve", 200), ("refuse", 400)):
            thread, result = self.later("POST", "/sdapi/v1/txt2img", {"prompt": "a happy cat", "steps": 2})
            waiting = self.held()
            self.assertTrue(thread.is_alive())
            self.assertIsNone(self.json("GET", "/sdapi/v1/progress")["current_image"])
            self.decide(waiting, word)
            got, _, data = result()
            self.assertEqual((got, red(data)), (status, status == 200))
        self.assertFalse(self.json("GET", "/sdapi/v1/options")["live_previews_enable"])
        thread, result = self.later("POST", "/sdapi/v1/txt2img", {"prompt": "a happy cat", "steps": 2})
        self.json("POST", f"/v1/edits/{self.held()['id']}/cancel")
        got, _, data = result()  # A1111 answers an interrupted request with what it has
        self.assertEqual((got, json.loads(data)["images"]), (200, []))

    def prompt(self):
        body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="in.png"\r\n\r\n' + base64.b64decode(PICTURE) + b"\r\n--b--\r\n"
        self.json("POST", "/upload/image", body, headers={"Content-Type": "multipart/form-data; boundary=b"})
        return self.json("POST", "/prompt", {"prompt": kontext(), "client_id": "me"})["prompt_id"]

    def test_comfyui(self):
        ws = WebSocket(self.port, "/ws?clientId=me")
        self.addCleanup(ws.close)
        prompt_id = self.prompt()
        waiting = self.held()
        number = json.loads(self.ask("GET", "/queue")[2])["queue_running"][0][0]
        view = f"/view?filename=ComfyUI_{number * 16:05}_.png&type=output"
        self.assertEqual(self.json("GET", f"/history/{prompt_id}"), {})
        self.assertEqual(self.json("GET", "/prompt")["exec_info"]["queue_remaining"], 1)
        self.json("GET", view, status=404)
        graph = kontext(image=f"ComfyUI_{number * 16:05}_.png [output]")
        self.json("POST", "/prompt", {"prompt": graph}, 400)
        self.decide(waiting, "approve")
        seen = []
        while not seen or seen[-1].get("type") != "execution_success":
            message = ws.message()
            self.assertIsInstance(message, dict, "a preview")
            seen.append(message)
        self.assertIn("136", [m["data"]["node"] for m in seen if m["type"] == "executed"])
        self.assertTrue(red(self.ask("GET", view)[2]))
        prompt_id = self.prompt()
        waiting = self.held()
        self.decide(waiting, "refuse", reason="no")
        history = self.json("GET", f"/history/{prompt_id}")[prompt_id]
        self.assertEqual((history["status"]["status_str"], history["outputs"]), ("error", {}))
        self.json("GET", f"/view?filename=ComfyUI_{waiting['number'] * 16:05}_.png&type=output", status=404)

    def test_what_waits_for_a_reviewer_counts_as_waiting(self):
        self.stop()
        self.flags = ("--review", "--max-waiting", "2")
        self.start()
        edits = [self.edit(), self.edit()]
        for edit in edits:
            self.held(edit)
        self.json("POST", "/v1/edits", {"prompt": "a cat", "steps": 1}, 429)
        self.decide(edits[0], "refuse")
        self.json("POST", "/v1/edits", {"prompt": "a cat", "steps": 1}, 202)


if __name__ == "__main__":
    unittest.main()
