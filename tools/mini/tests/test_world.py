"""The drawn world: every value shows, drawings are deterministic and are the ones the weights learned."""
import hashlib
import random
import unittest

import numpy as np

from storybook.draw import pixels, render, scene_of
from storybook.world import BELONGS_TO, NONE, VALUES, Scene, random_scene, replace, visible

_FULL = Scene(hat="crown", hat_color="blue", wear="scarf", wear_color="pink", thing="gift", thing_color="purple", layout=5)


class Drawing(unittest.TestCase):
    def test_same_scene_same_pixels(self):
        rng = random.Random(1)
        for scene in (random_scene(rng) for _ in range(12)):
            self.assertTrue(np.array_equal(pixels(scene), pixels(replace(scene))), scene)

    def test_pixels_are_those_the_released_weights_learned(self):
        rng, digest = random.Random(2026), hashlib.sha256()
        for scene in (random_scene(rng) for _ in range(64)):
            digest.update(render(scene).tobytes())
        self.assertEqual(digest.hexdigest(), "bc5a0f65fcb24e7db83bc62ca9d0b74d89db2849f966a950c679e4c56f2eeb4a")

    def test_every_value_of_every_attribute_shows(self):
        for attribute, values in VALUES.items():
            drawn = {pixels(replace(_FULL, **{attribute: value})).tobytes() for value in values}
            self.assertEqual(len(drawn), len(values), attribute)

    def test_what_is_not_visible_does_not_show(self):
        for attribute, owner in BELONGS_TO.items():
            bare = replace(_FULL, **{owner: NONE})
            self.assertFalse(visible(bare, attribute))
            drawn = {pixels(replace(bare, **{attribute: value})).tobytes() for value in VALUES[attribute]}
            self.assertEqual(len(drawn), 1, attribute)

    def test_size_and_range(self):
        image = render(_FULL, size=64)
        self.assertEqual((image.size, image.mode), ((64, 64), "RGB"))


class Words(unittest.TestCase):
    def test_named_attributes_are_set(self):
        self.assertEqual(scene_of(["hat=party hat", "size=0.6", "layout=3"]), Scene(hat="party hat", size=0.6, layout=3))

    def test_unknown_names_and_values_are_refused(self):
        for word, message in (("hats=crown", "no such attribute"), ("hat=bowler", "is one of none, party hat")):
            with self.assertRaisesRegex(ValueError, message):
                scene_of([word])


class Sampling(unittest.TestCase):
    def test_random_scenes_cover_every_value(self):
        rng = random.Random(3)
        scenes = [random_scene(rng) for _ in range(600)]
        for attribute, values in VALUES.items():
            self.assertEqual({getattr(s, attribute) for s in scenes}, set(values), attribute)

    def test_style_can_be_fixed(self):
        rng = random.Random(4)
        self.assertEqual({random_scene(rng, style="pixel art").style for _ in range(50)}, {"pixel art"})


if __name__ == "__main__":
    unittest.main()
