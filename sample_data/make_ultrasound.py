"""Make images that look a little like ultrasound, with masks, to try `zeus llm4seg`.

    python sample_data/make_ultrasound.py OUT [--images 40] [--seed 0]

Writes OUT/images/us000.png and OUT/masks/us000_mask.png and so on: speckle, a dark ellipse, which
is the foreground, and a bright one, which is not. The same arguments make the same pixels.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


def draw_ellipse(
    shape: tuple[int, int], rng: np.random.Generator, *, smallest: float, largest: float
) -> Mask:
    """An ellipse somewhere in the image; its half axes are shares of the image's edges."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    y, x = y - rng.uniform(0.3, 0.7) * height, x - rng.uniform(0.3, 0.7) * width
    turn = rng.uniform(0, np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    half_axes = rng.uniform(smallest, largest, 2) * shape[::-1]
    inside: Mask = (along / half_axes[0]) ** 2 + (across / half_axes[1]) ** 2 <= 1
    return inside


def draw_image(rng: np.random.Generator) -> tuple[Array, Mask]:
    """One image in [0, 1] and its mask, of a random size."""
    shape = int(rng.integers(200, 300)), int(rng.integers(250, 400))
    mask = draw_ellipse(shape, rng, smallest=0.08, largest=0.2)
    decoy = draw_ellipse(shape, rng, smallest=0.05, largest=0.1) & ~mask
    clouds = ndimage.gaussian_filter(rng.normal(size=shape), 25)
    tissue = 0.5 + 0.12 * clouds / clouds.std() - 0.12 * np.linspace(0, 1, shape[0])[:, None]
    tissue = ndimage.gaussian_filter(tissue - 0.22 * mask + 0.2 * decoy, 2)
    speckle = ndimage.gaussian_filter(rng.rayleigh(size=shape), (1, 1.6))
    image: Array = np.clip(tissue * (speckle / speckle.mean()) ** 1.8, 0, 1)
    return image, mask


def main() -> None:
    """Read the arguments, and write the images and masks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--images", type=int, default=40, help="number of images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the images")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    for folder in ("images", "masks"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    for number in range(options.images):
        image, mask = draw_image(rng)
        name = f"us{number:03d}"
        Image.fromarray((image * 255).astype(np.uint8)).save(options.out / f"images/{name}.png")
        Image.fromarray((mask * 255).astype(np.uint8)).save(options.out / f"masks/{name}_mask.png")


if __name__ == "__main__":
    main()
