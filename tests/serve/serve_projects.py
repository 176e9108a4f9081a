"""Projects of the studio: trees of edits over HTTP, their deletion and undoing, hostile names and files."""
import pathlib
import unittest

from program import gradient, png
from served import Served

PNG = png(128, 128, gradient)


class Projects(Served):
    def setUp(self):
        super().setUp()
        self.project = self.json("POST", "/v1/projects", {"name": "Trip"}, 201)["id"]
        self.path = f"/v1/projects/{self.project}"

    def add(self, name="photo"):
        return self.json("POST", f"{self.path}/turns?name={name}", PNG, 201)["id"]

    def edit_from(self, turn, **fields):
        edit = self.json("POST", f"{self.path}/turns/{turn}/edits", {"prompt": "make it night", "steps": 2, "seed": 1, **fields}, 202)
        return self.wait(edit)

    def turns(self):
        return self.json("GET", self.path)["turns"]

    def test_edits_become_turns_and_go_on_from_latents(self):
        root = self.add()
        self.edit_from(root, n=2, mode="fast", steps=4)
        first, second = [t["id"] for t in self.turns()[1:]]
        self.edit_from(first, seed=5)
        self.edit_from(first, seed=6, from_pixels=True)
        turns = self.turns()
        self.assertEqual([t["parent"] for t in turns], [0, root, root, first, first])
        self.assertEqual([t["recipe"]["seed"] for t in turns[1:]], [1, 2, 5, 6])
        self.assertEqual(turns[1]["recipe"]["mode"], "fast")
        self.assertTrue(turns[3]["recipe"]["references"][0].get("latents"))
        self.assertFalse(turns[4]["recipe"]["references"][0].get("latents"))
        again = self.wait(self.json("POST", f"{self.path}/turns/{turns[4]['id']}/again", {"seed": 9}, 202))
        self.assertEqual(again["request"]["from_pixels"], True)
        self.assertEqual(again["request"]["prompt"], "make it night")
        self.assertEqual(self.turns()[5]["parent"], first)
        for part in ("image", "thumbnail"):
            status, headers, data = self.ask("GET", f"{self.path}/turns/{second}/{part}?v=1")
            self.assertEqual((status, data[:4]), (200, b"\x89PNG"))
            self.assertIn("immutable", headers["Cache-Control"])

    def test_the_same_edit_is_one_turn(self):
        root = self.add()
        for _ in range(2):
            self.edit_from(root)
        self.assertEqual(len(self.turns()), 2)

    def test_words_alone_make_a_root(self):
        self.wait(self.json("POST", f"{self.path}/edits", {"prompt": "a happy cat", "steps": 2, "seed": 3}, 202))
        self.assertEqual([(t["parent"], t["recipe"]["seed"]) for t in self.turns()], [(0, 3)])
        self.wait(self.json("POST", f"{self.path}/turns/1/again", {"seed": 4}, 202))
        self.assertEqual([t["parent"] for t in self.turns()], [0, 0])

    def test_a_turn_deleted_while_its_edit_runs_comes_back_with_it(self):
        root = self.add()
        self.edit_from(root)
        edit = self.json("POST", f"{self.path}/turns/2/edits", {"prompt": "make it day", "steps": 60, "seed": 1}, 202)
        deletion = self.json("DELETE", f"{self.path}/turns/2")["deletion"]
        self.wait(edit)
        self.assertEqual([t["id"] for t in self.turns()], [1])
        back = self.json("POST", f"{self.path}/deletions/{deletion}/restore")
        self.assertEqual([t["id"] for t in back["turns"]], [1, 2, 3])
        self.json("DELETE", f"{self.path}/turns/2")
        self.json("POST", f"{self.path}/purge")
        self.json("POST", f"{self.path}/deletions/1/restore", status=404)

    def test_a_project_is_renamed_deleted_restored_saved_and_opened(self):
        self.add()
        self.assertEqual(self.json("PATCH", self.path, {"name": "../../etc/x\u0000y"})["name"], "etc x y")
        status, _, data = self.ask("GET", f"{self.path}/file")
        self.assertEqual((status, data[:15]), (200, b"SQLite format 3"))
        copy = self.json("POST", "/v1/projects/files?name=copy", data, 201)
        self.assertEqual([t["name"] for t in copy["turns"]], ["photo"])
        self.json("DELETE", self.path)
        self.json("GET", self.path, status=404)
        self.assertEqual([p["name"] for p in self.json("GET", "/v1/projects")["projects"]], ["copy"])
        self.assertEqual(len(self.json("POST", f"{self.path}/restore")["turns"]), 1)

    def test_hostile_requests_are_refused(self):
        root = self.add()
        for path in ("..", "%2e%2e%2fedits", "0" * 12, "x" * 5000, "%00"):
            self.assertIn(self.ask("GET", f"/v1/projects/{path}")[0], (400, 404, 405), path)
        for turn in ("0", "-1", "99", "1e3", "9" * 40, "x"):
            self.assertEqual(self.ask("GET", f"{self.path}/turns/{turn}/image")[0], 404, turn)
        for body in ({"prompt": "x", "project": "y"}, {"prompt": "x", "turn": 1}, {"prompt": "x", "from_pixels": 3}, {"prompt": "x", "mode": "slow"}, []):
            self.json("POST", f"{self.path}/turns/{root}/edits", body, 400)
        for body in ({}, {"name": ""}, {"name": 3}, {"name": "x" * 2000}, []):
            self.json("POST", "/v1/projects", body, 400)
        for data in (b"", b"no picture", PNG[:200]):
            self.json("POST", f"{self.path}/turns", data, 400)
        for data in (b"", b"no project" * 400, PNG):
            error = self.json("POST", "/v1/projects/files?name=bad", data, 400)["error"]
            self.assertNotIn(self.folder, error["message"])
        self.json("POST", f"{self.path}/turns/{root}/again", {}, 400)
        self.assertEqual(len(self.json("GET", "/v1/projects")["projects"]), 1)

    def test_a_damaged_project_harms_no_other(self):
        root = self.add()
        other = self.json("POST", "/v1/projects", {"name": "Broken"}, 201)["id"]
        path = next(iter(pathlib.Path(self.folder).glob(f"projects/local/*{other}.kontext")))
        path.write_bytes(b"garbage" * 1000)
        listed = {p["name"]: p for p in self.json("GET", "/v1/projects")["projects"]}
        self.assertIn("problem", listed["Broken"])
        self.json("GET", f"/v1/projects/{other}", status=400)
        self.edit_from(root)

    def test_edits_of_a_deleted_project_are_kept_in_it(self):
        root = self.add()
        edit = self.json("POST", f"{self.path}/turns/{root}/edits", {"prompt": "make it night", "steps": 60, "seed": 1}, 202)
        self.json("DELETE", self.path)
        self.wait(edit)
        self.assertEqual(len(self.json("POST", f"{self.path}/restore")["turns"]), 2)


if __name__ == "__main__":
    unittest.main()
