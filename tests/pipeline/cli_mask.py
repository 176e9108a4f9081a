"""kontext edit --mask FILE --feather PX, as a user runs it (docs/masks.md)."""
import struct
import zlib

from program import ProgramTest, chunk, gradient, png, read_pixels, read_png


def inside(x, y, width, height):
    return width // 4 <= x < width // 2 and height // 3 <= y < height - 20


class Mask(ProgramTest):
    def mask(self, name, width=128, height=128, white=255, black=0):
        grey = lambda x, y: (white if inside(x, y, width, height) else black,) * 3
        return self.write(name, png(width, height, grey))

    def masked(self, *arguments):
        return self.edit("--seed", "1", "-o", "out.png", "--mask", *arguments)

    def check_kept(self, source="in.png", out="out.png"):
        """Outside the mask every byte is the input's; inside most are not."""
        width, height, channels, before = read_pixels(self.folder / source)
        self.assertEqual((width, height, channels), read_pixels(self.folder / out)[:3])
        after, changed, free = read_pixels(self.folder / out)[3], 0, 0
        for i in range(0, len(before), channels):
            x, y = i // channels % width, i // channels // width
            same = before[i:i + channels] == after[i:i + channels]
            if inside(x, y, width, height):
                changed, free = changed + (not same), free + 1
            else:
                self.assertTrue(same, f"pixel {x},{y} outside the mask")
        self.assertGreater(changed, free // 2)

    def test_outside_is_the_input_and_the_recipe_says_how(self):
        self.mask("m.png")
        self.masked("m.png", "--feather", "5")
        self.check_kept()
        recipe = read_png(self.folder / "out.png")[2]
        self.assertEqual((recipe["mask"]["file"], recipe["mask"]["feather_px"]), ("m.png", 5))
        self.assertEqual(len(recipe["mask"]["pixels_sha256"]), 64)
        self.assertEqual(recipe["references"][0]["file"], "in.png")

    def test_output_has_the_inputs_size(self):
        self.write("wide.png", png(200, 90, gradient))
        self.mask("m.png", 200, 90)
        self.succeed("edit", "-i", "wide.png", "-p", "make it night", "--steps", "2", "--mask", "m.png", "-o", "out.png")
        self.check_kept("wide.png")
        self.assertEqual(read_png(self.folder / "out.png")[2]["width"], 200)

    def test_mask_of_another_size_is_scaled_and_said(self):
        self.mask("m.png", 64, 64)
        self.assertIn("64x64 scaled", self.masked("m.png").stderr)

    def test_mask_of_another_shape_is_refused(self):
        self.mask("m.png", 128, 64)
        self.fail_with(2, "edit", "-i", "in.png", "-p", "x", "--mask", "m.png", says=["128x64", "128x128"])

    def test_empty_mask_is_refused_and_full_one_is_said(self):
        self.mask("black.png", white=0)
        self.fail_with(2, "edit", "-i", "in.png", "-p", "x", "--mask", "black.png", says=["nothing in it may change"])
        self.mask("white.png", black=255)
        self.assertIn("all of the picture may change", self.masked("white.png").stderr)

    def test_grey_takes_a_part_of_the_edit(self):
        for level in (255, 64):
            self.mask("m.png", white=level)
            self.masked("m.png")
            self.check_kept()
            (self.folder / "out.png").rename(self.folder / f"{level}.png")
        before, full, part = (read_pixels(self.folder / n)[3] for n in ("in.png", "255.png", "64.png"))
        for b, f, p in zip(before, full, part):
            self.assertEqual(p, (64 * f + 191 * b + 127) // 255)

    def test_alpha_mask_means_transparent_may_change(self):
        self.mask("grey.png")
        self.masked("grey.png")
        self.write("alpha.png", png(128, 128, lambda x, y: (0, 0, 0, 0 if inside(x, y, 128, 128) else 255), colour=6))
        self.edit("--seed", "1", "--mask", "alpha.png", "-o", "alpha_out.png")
        self.assertEqual(read_pixels(self.folder / "out.png"), read_pixels(self.folder / "alpha_out.png"))

    def test_white_strokes_on_transparency_are_refused(self):
        self.write("strokes.png", png(128, 128, lambda x, y: (255, 255, 255, 255 if inside(x, y, 128, 128) else 0), colour=6))
        self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "--mask", "strokes.png", says=["strokes.png", "both ways"])

    def test_16_bit_mask(self):
        self.mask("m.png")
        self.masked("m.png")
        rows = b"".join(b"\0" + b"".join(struct.pack(">H", 65535 * inside(x, y, 128, 128)) for x in range(128)) for y in range(128))
        self.write("deep.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 128, 128, 16, 0, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
        self.edit("--seed", "1", "--mask", "deep.png", "-o", "deep_out.png")
        self.assertEqual(read_pixels(self.folder / "out.png"), read_pixels(self.folder / "deep_out.png"))

    def test_errors_name_the_mask(self):
        self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "--mask", "gone.png", says=["gone.png"])
        self.write("text.png", b"no picture")
        self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "--mask", "text.png", says=["text.png", "expected a PNG"])
        self.fail_with(2, "edit", "-i", "in.png", "-p", "x", "--feather", "4", says=["there is no mask"])
        self.mask("m.png")
        self.fail_with(2, "edit", "-i", "in.png", "-p", "x", "--mask", "m.png", "--like", "comfyui", says=["crop"])
        self.fail_with(2, "edit", "-i", "in.png", "-p", "x", "--mask", "m.png", "--feather", "-1")
