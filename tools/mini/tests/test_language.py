"""The language: every instruction changes the picture, every value can be said."""
import random
import unittest

import numpy as np

from storybook.draw import pixels
from storybook.language import KINDS, as_written, caption, edit_of_kind, random_edit
from storybook.world import COLOR_NAMES, NONE, VALUES, Scene, random_scene, replace, visible

_UNSAID = {"style": "normal"}   # a caption is silent about the usual style


class Captions(unittest.TestCase):
    def test_says_every_visible_value(self):
        full = Scene(hat="crown", wear="scarf", thing="gift")
        for attribute, values in VALUES.items():
            said = {}
            for value in values:
                scene = replace(full, **{attribute: value})
                text = said[value] = caption(scene)
                if value not in (NONE, _UNSAID.get(attribute)):
                    self.assertIn(value, text, attribute)
            self.assertEqual(len(set(said.values())), len(values), attribute)

    def test_articles(self):
        self.assertEqual(caption(Scene(expression="angry", wear="glasses", thing="ball", thing_color="orange", style="pixel art")),
                         "an angry orange cat wearing blue glasses in a meadow during the day with an orange ball on the left, pixel art")


class Instructions(unittest.TestCase):
    def test_every_kind_changes_what_it_names_and_the_picture(self):
        rng = random.Random(5)
        for kind in KINDS:
            for _ in range(25):
                edit = edit_of_kind(kind, random_scene(rng, style="normal"), rng)
                changed = [a for a in VALUES if getattr(edit.source, a) != getattr(edit.target, a)]
                self.assertTrue(changed and all(a.split("_")[0] == kind for a in changed), (kind, changed))
                self.assertFalse(np.array_equal(pixels(edit.source), pixels(edit.target)), edit.instruction)

    def test_every_random_instruction_changes_the_picture(self):
        rng = random.Random(6)
        for _ in range(150):
            edit = random_edit(random_scene(rng), rng)
            self.assertFalse(np.array_equal(pixels(edit.source), pixels(edit.target)), edit.instruction)

    def test_every_value_is_asked_for_by_name(self):
        rng, asked = random.Random(7), {attribute: set() for attribute in VALUES}
        for _ in range(6000):
            edit = random_edit(random_scene(rng), rng)
            for attribute in VALUES:
                value = getattr(edit.target, attribute)
                if getattr(edit.source, attribute) != value and visible(edit.target, attribute) and value in edit.instruction:
                    asked[attribute].add(value)
        for attribute, values in VALUES.items():
            wanted = set(values) - {NONE, _UNSAID.get(attribute)}
            self.assertEqual(asked[attribute], wanted, attribute)

    def test_no_color_is_asked_for_in_a_gray_picture(self):
        rng = random.Random(8)
        gray = [random_edit(random_scene(rng, style="black and white"), rng) for _ in range(300)]
        for edit in gray:
            self.assertFalse(set(edit.instruction.split()) & {*COLOR_NAMES, "color"}, edit.instruction)

    def test_weights_choose_the_kind(self):
        rng = random.Random(9)
        kinds = {random_edit(random_scene(rng, style="normal"), rng, {"hat": 1.0, "time": 1.0}).kind for _ in range(40)}
        self.assertEqual(kinds, {"hat", "time"})

    def test_as_written_keeps_the_words(self):
        rng = random.Random(10)
        written = {as_written("make it day", rng) for _ in range(100)}
        self.assertEqual(written, {"make it day", "Make it day", "make it day.", "Make it day."})


if __name__ == "__main__":
    unittest.main()
