#!/usr/bin/env python3
"""Writes tests/data/pictures: small pictures of every kind io/picture reads, and expected.json with
the 8-bit sRGB pixels they stand for.

    python3 tools/golden/make_pictures.py      (needs numpy and Pillow)

Expected pixels come from the samples the picture was made of where the format is lossless, and from
Pillow (exif_transpose, ImageCms with perceptual intent, alpha over white) where it is not. "max_diff" is 0 unless a
conversion in floating point or another version of a library may round the other way.
"""
import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms, ImageOps

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/data/pictures"
EXPECTED = {}

W, H = 13, 9
X, Y = np.meshgrid(np.arange(W), np.arange(H))
# Smooth, so that lossy formats stay close, and different under each of the eight turns.
RGB = np.stack([X * 255 // 12, Y * 255 // 8, (X + Y) * 255 // 20], -1).astype(np.uint8)
GREY = (X * 17 + Y * 5).astype(np.uint8)
ALPHA = ((X * 37 + Y * 11) % 256).astype(np.uint8)
ALPHA[0, :3] = [0, 255, 128]
DEEP = np.stack([X * 5003 + Y * 17, Y * 7001 + X, X * Y * 600 + 127], -1).astype(np.uint16)
DEEP_ALPHA = (X * 4999 + Y * 31 + 128).astype(np.uint16)


def over_white(rgb, alpha):
    c, a = rgb.astype(int), alpha.astype(int)[..., None]
    return ((2 * (c * a + 255 * (255 - a)) + 255) // 510).astype(np.uint8)


def to8(deep):
    return ((deep.astype(int) + 128) // 257).astype(np.uint8)


def triple(grey):
    return np.repeat(grey[..., None], 3, -1)


def save(name, data, pixels, notes=(), keep_alpha=False, max_diff=0):
    pixels = np.asarray(pixels)
    (OUT / name).write_bytes(data)
    EXPECTED[name] = {
        "width": pixels.shape[1], "height": pixels.shape[0], "channels": pixels.shape[2],
        "keep_alpha": keep_alpha, "max_diff": max_diff, "notes": list(notes),
        "pixels": pixels.astype(np.uint8).tobytes().hex()}


# ---- PNG, written here because Pillow cannot write most kinds ----

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, bits):
    """Rows of [h, w, channels] samples with filter type 0 before each."""
    rows = b""
    for row in samples:
        flat = row.reshape(-1)
        if bits == 16:
            rows += b"\0" + flat.astype(">u2").tobytes()
        else:
            stream = "".join(format(int(v), f"0{bits}b") for v in flat)
            stream += "0" * (-len(stream) % 8)
            rows += b"\0" + bytes(int(stream[i:i + 8], 2) for i in range(0, len(stream), 8))
    return rows


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, bits, colour_type, before_idat=b"", interlaced=False):
    samples = samples if samples.ndim == 3 else samples[..., None]
    h, w = samples.shape[:2]
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        rows = b"".join(pack_rows(p, bits) for p in passes if p.size)
    else:
        rows = pack_rows(samples, bits)
    ihdr = struct.pack(">IIBBBBB", w, h, bits, colour_type, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + before_idat +
            chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def iccp(profile):
    return chunk(b"iCCP", b"test\0\0" + zlib.compress(profile, 9))


def chrm(*xy):
    return chunk(b"cHRM", struct.pack(">8I", *(round(v * 100000) for v in xy)))


# ---- ICC profiles ----

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def xyz_tag(x, y, z):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def profile(space, tags):
    """A version 2 display profile; tags: [(signature, data)]."""
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)  # D50
    assert len(head) == 128
    return head + struct.pack(">I", len(tags)) + table + body


def desc(text):
    raw = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(raw)) + raw + bytes(4 + 4 + 2 + 1 + 67)


def gamma_curve(g):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(g * 256)) + b"\0\0"


COPYRIGHT = (b"cprt", b"text\0\0\0\0Public domain\0")
WHITE = (b"wtpt", xyz_tag(0.9642, 1.0, 0.8249))


def matrix_profile(name, red, green, blue, gamma=2.2):
    return profile(b"RGB ", [(b"desc", desc(name)), COPYRIGHT, WHITE, (b"rXYZ", xyz_tag(*red)),
                             (b"gXYZ", xyz_tag(*green)), (b"bXYZ", xyz_tag(*blue)),
                             (b"rTRC", gamma_curve(gamma)), (b"gTRC", gamma_curve(gamma)),
                             (b"bTRC", gamma_curve(gamma))])


R, G, B = (0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)
SWAPPED = matrix_profile("Red and blue swapped", B, G, R)
WIDE = matrix_profile("Wide", (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189),
                      (0.15710, 0.06657, 0.78407))
GREY_LINEAR = profile(b"GRAY", [(b"desc", desc("Linear grey")), COPYRIGHT, WHITE,
                                (b"kTRC", gamma_curve(1.0))])


def managed(image, icc):
    """Pillow's conversion to sRGB; the alpha channel of `image`, if any, is left alone."""
    return np.asarray(ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), SRGB,
        renderingIntent=ImageCms.Intent.PERCEPTUAL, outputMode="RGB"))


def note(name):
    return f'colour profile "{name}" converted to sRGB'


# ---- the pictures ----

def png_kinds():
    save("rgb8.png", png(RGB, 8, 2), RGB)
    save("rgb8_interlaced.png", png(RGB, 8, 2, interlaced=True), RGB)
    save("one_pixel.png", png(RGB[:1, 5:6], 8, 2), RGB[:1, 5:6])
    for bits in (1, 2, 4, 8):
        levels = (GREY >> (8 - bits)).astype(np.uint8)
        save(f"grey{bits}.png", png(levels, bits, 0), triple(levels * (255 // (2**bits - 1))),
             ["grey turned into RGB"])
        palette = np.array([[i * 255 // (2**bits - 1), 255 - i, i * 7 % 256] for i in range(2**bits)])
        plte = chunk(b"PLTE", palette.astype(np.uint8).tobytes())
        save(f"palette{bits}.png", png(levels, bits, 3, plte), palette[levels], ["palette expanded to RGB"])
        if bits == 4:
            save("palette4_interlaced.png", png(levels, bits, 3, plte, interlaced=True), palette[levels],
                 ["palette expanded to RGB"])
            trns = chunk(b"tRNS", bytes([0, 64, 128, 255]))  # fewer than colours: the rest is opaque
            alpha = np.array([0, 64, 128] + [255] * 13)[levels]
            save("palette4_trns.png", png(levels, bits, 3, plte + trns), over_white(palette[levels], alpha),
                 ["palette expanded to RGB", "transparent parts laid over white"])
    save("rgb8_trns.png", png(RGB, 8, 2, chunk(b"tRNS", struct.pack(">3H", *RGB[4, 5]))),
         over_white(RGB, np.where((RGB == RGB[4, 5]).all(-1), 0, 255)), ["transparent parts laid over white"])
    rgba = np.dstack([RGB, ALPHA])
    save("rgba8.png", png(rgba, 8, 6), over_white(RGB, ALPHA), ["transparent parts laid over white"])
    save("rgba8_kept.png", png(rgba, 8, 6), rgba, keep_alpha=True)
    save("rgba8_opaque.png", png(np.dstack([RGB, ALPHA * 0 + 255]), 8, 6), RGB)
    save("grey_alpha8.png", png(np.dstack([GREY, ALPHA]), 8, 4), over_white(triple(GREY), ALPHA),
         ["grey turned into RGB", "transparent parts laid over white"])
    deep = "16 bit rounded to 8"
    save("rgb16.png", png(DEEP, 16, 2), to8(DEEP), [deep])
    save("rgb16_interlaced.png", png(DEEP, 16, 2, interlaced=True), to8(DEEP), [deep])
    save("grey16.png", png(DEEP[..., 0], 16, 0), triple(to8(DEEP[..., 0])), [deep, "grey turned into RGB"])
    save("rgba16.png", png(np.dstack([DEEP, DEEP_ALPHA]), 16, 6), over_white(to8(DEEP), to8(DEEP_ALPHA)),
         [deep, "transparent parts laid over white"])


def srgb_encode(linear):
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9)**(1 / 2.4) - 0.055)


def png_colour():
    gama = lambda g: chunk(b"gAMA", struct.pack(">I", round(g * 100000)))
    srgb_xy = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    save("gamma_usual.png", png(RGB, 8, 2, gama(1 / 2.2)), RGB)
    save("gamma_usual_chrm.png", png(RGB, 8, 2, gama(1 / 2.2) + chrm(*srgb_xy)), RGB)
    save("gamma_but_srgb.png", png(RGB, 8, 2, chunk(b"sRGB", b"\0") + gama(1.0)), RGB)
    save("gamma_linear.png", png(RGB, 8, 2, gama(1.0)), np.rint(srgb_encode(RGB / 255.0) * 255),
         ["gamma 1 converted to sRGB"], max_diff=1)
    for name, data in (("Red and blue swapped", SWAPPED), ("Wide", WIDE)):
        stem = name.split()[0].lower()
        expected = managed(Image.fromarray(RGB), data)
        save(f"icc_{stem}.png", png(RGB, 8, 2, iccp(data)), expected, [note(name)], max_diff=1)
    # Pillow has no 16-bit RGB: the same picture in multiples of 257 means the same colours.
    save("icc_wide16.png", png(RGB.astype(np.uint16) * 257, 16, 2, iccp(WIDE)),
         managed(Image.fromarray(RGB), WIDE), ["16 bit rounded to 8", note("Wide")], max_diff=1)
    save("icc_alpha.png", png(np.dstack([RGB, ALPHA]), 8, 6, iccp(SWAPPED)),
         np.dstack([managed(Image.fromarray(RGB), SWAPPED), ALPHA]), [note("Red and blue swapped")],
         keep_alpha=True, max_diff=1)
    save("icc_grey.png", png(GREY, 8, 0, iccp(GREY_LINEAR)), managed(Image.fromarray(GREY), GREY_LINEAR),
         ["grey turned into RGB", note("Linear grey")], max_diff=1)
    save("icc_srgb.png", png(RGB, 8, 2, iccp(SRGB.tobytes())), RGB)
    save("icc_broken.png", png(RGB, 8, 2, iccp(SWAPPED[:200])), RGB,
         ["its colour profile is broken and was left out; taken as sRGB"])


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, subsampling=0, **options)
    return out.getvalue()


def pillow(data):
    return Image.open(io.BytesIO(data))


def with_segments(data, marker, payloads):
    """JPEG segments right after SOI."""
    extra = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(p) + 2) + p for p in payloads)
    return data[:2] + extra + data[2:]


def jpeg_kinds():
    base = Image.fromarray(RGB)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = jpeg(base, exif=exif)
        turned = np.asarray(ImageOps.exif_transpose(pillow(data)))
        notes = [] if orientation == 1 else [f"turned by EXIF orientation {orientation}"]
        save(f"exif{orientation}.jpg", data, turned, notes, max_diff=1)
    data = jpeg(base, progressive=True)
    save("progressive.jpg", data, np.asarray(pillow(data)), max_diff=1)
    data = io.BytesIO()
    base.save(data, "JPEG", quality=80, subsampling=2)
    save("chroma420.jpg", data.getvalue(), np.asarray(pillow(data.getvalue())), max_diff=1)
    data = jpeg(Image.fromarray(GREY))
    save("grey.jpg", data, triple(np.asarray(pillow(data))), ["grey turned into RGB"], max_diff=1)

    data = jpeg(base)
    half = len(SWAPPED) // 2
    parts = [b"ICC_PROFILE\0" + bytes([i + 1, 2]) + p for i, p in enumerate((SWAPPED[:half], SWAPPED[half:]))]
    save("icc_two_segments.jpg", with_segments(data, 0xE2, parts), managed(pillow(data), SWAPPED),
         [note("Red and blue swapped")], max_diff=2)  # 1 of the JPEG, 1 of the profile

    cmyk = np.dstack([RGB, (X * 9).astype(np.uint8)])
    data = jpeg(Image.fromarray(cmyk, "CMYK"))
    turned = ["CMYK turned into RGB"]
    save("cmyk_adobe.jpg", data, np.asarray(pillow(data).convert("RGB")), turned, max_diff=1)
    at = data.index(b"\xff\xee")
    assert data[at + 4:at + 9] == b"Adobe" and data[at + 15] == 0
    ycck = data[:at + 15] + b"\2" + data[at + 16:]
    save("ycck_adobe.jpg", ycck, np.asarray(pillow(ycck).convert("RGB")), turned, max_diff=1)
    plain = data[:at] + data[at + 2 + 14:]
    inks = 255 - np.asarray(pillow(plain))  # Pillow takes every CMYK JPEG for Adobe's
    save("cmyk_plain.jpg", plain, np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")), turned, max_diff=1)
    save("cmyk_rgb_profile.jpg", with_segments(data, 0xE2, [b"ICC_PROFILE\0\1\1" + SWAPPED]),
         np.asarray(pillow(data).convert("RGB")),
         turned + ["its colour profile cannot be used; taken as sRGB"], max_diff=1)


def other_exif_places():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.rot90(RGB, -1)  # 6: the top is at the right
    notes = ["turned by EXIF orientation 6"]
    save("exif6.png", png(RGB, 8, 2, chunk(b"eXIf", exif.tobytes()[6:])), turned, notes)
    save("exif6.webp", webp(Image.fromarray(RGB), lossless=True, exif=exif.tobytes()), turned, notes)


def webp(image, **options):
    out = io.BytesIO()
    image.save(out, "WEBP", **options)
    return out.getvalue()


def webp_kinds():
    base = Image.fromarray(RGB)
    rgba = np.dstack([RGB, ALPHA])
    save("lossless.webp", webp(base, lossless=True), RGB)
    data = webp(base, quality=80)
    save("lossy.webp", data, np.asarray(pillow(data).convert("RGB")), max_diff=1)
    over = ["transparent parts laid over white"]
    save("lossless_alpha.webp", webp(Image.fromarray(rgba), lossless=True, exact=True),
         over_white(RGB, ALPHA), over)
    save("lossless_alpha_kept.webp", webp(Image.fromarray(rgba), lossless=True, exact=True), rgba, keep_alpha=True)
    data = webp(Image.fromarray(rgba), quality=80)
    lossy = np.asarray(pillow(data))
    save("lossy_alpha.webp", data, over_white(lossy[..., :3], lossy[..., 3]), over, max_diff=1)
    save("icc.webp", webp(base, lossless=True, icc_profile=SWAPPED), managed(base, SWAPPED),
         [note("Red and blue swapped")], max_diff=1)
    data = webp(base, lossless=True, save_all=True, append_images=[base.rotate(180)], duration=100)
    save("animated.webp", data, RGB, ["the first of 2 frames taken"])


def hostile():
    """Not in expected.json: picture_test.cc says what must become of each."""
    bad = OUT / "hostile"
    bad.mkdir(exist_ok=True)
    ihdr = lambda w, h, bits, kind: chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, 0))
    signature, end = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")
    some = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    (bad / "png_2147483647.png").write_bytes(signature + ihdr(2**31 - 1, 2**31 - 1, 8, 2) + some + end)
    (bad / "png_no_data.png").write_bytes(signature + ihdr(16000, 16000, 8, 2) + some + end)
    # 25 million pixels in 3 KB, nothing wrong with them.
    rows = zlib.compress(b"\0" * (5000 * 626), 9)
    (bad / "png_bomb.png").write_bytes(signature + ihdr(5000, 5000, 1, 0) + chunk(b"IDAT", rows) + end)
    text = chunk(b"iTXt", b"kontext\0\1\0\0\0" + zlib.compress(b" " * (32 << 20), 9))
    (bad / "png_text_bomb.png").write_bytes(png(RGB, 8, 2, text))
    data = jpeg(Image.fromarray(RGB))
    at = data.index(b"\xff\xc0")
    sides = data[:at + 5] + struct.pack(">HH", 65500, 65500) + data[at + 9:]
    (bad / "jpeg_65500.jpg").write_bytes(sides)
    sides = data[:at + 5] + struct.pack(">HH", 65535, 65535) + data[at + 9:]
    scan = sides.index(b"\xff\xda")
    header_end = scan + 2 + struct.unpack(">H", sides[scan + 2:scan + 4])[0]
    (bad / "jpeg_65535.jpg").write_bytes(sides[:header_end])  # no data at all
    # Progressive, with its first scan over and over: odd, but each one can be decoded.
    data = jpeg(Image.fromarray(RGB), progressive=True)
    first = data.index(b"\xff\xda")
    rest = min(data.index(marker, first + 2) for marker in (b"\xff\xda", b"\xff\xc4") if marker in data[first + 2:])
    (bad / "jpeg_scans.jpg").write_bytes(data[:first] + data[first:rest] * 250 + data[rest:])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    png_kinds()
    png_colour()
    jpeg_kinds()
    webp_kinds()
    other_exif_places()
    hostile()
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(EXPECTED.items()))
    (OUT / "expected.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
