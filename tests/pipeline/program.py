"""Runs the built `kontext` in a temporary folder, and makes the small files its tests need."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib
from pathlib import Path

KONTEXT = os.environ["KONTEXT"]
SOURCE = Path(os.environ["KONTEXT_SOURCE"])
MINI = SOURCE / "models" / "mini"


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, pixel, colour=2, declared=None):
    """An 8-bit PNG; `pixel(x, y)` gives the bytes of one pixel. `declared` lies about the size."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    w, h = declared or (width, height)
    header = struct.pack(">IIBBBBB", w, h, 8, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def gradient(x, y):
    return (x * 2 % 256, y * 2 % 256, 128)


def read_png(path):
    """(width, height, recipe) of a PNG written by kontext."""
    data = Path(path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", f"{path} is no PNG"
    at, recipe, size = 8, None, None
    while at < len(data):
        (length,) = struct.unpack(">I", data[at:at + 4])
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        if kind == b"iTXt" and body.startswith(b"kontext\0"):
            compressed, rest = body[8], body[10:]
            text = rest.split(b"\0", 2)[2]
            recipe = json.loads(zlib.decompress(text) if compressed else text)
        at += 12 + length
    return size[0], size[1], recipe


def read_pixels(path):
    """(width, height, channels, bytes) of an 8-bit RGB or RGBA PNG that is not interlaced."""
    data = Path(path).read_bytes()
    at, body = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at:at + 4])
        kind, chunk_body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunk_body)
            channels = {2: 3, 6: 4}[colour]
            assert depth == 8 and not interlaced
        body += chunk_body if kind == b"IDAT" else b""
        at += 12 + length
    rows, stride, above, out = zlib.decompress(body), width * channels, bytes(width * channels), bytearray()
    for y in range(height):
        kind, *line = rows[y * (stride + 1):(y + 1) * (stride + 1)]
        for i in range(stride):
            left, up = line[i - channels] if i >= channels else 0, above[i]
            corner = above[i - channels] if i >= channels else 0
            paeth = min((abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner))[2]
            line[i] = (line[i] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        out += bytes(line)
        above = line
    return width, height, channels, bytes(out)


class ProgramTest(unittest.TestCase):
    """Each test has its own folder with a drawn 128x128 picture in.png, and runs the program there."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="kontext-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.write("in.png", png(128, 128, gradient))

    def write(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def environment(self):
        return {**os.environ, "KONTEXT_MODEL": str(MINI)}

    def run_kontext(self, *arguments, timeout=300):
        """The finished process; its stdout and stderr are text."""
        return subprocess.run([KONTEXT, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, env=self.environment())

    def succeed(self, *arguments):
        done = self.run_kontext(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def fail_with(self, code, *arguments, says=()):
        """The command fails with exactly this code, and its message has each of these words."""
        done = self.run_kontext(*arguments)
        self.assertEqual(done.returncode, code, f"stdout: {done.stdout}\nstderr: {done.stderr}")
        for word in says:
            self.assertIn(word, done.stderr)
        return done

    def edit(self, *arguments):
        return self.succeed("edit", "-i", "in.png", "-p", "make it night", "--steps", "2", *arguments)

    def files(self):
        return sorted(p.name for p in self.folder.iterdir())

    def copy_of_mini(self):
        """A model directory of links to the mini model, so that one file of it can be replaced."""
        copy = self.folder / "model"
        for path in MINI.rglob("*"):
            if path.is_file():
                link = copy / path.relative_to(MINI)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        return copy

    def replace(self, path, data):
        path.unlink()
        path.write_bytes(data)


def read_safetensors(path):
    """(header, body) of a safetensors file."""
    data = Path(path).read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + n]), bytearray(data[8 + n:])


def write_safetensors(header, body):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(body)
