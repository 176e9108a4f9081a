"""A pen that draws in fractions of the picture, and the light that tints every colour."""
from __future__ import annotations

from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]

_TINT = {"day": ((255, 255, 255), 0.0), "sunset": ((255, 150, 80), 0.18), "night": ((20, 25, 80), 0.45)}


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b))


def dark(color: Rgb, share: float = 0.25) -> Rgb:
    return mix(color, (0, 0, 0), share)


def light(color: Rgb, share: float = 0.35) -> Rgb:
    return mix(color, (255, 255, 255), share)


class Light:
    """The time of day: calling it with a colour gives that colour as it looks then."""

    def __init__(self, time: str):
        self._tint, self._share = _TINT[time]

    def __call__(self, color: Rgb) -> Rgb:
        return mix(color, self._tint, self._share)


class Pen:
    """Draws on a square canvas. Coordinates are `unit`s right of and below `origin`, both in fractions of the canvas."""

    def __init__(self, pixels: int):
        self.image = Image.new("RGB", (pixels, pixels))
        self._draw = ImageDraw.Draw(self.image)
        self._pixels, self._origin, self._unit = pixels, (0.0, 0.0), 1.0

    def at(self, x: float, y: float, unit: float) -> "Pen":
        """The same canvas seen from another origin and in another unit."""
        other = object.__new__(Pen)
        other.image, other._draw, other._pixels = self.image, self._draw, self._pixels
        other._origin, other._unit = (x, y), unit
        return other

    def _point(self, x, y):
        return (self._origin[0] + x * self._unit) * self._pixels, (self._origin[1] + y * self._unit) * self._pixels

    def _bounds(self, cx, cy, rx, ry):
        x, y = self._origin[0] + cx * self._unit, self._origin[1] + cy * self._unit
        rx, ry, n = rx * self._unit, ry * self._unit, self._pixels
        return (x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n

    def _width(self, width):
        return max(1, round(width * self._unit * self._pixels))

    def box(self, x0, y0, x1, y1, fill):
        self._draw.rectangle((*self._point(x0, y0), *self._point(x1, y1)), fill=fill)

    def round_box(self, x0, y0, x1, y1, radius, fill):
        self._draw.rounded_rectangle((*self._point(x0, y0), *self._point(x1, y1)),
                                     radius=radius * self._unit * self._pixels, fill=fill)

    def oval(self, cx, cy, rx, ry, fill):
        self._draw.ellipse(self._bounds(cx, cy, rx, ry), fill=fill)

    def poly(self, points, fill):
        self._draw.polygon([self._point(*p) for p in points], fill=fill)

    def line(self, points, fill, width):
        self._draw.line([self._point(*p) for p in points], fill=fill, width=self._width(width), joint="curve")

    def arc(self, cx, cy, rx, ry, start, end, fill, width):
        """Part of an ellipse's outline; angles in degrees, clockwise from the right."""
        self._draw.arc(self._bounds(cx, cy, rx, ry), start, end, fill=fill, width=self._width(width))

    def chord(self, x0, y0, x1, y1, start, end, fill):
        self._draw.chord((*self._point(x0, y0), *self._point(x1, y1)), start, end, fill=fill)

    def slice(self, x0, y0, x1, y1, start, end, fill):
        self._draw.pieslice((*self._point(x0, y0), *self._point(x1, y1)), start, end, fill=fill)

    def gradient(self, top, bottom, y0=0.0, y1=1.0):
        """Full-width rows from y0 to y1, in fractions of the canvas whatever the origin."""
        n = self._pixels
        first, last = round(y0 * n), round(y1 * n)
        for row in range(first, last):
            self._draw.line((0, row, n, row), fill=mix(top, bottom, (row - first) / max(1, last - first)))
