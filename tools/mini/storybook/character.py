"""The character with what it wears, and the thing beside it.

Three pens share the canvas, all in units of the character's height: `ground` starts at its feet, `body` at
the middle of its body, `head` at the middle of its head.
"""
from __future__ import annotations

import math

from .pen import Light, Pen, Rgb, dark, light
from .world import COLORS, NONE, Scene

FOOT_Y = 0.9
INK = (35, 30, 40)
_MOUTH_RED = (150, 40, 50)
_EYES = {"frog": (0.16, -0.24)}     # half the distance between the eyes, height; the others:
_EYES_ELSE = (0.13, -0.05)
_HAT_Y = {"frog": -0.34}            # where a hat sits; the others:
_HAT_Y_ELSE = -0.25
_BOTH = (-1, 1)                     # left, right


def _behind_head(species: str, head: Pen, body: Pen, coat: Rgb, lit: Light) -> None:
    """Ears, tail, aerial."""
    for d in _BOTH:
        if species == "cat":
            head.poly([(d * 0.28, -0.02), (d * 0.26, -0.42), (d * 0.04, -0.24)], coat)
        elif species == "bear":
            head.oval(d * 0.22, -0.24, 0.1, 0.1, coat)
            head.oval(d * 0.22, -0.24, 0.05, 0.05, light(coat))
        elif species == "rabbit":
            head.oval(d * 0.12, -0.4, 0.07, 0.22, coat)
            head.oval(d * 0.12, -0.4, 0.035, 0.16, light(coat))
        elif species == "frog":
            head.oval(d * 0.16, -0.26, 0.1, 0.1, coat)
    if species == "cat":
        body.line([(0.2, 0.1), (0.36, 0), (0.36, -0.16)], coat, 0.06)
    elif species == "robot":
        head.line([(0, -0.2), (0, -0.4)], dark(coat), 0.03)
        head.oval(0, -0.42, 0.045, 0.045, lit((230, 60, 60)))


def _body_and_head(species: str, head: Pen, body: Pen, ground: Pen, coat: Rgb) -> None:
    if species == "robot":
        ground.round_box(-0.25, -0.42, 0.25, 0, 0.04, dark(coat))
        body.round_box(-0.12, -0.08, 0.12, 0.1, 0.02, light(coat))
        head.round_box(-0.32, -0.26, 0.32, 0.24, 0.06, coat)
    elif species == "ghost":
        ground.round_box(-0.3, -0.92, 0.3, -0.06, 0.29, coat)
        for k in range(4):
            ground.oval(-0.225 + k * 0.15, -0.1, 0.078, 0.09, coat)
    else:
        body.oval(0, 0, 0.25, 0.26, coat)
        body.oval(0, 0.03, 0.14, 0.17, light(coat))
        for d in _BOTH:
            ground.oval(d * 0.15, -0.02, 0.1, 0.05, dark(coat))
        head.oval(0, 0, 0.34, 0.30, coat)


def _eyes(head: Pen, species: str, expression: str) -> None:
    half, y = _EYES.get(species, _EYES_ELSE)
    for d in _BOTH:
        x = d * half
        if expression == "sleepy":
            head.arc(x, y, 0.06, 0.04, 0, 180, INK, 0.025)
        else:
            r = 0.075 if expression == "surprised" else 0.058
            head.oval(x, y, r, r * 1.15, (250, 250, 250))
            head.oval(x, y + 0.01, r * 0.55, r * 0.65, INK)
        if expression == "angry":   # brows down towards the nose
            outer, inner = 0.12, 0.06
            left, right = (inner, outer) if d > 0 else (outer, inner)
            head.line([(x - 0.08, y - left), (x + 0.08, y - right)], INK, 0.03)
        elif expression == "sad":   # brows up towards the nose
            left, right = (0.12, 0.07) if d > 0 else (0.07, 0.12)
            head.line([(x - 0.07, y - left), (x + 0.07, y - right)], INK, 0.022)


def _mouth(head: Pen, expression: str) -> None:
    y = 0.13
    if expression == "happy":
        head.chord(-0.12, y - 0.1, 0.12, y + 0.08, 0, 180, _MOUTH_RED)
    elif expression in ("sad", "angry"):
        head.arc(0, y + 0.06, 0.1, 0.07, 180, 360, INK, 0.03)
    elif expression == "surprised":
        head.oval(0, y + 0.02, 0.05, 0.07, _MOUTH_RED)
    else:
        head.line([(-0.05, y + 0.02), (0.05, y + 0.02)], INK, 0.025)


def _wear(head: Pen, scene: Scene, color: Rgb) -> None:
    if scene.wear == "glasses":
        half, y = _EYES.get(scene.species, _EYES_ELSE)
        for d in _BOTH:
            head.arc(d * half, y, 0.105, 0.105, 0, 360, color, 0.035)
        head.line([(-half + 0.1, y), (half - 0.1, y)], color, 0.03)
    elif scene.wear == "scarf":
        head.round_box(-0.27, 0.22, 0.27, 0.33, 0.05, color)
        head.round_box(0.08, 0.26, 0.2, 0.52, 0.03, dark(color, 0.15))
    elif scene.wear == "bow tie":
        y = 0.31
        for d in _BOTH:
            head.poly([(0, y), (d * 0.16, y - 0.09), (d * 0.16, y + 0.09)], color)
        head.oval(0, y, 0.04, 0.04, dark(color))


def _hat(head: Pen, scene: Scene, color: Rgb, lit: Light) -> None:
    y = _HAT_Y.get(scene.species, _HAT_Y_ELSE)
    if scene.hat == "party hat":
        head.poly([(-0.17, y + 0.03), (0.17, y + 0.03), (0, y - 0.34)], color)
        head.oval(0, y - 0.34, 0.045, 0.045, lit((250, 250, 250)))
    elif scene.hat == "top hat":
        head.box(-0.17, y - 0.3, 0.17, y, color)
        head.box(-0.17, y - 0.07, 0.17, y - 0.01, dark(color, 0.5))
        head.round_box(-0.29, y - 0.02, 0.29, y + 0.04, 0.03, color)
    elif scene.hat == "crown":
        head.poly([(-0.22, y + 0.04), (-0.22, y - 0.2), (-0.11, y - 0.07), (0, y - 0.24), (0.11, y - 0.07),
                   (0.22, y - 0.2), (0.22, y + 0.04)], color)
    elif scene.hat == "beanie":
        head.slice(-0.3, y - 0.2, 0.3, y + 0.26, 180, 360, color)
        head.round_box(-0.32, y - 0.02, 0.32, y + 0.06, 0.03, light(color))
        head.oval(0, y - 0.2, 0.055, 0.055, light(color))


def draw_character(pen: Pen, scene: Scene, lit: Light) -> None:
    h = scene.size
    ground, body, head = (pen.at(scene.x, FOOT_Y - up * h, h) for up in (0, 0.22, 0.62))
    coat = lit(COLORS[scene.color])
    ground.oval(0, 0, 0.3, 0.04, lit((70, 75, 70)))   # its shadow
    _behind_head(scene.species, head, body, coat, lit)
    _body_and_head(scene.species, head, body, ground, coat)
    _eyes(head, scene.species, scene.expression)
    _mouth(head, scene.expression)
    _wear(head, scene, lit(COLORS[scene.wear_color]))
    _hat(head, scene, lit(COLORS[scene.hat_color]), lit)


def draw_thing(pen: Pen, scene: Scene, lit: Light) -> None:
    """The thing stands beside the character; its own size does not follow the character's."""
    if scene.thing == NONE:
        return
    color = lit(COLORS[scene.thing_color])
    x = scene.x + (-1 if scene.thing_side == "left" else 1) * (0.36 * scene.size + 0.09)
    y = 0.84
    if scene.thing == "ball":
        pen.oval(x, y, 0.075, 0.075, color)
        pen.arc(x, y, 0.075, 0.03, 0, 180, light(color), 0.016)
    elif scene.thing == "balloon":
        pen.line([(x, 0.86), (x, 0.5)], lit((90, 90, 90)), 0.008)
        pen.oval(x, 0.42, 0.08, 0.1, color)
        pen.oval(x - 0.025, 0.385, 0.02, 0.03, light(color, 0.6))
    elif scene.thing == "flower":
        pen.line([(x, 0.92), (x, 0.76)], lit((60, 140, 70)), 0.018)
        for degrees in range(0, 360, 72):
            angle = math.radians(degrees)
            pen.oval(x + 0.045 * math.cos(angle), 0.74 + 0.045 * math.sin(angle), 0.035, 0.035, color)
        pen.oval(x, 0.74, 0.03, 0.03, lit((250, 220, 80)))
    elif scene.thing == "star":
        points = []
        for k in range(10):
            radius, angle = (0.042 if k % 2 else 0.095), math.radians(-90 + 36 * k)
            points.append((x + radius * math.cos(angle), y - 0.02 + radius * math.sin(angle)))
        pen.poly(points, color)
    elif scene.thing == "gift":
        ribbon = light(color, 0.7)
        pen.box(x - 0.075, y - 0.06, x + 0.075, y + 0.07, color)
        pen.box(x - 0.015, y - 0.06, x + 0.015, y + 0.07, ribbon)
        pen.box(x - 0.085, y - 0.075, x + 0.085, y - 0.035, dark(color, 0.15))
        for d in _BOTH:
            pen.oval(x + d * 0.03, y - 0.09, 0.03, 0.018, ribbon)
