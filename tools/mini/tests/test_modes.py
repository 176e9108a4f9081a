"""The plans that are measured, their cost, and the chart."""
import unittest

import numpy as np

from storybook import modes
from storybook.modes_chart import COLOURS, Point, chart


class Modes(unittest.TestCase):
    def test_cost_counts_passes(self):
        self.assertEqual(modes.cost_of("FF-F-"), 3)
        self.assertAlmostEqual(modes.cost_of("FR-R"), 1 + 2 * 87.6 / 165.5)

    def test_plans_are_plans_and_have_a_colour(self):
        for name, group, plan in modes.plans():
            self.assertRegex(plan, "^F[FR]?[FR-]*$", name)
            self.assertIn(group, COLOURS)

    def test_a_dearer_plan_is_drawn_further_right(self):
        def centre(cost):
            picture = np.asarray(chart([Point("28", "fewer steps", 28, 100, 0.6), Point("4", "fewer steps", 4, 35, 0.6),
                                        Point("mode", "offered", cost, 45, 0.6)], 0.1, 9))[60:460, 72:628]
            return (picture == (0xD1, 0x49, 0x5B)).all(-1).nonzero()[1].mean()
        self.assertLess(centre(7) + 50, centre(14))


if __name__ == "__main__":
    unittest.main()
