"""The sample images: repeatable, and darker inside their masks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "sample_data" / "make_ultrasound.py"


def make(out: Path) -> list[tuple[str, bytes]]:
    options = [str(out), "--images", "2", "--seed", "3"]
    subprocess.run([sys.executable, str(SCRIPT), *options], check=True)
    paths = sorted(out.rglob("*.png"))
    return [(path.relative_to(out).as_posix(), path.read_bytes()) for path in paths]


def test_the_same_arguments_make_the_same_images(tmp_path: Path) -> None:
    first = make(tmp_path / "1")
    assert [name for name, _ in first] == [
        "images/us000.png", "images/us001.png", "masks/us000_mask.png", "masks/us001_mask.png",
    ]  # fmt: skip
    assert make(tmp_path / "2") == first


def test_an_image_is_darker_inside_its_mask(tmp_path: Path) -> None:
    make(tmp_path)
    image = np.asarray(Image.open(tmp_path / "images" / "us000.png"))
    mask = np.asarray(Image.open(tmp_path / "masks" / "us000_mask.png")) > 0
    assert image.shape == mask.shape
    assert image[mask].mean() < image[~mask].mean()
