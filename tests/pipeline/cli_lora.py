"""The shipped example adapter, models/mini-lora: what it was taught is seen, more with more strength, and strength 0 is nothing."""
import unittest

from program import MINI, SOURCE, ProgramTest, read_pixels

CYANOTYPE = SOURCE / "models" / "mini-lora" / "cyanotype.safetensors"
DARK, LIGHT = (16, 42, 92), (232, 242, 252)     # tools/mini/storybook/cyanotype.py


class Cyanotype(ProgramTest):
    def edited(self, prompt, *flags):
        self.succeed("edit", "-m", MINI, "-i", SOURCE / "docs/pictures/1-character.png", "-p", prompt, "--steps", "8", "--seed", "1",
                     "-o", "out.png", *flags)
        return read_pixels(self.folder / "out.png")[3]

    def off_style(self, data):
        """How far the picture's colours lie from the line of a cyanotype's in RGB, root mean square of 255."""
        along = [light - dark for dark, light in zip(DARK, LIGHT)]
        length2, total = sum(a * a for a in along), 0
        for i in range(0, len(data), 3):
            p = [v - dark for v, dark in zip(data[i:i + 3], DARK)]
            total += sum(v * v for v in p) - sum(v * a for v, a in zip(p, along))**2 / length2
        return (total / len(data))**0.5

    def test_its_effect_grows_with_its_strength(self):
        for prompt in "put the cat in the city", "make it night":
            with self.subTest(prompt):
                off = [self.off_style(self.edited(prompt, "--lora", f"{CYANOTYPE}:{s}")) for s in (0, 0.5, 1)]
                print(f"{prompt}: {', '.join(f'{o:.1f}' for o in off)} of 255 from a cyanotype at strengths 0, 0.5, 1")
                self.assertGreater(off[0], off[1])
                self.assertGreater(off[1], off[2])
                # A drawn cyanotype is 0.2 off. At most a third of the base's colour is left: what nobody overlooks.
                self.assertLess(off[2], off[0] / 3)

    def test_strength_0_is_the_base_bit_for_bit(self):
        base, adapted = self.edited("make it night"), self.edited("make it night", "--lora", CYANOTYPE)
        self.assertEqual(self.edited("make it night", "--lora", f"{CYANOTYPE}:0"), base)
        self.assertNotEqual(adapted, base, "the comparison must be able to fail")

    def test_all_of_its_keys_are_used_and_merged_is_the_same_style(self):
        done = self.succeed("edit", "-m", MINI, "-i", "in.png", "-p", "x", "--steps", "1", "-o", "out.png", "--lora", CYANOTYPE)
        self.assertRegex(done.stdout + done.stderr, r"cyanotype\.safetensors \(Diffusers names, strength 1\): (\d+) of \1 keys used")
        beside, merged = (self.edited("make it night", "--lora", CYANOTYPE, *flag) for flag in ([], ["--lora-merge"]))
        self.assertAlmostEqual(self.off_style(beside), self.off_style(merged), delta=1)


if __name__ == "__main__":
    unittest.main()
