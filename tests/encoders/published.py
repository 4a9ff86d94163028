"""Small files in the published formats of vision-language towers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from zeus_app.types import FloatArray

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# A WordPiece vocabulary as in a vocab.txt: its numbers are its lines, from 0.
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "liver", "##s", "is", "bright", "."]


def make_pictures(count: int = 3) -> FloatArray:
    """(count, 256, 256): sharp discs on ramps, at whose edges bicubic resizing overshoots."""
    rows, columns = np.mgrid[:256, :256]
    discs = [(rows - 100) ** 2 + (columns - 60 - 40 * i) ** 2 < 40**2 for i in range(count)]
    pictures: FloatArray = np.stack([np.where(disc, 1.0, columns / 600) for disc in discs])
    return pictures.astype(np.float32)


def prepare_with_pillow(
    picture: FloatArray, px: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """(256, 256) -> (3, px, px) float32: an 8-bit image, resized, scaled, then normalised."""
    image = Image.fromarray((picture * 255).round().astype(np.uint8))
    grey = np.asarray(image.resize((px, px), Image.Resampling.BICUBIC)) / 255
    channels = [(grey - m) / s for m, s in zip(mean, std, strict=True)]
    return torch.from_numpy(np.stack(channels).astype(np.float32))


def write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values))


def write_vocabulary(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
