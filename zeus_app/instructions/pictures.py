"""Slices as the pictures that vision-language models are shown."""

import numpy as np
from PIL import Image

from zeus_app.types import FloatArray


def as_image(picture: FloatArray) -> Image.Image:
    """(H, W) in [0, 1] -> an 8-bit grey picture."""
    return Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
