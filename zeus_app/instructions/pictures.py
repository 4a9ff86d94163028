"""Slices as 8-bit pictures for vision-language models."""

import numpy as np
from PIL import Image

from zeus_app.types import FloatArray


def as_image(picture: FloatArray) -> Image.Image:
    """(H, W) float in [0, 1] -> an 8-bit grey picture."""
    return Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
