"""Draws a scene: backdrop, thing, character, style. As a program, the scene of the attributes named:

    python -m storybook.draw OUT.png species=frog setting=beach hat=crown size=0.6 layout=16
"""
from __future__ import annotations

import dataclasses
import sys

import numpy as np
from PIL import Image

from .backdrop import draw_backdrop
from .character import draw_character, draw_thing
from .pen import Light, Pen
from .world import VALUES, Scene

SIZE_PX = 128


def render(scene: Scene, size: int = SIZE_PX, supersample: int = 3) -> Image.Image:
    """The scene as an RGB picture of size x size pixels, drawn `supersample` times larger and averaged."""
    pen, lit = Pen(size * supersample), Light(scene.time)
    draw_backdrop(pen, scene, lit)
    draw_thing(pen, scene, lit)
    draw_character(pen, scene, lit)
    image = pen.image.resize((size, size), Image.BOX)
    if scene.style == "black and white":
        return image.convert("L").convert("RGB")
    if scene.style == "pixel art":
        return image.resize((size // 4, size // 4), Image.BOX).resize((size, size), Image.NEAREST)
    return image


def pixels(scene: Scene) -> np.ndarray:
    """render() as an array [128, 128, 3] of f32 in 0..255."""
    return np.asarray(render(scene), dtype=np.float32)


def scene_of(words: list[str]) -> Scene:
    """Words "attribute=value" -> Scene; what is not named keeps Scene's default."""
    kinds = {f.name: type(f.default) for f in dataclasses.fields(Scene)}
    named = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in kinds:
            raise ValueError(f"{word}: no such attribute; there are {', '.join(kinds)}")
        if value not in VALUES.get(name, (value,)):
            raise ValueError(f"{word}: {name} is one of {', '.join(VALUES[name])}")
        named[name] = kinds[name](value)
    return Scene(**named)


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    try:
        render(scene_of(sys.argv[2:])).save(sys.argv[1])
    except ValueError as error:
        raise SystemExit(f"draw: {error}") from error


if __name__ == "__main__":
    main()
