"""kontext edit --tree and kontext tree: edits kept in one file (docs/tree.md)."""
import json
import os
import sqlite3

from program import ProgramTest, gradient, png, read_pixels, read_png


class Tree(ProgramTest):
    def grow(self):
        """in.png (1) -> night (2) -> city (3), and beside it a masked one (4)."""
        self.write("m.png", png(128, 128, lambda x, y: (255 * (x < 64),) * 3))
        self.edit("--seed", "1", "--tree", "t.kontext", "-o", "a.png")
        common = ("--steps", "2", "--tree", "t.kontext")
        self.succeed("edit", "-p", "put it in the city", "--from", "2", "--seed", "2", "-o", "b.png", *common)
        self.succeed("edit", "-p", "make it day", "--from", "2", "--seed", "3", "--mask", "m.png", "-o", "c.png", *common)

    def turns(self):
        done = self.succeed("tree", "show", "t.kontext", "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def change(self, sql, *values):
        with sqlite3.connect(self.folder / "t.kontext") as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute(sql, values)
        db.close()

    def test_turns_replay_and_export(self):
        self.grow()
        turns = self.turns()
        self.assertEqual([(t["id"], t["parent"]) for t in turns], [(1, 0), (2, 1), (3, 2), (4, 2)])
        self.assertEqual([t["latents"] for t in turns], [False, True, True, True])
        self.assertTrue(turns[2]["recipe"]["references"][0]["latents"])
        self.assertIn("put it in the city", self.succeed("tree", "show", "t.kontext").stdout)
        said = self.succeed("tree", "replay", "t.kontext").stdout
        self.assertEqual(said.count("matches, equal pixels"), 3)
        self.succeed("tree", "export", "t.kontext", "-o", "out")
        self.assertEqual(read_pixels(self.folder / "out/turn-3.png"), read_pixels(self.folder / "b.png"))
        self.assertEqual(read_png(self.folder / "out/turn-3.png")[2]["seed"], 2)
        width, _, _, before = read_pixels(self.folder / "a.png")
        after = read_pixels(self.folder / "c.png")[3]
        kept = [i for i in range(0, len(before), 3) if i // 3 % width >= 64]
        self.assertTrue(all(before[i:i + 3] == after[i:i + 3] for i in kept))

    def test_from_pixels_is_another_edit(self):
        self.grow()
        self.succeed("edit", "-p", "put it in the city", "--from", "2", "--seed", "2", "--steps", "2", "--tree", "t.kontext",
                     "--from-pixels", "-o", "d.png")
        self.assertNotEqual(read_pixels(self.folder / "b.png"), read_pixels(self.folder / "d.png"))
        self.assertNotIn("latents", self.turns()[4]["recipe"]["references"][0])

    def test_a_chain_on_other_pictures(self):
        self.grow()
        for name in ("p/one.png", "p/two.png"):
            self.write(name, png(128, 128, gradient if "one" in name else lambda x, y: (y, x, 9)))
        self.succeed("tree", "apply", "t.kontext", "--turn", "3", "-i", "p", "-o", "out")
        self.assertEqual(sorted(os.listdir(self.folder / "out")), ["one.png", "two.png"])
        self.assertEqual(read_pixels(self.folder / "out/one.png"), read_pixels(self.folder / "b.png"))
        self.fail_with(2, "tree", "apply", "t.kontext", "--turn", "1", "-i", "p", "-o", "out", says=["is a root"])

    def test_a_doctored_turn_does_not_replay(self):
        self.grow()
        recipe = self.turns()[2]["recipe"] | {"seed": 99}
        self.change("UPDATE turns SET recipe = ? WHERE id = 3", json.dumps(recipe))
        done = self.fail_with(1, "tree", "replay", "t.kontext", says=["1 of 3 turns do not match"])
        self.assertIn("turn 3: does not match", done.stdout)

    def test_hostile_files(self):
        self.grow()
        whole = (self.folder / "t.kontext").read_bytes()
        for sql, words in (
                ("UPDATE turns SET pixels_sha256 = 'x' WHERE id = 2", "was changed"),
                ("UPDATE turns SET png = 'no picture' WHERE id = 2", "expected a PNG"),
                ("UPDATE turns SET latents = zeroblob(64) WHERE id = 2", "were changed"),
                ("UPDATE turns SET latents_width = 1000000000 WHERE id = 2", "latents of turn 2"),
                ("UPDATE turns SET parent = 3 WHERE id = 2", "expected an earlier turn"),
                ("UPDATE turns SET recipe = '[[' WHERE id = 2", "recipe"),
                ("DELETE FROM inputs", "is missing"),
                ("PRAGMA user_version = 9", "have version 9"),
                ("PRAGMA application_id = 9", "no tree of edits"),
                ("DROP TABLE inputs", "inputs")):
            (self.folder / "t.kontext").write_bytes(whole)
            self.change(sql)
            self.fail_with(3, "tree", "replay", "t.kontext", says=["t.kontext", words] if "recipe" not in words else [words])
        (self.folder / "t.kontext").write_bytes(whole[:5000])
        self.fail_with(3, "tree", "replay", "t.kontext", says=["t.kontext"])
        (self.folder / "t.kontext").write_bytes(b"no database at all, but long enough to be looked at" * 40)
        self.fail_with(3, "tree", "show", "t.kontext", says=["no SQLite file"])
        self.fail_with(3, "tree", "show", "gone.kontext", says=["gone.kontext"])

    def test_the_same_input_is_one_root(self):
        for seed in ("1", "2"):
            self.edit("--seed", seed, "--tree", "t.kontext", "-o", "a.png")
        self.assertEqual([(t["id"], t["parent"]) for t in self.turns()], [(1, 0), (2, 1), (3, 1)])

    def test_usage(self):
        self.grow()
        self.fail_with(2, "edit", "-p", "x", says=["--input"])
        self.fail_with(2, "edit", "-p", "x", "--from", "2")
        self.fail_with(2, "edit", "-p", "x", "--from", "77", "--tree", "t.kontext", says=["has no turn 77"])
