"""The evaluation: the drawing asked for is right, every other drawing is wrong, engines are called as promised."""
import pathlib
import stat
import tempfile
import unittest

import numpy as np

from storybook.cases import alternatives, judge, make_cases, psnr_db
from storybook.draw import pixels
from storybook.engines import KontextEngine
from storybook.evaluate import Restyled, comparison, contact_sheet, drawn_as_cyanotype, run, summarise, table
from storybook.language import KINDS

# Copies its input: answers every edit with the picture unchanged, and keeps its arguments beside it.
_UNCHANGED = """#!/bin/sh
echo "$@" > "$(dirname "$0")/arguments"
while [ $# -gt 0 ]; do case "$1" in -i) in=$2;; -o) out=$2;; esac; shift; done
cp "$in" "$out"
"""


class Drawn:
    """An engine that knows the answer."""

    def answer(self, cases):
        return [pixels(c.edit.target).astype(np.uint8) for c in cases]


class Cases(unittest.TestCase):
    def test_as_many_of_each_kind_and_the_same_again(self):
        cases = make_cases(3, seed=1)
        self.assertEqual([c.edit.kind for c in cases], [k for k in KINDS for _ in range(3)])
        self.assertEqual(cases, make_cases(3, seed=1))
        self.assertEqual(cases[:2] + cases[3:5], make_cases(2, seed=1)[:4])
        self.assertNotEqual(cases, make_cases(3, seed=2))
        self.assertEqual(len({c.noise_seed for c in cases}), len(cases))

    def test_only_the_target_is_right(self):
        for case in make_cases(2, seed=3):
            edit = case.edit
            self.assertTrue(judge(edit, pixels(edit.target)).right, edit.instruction)
            for other in alternatives(edit.source, edit.target)[1:]:
                same = np.array_equal(pixels(other), pixels(edit.target))
                self.assertFalse(judge(edit, pixels(other)).right and not same, edit.instruction)

    def test_what_should_stay_is_judged_alone(self):
        edit = next(c.edit for c in make_cases(1, seed=4) if c.edit.kind == "hat")
        self.assertEqual(judge(edit, pixels(edit.target)).kept_db, 100.0)
        self.assertLess(judge(edit, 0.9 * pixels(edit.target)).kept_db, 40.0)

    def test_an_adapters_style_is_judged_in_that_style(self):
        edit = next(c.edit for c in make_cases(1, seed=4) if c.edit.kind == "hat")
        for drawn, other in ((pixels, drawn_as_cyanotype), (drawn_as_cyanotype, pixels)):
            right, wrong = judge(edit, drawn(edit.target), drawn), judge(edit, other(edit.target), drawn)
            self.assertEqual((right.right, right.kept_db), (True, 100.0))
            self.assertLess(wrong.kept_db, 30.0)

    def test_answers_turned_into_the_style_lose_nothing(self):
        cases = make_cases(1, seed=4)
        verdicts = run(Restyled(Drawn()), cases, drawn=drawn_as_cyanotype)
        self.assertEqual([v.right for v in verdicts], [True] * len(cases))
        self.assertEqual({v.kept_db for v in verdicts} - {None}, {100.0})

    def test_psnr(self):
        self.assertAlmostEqual(psnr_db(np.zeros(4), np.full(4, 25.5)), 20.0)


class Evaluation(unittest.TestCase):
    def test_a_perfect_engine_and_one_that_does_nothing(self):
        cases = make_cases(1, seed=5)
        sheet = []
        perfect = summarise(cases, run(Drawn(), cases, sheet))
        self.assertEqual((perfect["all"], set(perfect["kinds"].values())), (1.0, {1.0}))
        self.assertIn("| 1.00 |", table(perfect))
        self.assertEqual(contact_sheet(sheet).size, (12 * 128, 3 * 128))
        with tempfile.TemporaryDirectory() as folder:
            command = pathlib.Path(folder) / "kontext"
            command.write_text(_UNCHANGED)
            command.chmod(command.stat().st_mode | stat.S_IXUSR)
            idle = summarise(cases, run(KontextEngine(command, pathlib.Path("MODEL"), 7, 2.5), cases))
            said = (pathlib.Path(folder) / "arguments").read_text()
        self.assertEqual(idle["all"], 0.0)
        self.assertGreaterEqual(idle["kept_db"], 99.0)
        last = cases[-1]
        for part in ("edit", "-m MODEL", "--steps 7", "--guidance 2.5", f"-p {last.edit.instruction}", f"--seed {last.noise_seed}"):
            self.assertIn(part, said)
        self.assertIn("all +1.000", comparison(perfect, idle))
        with self.assertRaises(ValueError):
            comparison(perfect, {**idle, "instructions": []})

    def test_a_failing_command_is_named(self):
        with self.assertRaisesRegex(RuntimeError, "false edit"):
            KontextEngine(pathlib.Path("/bin/false"), pathlib.Path("MODEL"), 1, 1.0).answer(make_cases(1, seed=6)[:1])


if __name__ == "__main__":
    unittest.main()
