"""The chart of docs/modes.md, drawn with Pillow: quality over cost, fewer steps as a line and the plans as dots."""
from __future__ import annotations

import dataclasses
import math

from PIL import Image, ImageDraw, ImageFont

PANEL_W, PANEL_H, LEFT, TOP, GAP, BOTTOM = 560, 420, 70, 50, 90, 110
COLOURS = {"fewer steps": "#555555", "offered": "#d1495b", "forecast": "#00798c", "reuse": "#edae49"}


@dataclasses.dataclass(frozen=True)
class Point:
    name: str
    group: str
    cost: float
    full_db: float
    accuracy: float


class Panel:
    """One pair of axes; the costs on a logarithmic one."""

    def __init__(self, draw, left: int, title: str, low: float, high: float, tick: float):
        self._draw, self._left, self._low, self._high = draw, left, low, high
        self._font = ImageFont.load_default(14)
        draw.rectangle([left, TOP, left + PANEL_W, TOP + PANEL_H], outline="black")
        draw.text((left, TOP - 28), title, fill="black", font=ImageFont.load_default(17))
        for cost in (4, 5, 7, 10, 14, 20, 28):
            x, _ = self.at(cost, low)
            draw.line([x, TOP + PANEL_H, x, TOP + PANEL_H + 5], fill="black")
            draw.text((x - 8, TOP + PANEL_H + 8), str(cost), fill="black", font=self._font)
        draw.text((left + PANEL_W / 2 - 90, TOP + PANEL_H + 30), "cost of the edit in full passes", fill="black", font=self._font)
        for i in range(math.ceil(low / tick), math.floor(high / tick) + 1):
            _, y = self.at(28, i * tick)
            draw.line([left, y, left + PANEL_W, y], fill="#dddddd")
            draw.text((left - 42, y - 9), f"{i * tick:g}", fill="black", font=self._font)

    def at(self, cost: float, value: float) -> tuple[float, float]:
        across = (math.log(cost) - math.log(3.6)) / (math.log(31) - math.log(3.6))
        return self._left + across * PANEL_W, TOP + PANEL_H * (1 - (value - self._low) / (self._high - self._low))

    def plot(self, points: list[Point], value, error: float = 0) -> None:
        line = [self.at(p.cost, value(p)) for p in points if p.group == "fewer steps"]
        self._draw.line(line, fill=COLOURS["fewer steps"], width=2)
        for p in points:
            x, y = self.at(p.cost, value(p))
            if error:
                self._draw.line([x, self.at(p.cost, value(p) - error)[1], x, self.at(p.cost, value(p) + error)[1]], fill="#bbbbbb")
            r = 7 if p.group == "offered" else 4
            self._draw.ellipse([x - r, y - r, x + r, y + r], fill=COLOURS[p.group], outline="white")
            if p.group == "offered":
                self._draw.text((x - 25, y - 28), p.name, fill=COLOURS[p.group], font=self._font)


def chart(points: list[Point], accuracy_error: float, cases: int) -> Image.Image:
    image = Image.new("RGB", (LEFT + 2 * PANEL_W + GAP + 30, TOP + PANEL_H + BOTTOM), "white")
    draw = ImageDraw.Draw(image)
    approximate = [p for p in points if math.isfinite(p.full_db) and p.full_db < 100]   # the 28-step edit equals itself
    values = [p.full_db for p in approximate]
    fidelity = Panel(draw, LEFT, "PSNR against the 28-step edit, dB", min(values) - 2, max(values) + 2, 5)
    fidelity.plot(approximate, lambda p: p.full_db)
    rates = [p.accuracy for p in points]
    accuracy = Panel(draw, LEFT + PANEL_W + GAP, f"edits right of {cases}, with one standard error",
                     max(0.0, min(rates) - 2 * accuracy_error), min(1.0, max(rates) + 2 * accuracy_error), 0.1)
    accuracy.plot(points, lambda p: p.accuracy, accuracy_error)
    x = LEFT
    for group in dict.fromkeys(p.group for p in points):
        draw.ellipse([x, TOP + PANEL_H + 70, x + 12, TOP + PANEL_H + 82], fill=COLOURS[group])
        draw.text((x + 18, TOP + PANEL_H + 67), group, fill="black", font=ImageFont.load_default(15))
        x += 160
    return image
