"""Small images and masks, written as files."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 32


def write(path: Path, array: Any, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array)).save(path, **how)
    return path


def square_mask(value: int = 255, dtype: type = np.uint8) -> Any:
    """8×8 pixels of a value, from row 4 and column 6."""
    mask: Any = np.zeros((HEIGHT, WIDTH), dtype)
    mask[4:12, 6:14] = value
    return mask


def grey_image(seed: int = 0) -> Any:
    """Noise that is brighter in the square."""
    noise = np.random.default_rng(seed).integers(0, 100, (HEIGHT, WIDTH))
    return (noise + square_mask(150)).astype(np.uint8)


def write_pairs(folder: Path, count: int = 6) -> Path:
    """Folder with images/case0.png and masks/case0_mask.png and so on."""
    for number in range(count):
        write(folder / "images" / f"case{number}.png", grey_image(number))
        write(folder / "masks" / f"case{number}_mask.png", square_mask())
    return folder
