"""The eight settings. Each takes its placement from the scene's own layout seed.

The order in which a function draws from `rng` is part of the picture: the weights were trained on it.
"""
from __future__ import annotations

import math
import random

from .pen import Light, Pen, mix
from .world import Scene

HORIZON = 0.62

_SKY = {  # time -> colour at the top, colour at the horizon
    "day": ((120, 190, 240), (200, 230, 250)),
    "sunset": ((250, 130, 90), (255, 205, 130)),
    "night": ((18, 22, 60), (50, 55, 110)),
}
_SPACE_SKY = {
    "day": ((30, 30, 70), (70, 60, 120)),
    "sunset": ((80, 30, 70), (150, 70, 90)),
    "night": ((5, 5, 20), (25, 20, 50)),
}
_STAR = (250, 250, 230)


def _sky(pen: Pen, scene: Scene, rng: random.Random) -> None:
    in_space, night = scene.setting == "space", scene.time == "night"
    top, bottom = (_SPACE_SKY if in_space else _SKY)[scene.time]
    pen.gradient(top, bottom, 0, HORIZON + 0.02)
    x, y = 0.12 + 0.76 * rng.random(), 0.5 if scene.time == "sunset" else 0.16
    if not in_space and night:  # a moon: a disc with a bite of sky
        pen.oval(x, y, 0.07, 0.07, (245, 240, 210))
        pen.oval(x + 0.03, y - 0.02, 0.06, 0.06, mix(top, bottom, 0.25))
    elif not in_space:
        pen.oval(x, y, 0.08, 0.08, (255, 225, 90) if scene.time == "day" else (255, 90, 50))
    if in_space or night:
        for _ in range(24):
            x, y = rng.random(), rng.random() * 0.55
            pen.oval(x, y, 0.006, 0.006, _STAR)


def _room(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    wall = lit((235, 215, 180))
    pen.gradient(wall, wall)
    for k in range(8):
        pen.box(k / 8, 0, k / 8 + 0.03, 0.7, lit((225, 200, 160)))
    x = 0.12 + 0.5 * rng.random()
    frame = lit((250, 250, 250))
    pen.box(x, 0.1, x + 0.26, 0.42, frame)
    pen.box(x + 0.02, 0.12, x + 0.24, 0.40, _SKY[scene.time][0])
    pen.box(x + 0.12, 0.12, x + 0.14, 0.40, frame)
    pen.box(0, 0.7, 1, 1, lit((160, 105, 65)))
    pen.oval(0.5, 0.88, 0.4, 0.07, lit((190, 70, 80)))


def _forest(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    pen.box(0, HORIZON, 1, 1, lit((70, 120, 60)))
    for k in range(7):
        x = k / 6 + rng.uniform(-0.05, 0.05)
        height = rng.uniform(0.35, 0.5)
        pen.box(x - 0.02, HORIZON - 0.1, x + 0.02, HORIZON + 0.04, lit((90, 60, 40)))
        for tier in range(3):
            half, y = 0.11 - 0.025 * tier, HORIZON - 0.06 - tier * height / 4
            pen.poly([(x - half, y), (x + half, y), (x, y - height / 2.4)], lit((30, 100, 60)))


def _city(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    pen.box(0, HORIZON, 1, 1, lit((110, 110, 115)))
    window = (255, 230, 120) if scene.time == "night" else lit((215, 235, 245))
    x = -0.02
    while x < 1:
        width, height = rng.uniform(0.12, 0.2), rng.uniform(0.25, 0.5)
        roof = HORIZON - height
        house = rng.choice([(150, 120, 120), (110, 130, 160), (170, 150, 120)])
        pen.box(x, roof, x + width - 0.01, HORIZON, lit(house))
        for row in range(int(height / 0.08)):
            for column in range(int((width - 0.03) / 0.05)):
                pen.box(x + 0.02 + column * 0.05, roof + 0.03 + row * 0.08,
                        x + 0.045 + column * 0.05, roof + 0.07 + row * 0.08, window)
        x += width
    for k in range(5):
        pen.box(0.02 + k * 0.22, 0.82, 0.12 + k * 0.22, 0.84, lit((235, 235, 235)))


def _beach(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    pen.box(0, HORIZON - 0.08, 1, HORIZON + 0.06, lit((50, 140, 190)))
    pen.box(0, HORIZON + 0.04, 1, HORIZON + 0.06, lit((220, 240, 250)))
    pen.box(0, HORIZON + 0.06, 1, 1, lit((240, 215, 150)))
    x = rng.choice([0.12, 0.88])
    pen.line([(x, HORIZON + 0.12), (x + 0.03, 0.3)], lit((140, 95, 60)), 0.03)
    for degrees in range(0, 360, 60):
        angle = math.radians(degrees)
        pen.oval(x + 0.03 + 0.07 * math.cos(angle), 0.3 + 0.05 * math.sin(angle), 0.06, 0.025, lit((60, 150, 70)))


def _desert(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    pen.box(0, HORIZON, 1, 1, lit((225, 175, 100)))
    pen.oval(rng.uniform(0, 1), HORIZON + 0.05, 0.45, 0.12, lit((215, 160, 90)))
    x = rng.choice([0.12, 0.88])
    cactus = lit((70, 140, 80))
    pen.round_box(x - 0.03, 0.4, x + 0.03, 0.72, 0.03, cactus)
    pen.round_box(x - 0.1, 0.48, x - 0.06, 0.58, 0.02, cactus)
    pen.box(x - 0.08, 0.56, x, 0.59, cactus)
    pen.round_box(x + 0.06, 0.44, x + 0.1, 0.55, 0.02, cactus)
    pen.box(x, 0.53, x + 0.08, 0.56, cactus)


def _snow(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    pen.box(0, HORIZON, 1, 1, lit((240, 245, 250)))
    for k in range(3):
        x = 0.15 + k * 0.35 + rng.uniform(-0.05, 0.05)
        height = rng.uniform(0.25, 0.4)
        peak, snow_line = (x, HORIZON - height), HORIZON - height * 0.68
        pen.poly([(x - 0.28, HORIZON), (x + 0.28, HORIZON), peak], lit((140, 155, 180)))
        pen.poly([(x - 0.09, snow_line), (x + 0.09, snow_line), peak], lit((245, 248, 252)))


def _meadow(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    pen.oval(rng.uniform(0.1, 0.4), HORIZON + 0.08, 0.5, 0.2, lit((120, 190, 90)))
    pen.oval(rng.uniform(0.6, 0.9), HORIZON + 0.1, 0.5, 0.2, lit((105, 175, 80)))
    pen.box(0, HORIZON + 0.05, 1, 1, lit((110, 185, 85)))
    for _ in range(9):
        x, y = rng.random(), rng.uniform(0.72, 0.97)
        pen.oval(x, y, 0.018, 0.018, lit(rng.choice([(250, 240, 120), (250, 250, 250), (240, 150, 190)])))


def _space(pen: Pen, scene: Scene, rng: random.Random, lit: Light) -> None:
    bottom = _SPACE_SKY[scene.time][1]
    pen.gradient(bottom, bottom, HORIZON, 1)
    pen.oval(rng.choice([0.2, 0.8]), 0.25, 0.12, 0.12, lit((210, 140, 90)))
    pen.oval(0.5, 1.05, 0.9, 0.38, lit((150, 150, 160)))
    for _ in range(5):
        x = rng.random()
        pen.oval(x, rng.uniform(0.8, 0.95), 0.05, 0.02, lit((125, 125, 135)))


_DRAW = {"forest": _forest, "city": _city, "beach": _beach, "desert": _desert, "snow": _snow,
         "meadow": _meadow, "space": _space, "room": _room}


def draw_backdrop(pen: Pen, scene: Scene, lit: Light) -> None:
    rng = random.Random(scene.layout)
    if scene.setting != "room":
        _sky(pen, scene, rng)
    _DRAW[scene.setting](pen, scene, rng, lit)
