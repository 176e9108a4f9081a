"""Bad requests and bad machines: the right exit code, a message that helps, nothing lost (docs/errors.md)."""
import os
import subprocess
import unittest

from program import ProgramTest, png, read_png


class Usage(ProgramTest):
    def test_bounds_and_unknown_flags_are_2(self):
        base = ("edit", "-i", "in.png", "-p", "x")
        self.fail_with(2, *base, "--size", "100x100", says=["multiples of 16", "96x96"])
        self.fail_with(2, *base, "--size", "banana", says=["WIDTHxHEIGHT"])
        self.fail_with(2, *base, "--steps", "0", says=["1"])
        self.fail_with(2, *base, "--guidance", "-1")
        self.fail_with(2, *base, "--n", "0")
        self.fail_with(2, *base, "--like", "photoshop", says=["photoshop"])
        self.fail_with(2, *base, "--mode", "turbo", says=["exact"])
        self.fail_with(2, *base, "--sead", "1", says=["--sead"])
        self.fail_with(2, *base, "--memory-limit", "lots", says=["6GiB"])
        self.fail_with(2, *base, "--backend", "cuda", says=["cuda", "reference"])
        self.fail_with(2, *base, "--dtype", "int4", says=["bf16"])
        self.fail_with(2, "edit", "-p", "x", says=["--input"])
        self.fail_with(2, "paint", says=["paint"])
        self.fail_with(2, says=["edit", "generate"])
        self.assertEqual(self.files(), ["in.png"])

    def test_unknown_instruction_set_is_2_and_chooses_no_other_backend(self):
        os.environ["KONTEXT_ISA"] = "avx3"
        self.addCleanup(os.environ.pop, "KONTEXT_ISA")
        self.fail_with(2, "edit", "-i", "in.png", "-p", "x", says=["KONTEXT_ISA", "avx3", "avx2"])

    def test_output_that_cannot_be_written_is_said_before_the_work(self):
        base = ("edit", "-i", "in.png", "-p", "x", "--steps", "1000", "-o")
        self.fail_with(2, *base, "nowhere/out.png", says=["no folder nowhere"])
        self.fail_with(2, *base, "out.bmp", says=[".png"])
        self.fail_with(2, *base, "out", says=[".png"])
        (self.folder / "dir.png").mkdir()
        self.fail_with(2, *base, "dir.png", says=["is a folder"])

    def test_help_and_version_are_0(self):
        self.assertIn("--seed", self.succeed("edit", "--help").stdout)
        self.assertIn("kontext.cpp", self.succeed("--version").stdout)


class Pictures(ProgramTest):
    def bad(self, name, *says):
        self.fail_with(3, "edit", "-i", name, "-p", "x", says=[name, *says])

    def test_not_a_sound_picture_is_3(self):
        self.bad("absent.png")
        self.write("empty.png", b"")
        self.bad("empty.png")
        self.write("text.png", b"hello, I am no picture\n" * 20)
        self.bad("text.png", "PNG")
        whole = png(128, 128, lambda x, y: (x, y, x ^ y))
        self.write("half.png", whole[:len(whole) // 2])
        self.bad("half.png")
        self.write("huge.png", png(1, 1, lambda x, y: (0, 0, 0), declared=(2**31 - 1, 2**31 - 1)))
        self.bad("huge.png")
        (self.folder / "folder.png").mkdir()
        self.bad("folder.png")
        self.assertFalse([n for n in self.files() if n.startswith("out")])


class Memory(ProgramTest):
    def test_too_little_memory_is_refused_before_the_work_with_what_would_fit(self):
        self.fail_with(4, "edit", "-i", "in.png", "-p", "x", "--size", "1024x1024", "--memory-limit", "64MiB",
                       says=["1024x1024", "MiB", "--size"])
        self.fail_with(4, "edit", "-i", "in.png", "-p", "x", "--memory-limit", "1KiB", says=["MiB"])


class Disk(ProgramTest):
    """A full disk, made of a tmpfs of one page; needs the right to mount."""

    def setUp(self):
        super().setUp()
        self.full = self.folder / "full"
        self.full.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(self.full)], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("mounting a tmpfs is not allowed here")
        self.addCleanup(subprocess.run, ["umount", str(self.full)], check=False)

    def test_the_finished_picture_goes_to_another_place(self):
        done = self.succeed("edit", "-i", "in.png", "-p", "make it night", "--seed", "4", "--steps", "1", "-o", "full/out.png")
        self.assertIn("instead", done.stderr)
        self.assertEqual(read_png(self.folder / "out-4.png")[:2], (128, 128))
        self.assertEqual(os.listdir(self.full), [], "no half-written file stays")


class ReadOnly(ProgramTest):
    def test_read_only_folder(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        (self.folder / "ro").mkdir(mode=0o500)
        self.fail_with(2, "edit", "-i", "in.png", "-p", "x", "-o", "ro/out.png", says=["not writable"])


if __name__ == "__main__":
    unittest.main()
