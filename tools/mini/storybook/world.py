"""The attributes of a storybook scene, as data.

Everything else reads these tables: the renderer draws every value, the language names every value, and
the evaluation takes every value as a possible (wrong) answer.
"""
from __future__ import annotations

import dataclasses
import random

NONE = "none"

SETTINGS = ("forest", "city", "beach", "desert", "snow", "meadow", "space", "room")
TIMES = ("day", "sunset", "night")
SPECIES = ("cat", "bear", "rabbit", "robot", "ghost", "frog")
EXPRESSIONS = ("happy", "sad", "surprised", "angry", "sleepy")
HATS = (NONE, "party hat", "top hat", "crown", "beanie")
WEARS = (NONE, "glasses", "scarf", "bow tie")
THINGS = (NONE, "ball", "balloon", "flower", "star", "gift")
SIDES = ("left", "right")
STYLES = ("normal", "black and white", "pixel art")
COLORS = {  # sRGB, 0..255
    "red": (220, 50, 47), "orange": (240, 140, 40), "yellow": (245, 210, 60), "green": (80, 170, 80),
    "blue": (60, 120, 220), "purple": (140, 80, 190), "pink": (240, 140, 180), "brown": (140, 95, 60),
    "white": (240, 240, 240), "gray": (140, 145, 150),
}
COLOR_NAMES = tuple(COLORS)

# Attribute of a Scene -> every value it can take.
VALUES = {
    "setting": SETTINGS, "time": TIMES, "species": SPECIES, "color": COLOR_NAMES, "expression": EXPRESSIONS,
    "hat": HATS, "hat_color": COLOR_NAMES, "wear": WEARS, "wear_color": COLOR_NAMES,
    "thing": THINGS, "thing_color": COLOR_NAMES, "thing_side": SIDES, "style": STYLES,
}
# An attribute that cannot be seen while the one it belongs to is "none".
BELONGS_TO = {"hat_color": "hat", "wear_color": "wear", "thing_color": "thing", "thing_side": "thing"}


@dataclasses.dataclass(frozen=True)
class Scene:
    """One picture. The first thirteen fields are attributes (VALUES); the rest is the composition, which no edit touches."""

    setting: str = "meadow"
    time: str = "day"
    species: str = "cat"
    color: str = "orange"
    expression: str = "happy"
    hat: str = NONE
    hat_color: str = "red"
    wear: str = NONE
    wear_color: str = "blue"
    thing: str = NONE
    thing_color: str = "red"
    thing_side: str = "left"
    style: str = "normal"
    x: float = 0.5      # centre of the character, as a fraction of the picture's width
    size: float = 0.5   # height of the character, as a fraction of the picture's height
    layout: int = 0     # seed of the backdrop's own placement (trees, houses, ...)


def replace(scene: Scene, **changes) -> Scene:
    return dataclasses.replace(scene, **changes)


def visible(scene: Scene, attribute: str) -> bool:
    """Whether the attribute shows in the picture at all (the colour of a hat that is not there does not)."""
    owner = BELONGS_TO.get(attribute)
    return owner is None or getattr(scene, owner) != NONE


def random_scene(rng: random.Random, style: str | None = None) -> Scene:
    """A scene from the distribution the model was trained on; `style` fixes that attribute."""
    def sometimes(values, chance):  # "none" keeps the rest of the probability
        return rng.choice(values) if rng.random() < chance else NONE

    return Scene(
        setting=rng.choice(SETTINGS), time=rng.choices(TIMES, (0.5, 0.25, 0.25))[0],
        species=rng.choice(SPECIES), color=rng.choice(COLOR_NAMES), expression=rng.choice(EXPRESSIONS),
        hat=sometimes(HATS, 0.6), hat_color=rng.choice(COLOR_NAMES),
        wear=sometimes(WEARS, 0.6), wear_color=rng.choice(COLOR_NAMES),
        thing=sometimes(THINGS, 0.7), thing_color=rng.choice(COLOR_NAMES), thing_side=rng.choice(SIDES),
        style=style or rng.choices(STYLES, (0.86, 0.07, 0.07))[0],
        x=rng.uniform(0.38, 0.62), size=rng.uniform(0.46, 0.6), layout=rng.randrange(1 << 20))
