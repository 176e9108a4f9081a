"""Draws a scene: backdrop, thing, character, style."""
from __future__ import annotations

import numpy as np
from PIL import Image

from .backdrop import draw_backdrop
from .character import draw_character, draw_thing
from .pen import Light, Pen
from .world import Scene

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
