"""The style that models/mini-lora was taught: a cyanotype, white on Prussian blue."""
from __future__ import annotations

import numpy as np
from PIL import Image

DARK, LIGHT = np.array([16, 42, 92]), np.array([232, 242, 252])     # sRGB, 0..255


def cyanotype(image: Image.Image) -> Image.Image:
    """Light stays light, dark becomes blue: the picture's luma on the line from DARK to LIGHT."""
    luma = np.asarray(image.convert("L"), dtype=np.float32)[..., None] / 255
    return Image.fromarray((DARK + luma * (LIGHT - DARK)).round().astype(np.uint8))
