"""Base classes of frozen vision and text towers: preparation of pictures, batches, devices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from zeus_app.encoders.pictures import check_pictures
from zeus_app.errors import InputError
from zeus_app.types import PICTURE_PX, FloatArray

PICTURES_AT_ONCE = 16
TEXTS_AT_ONCE = 32

# Statistics of CLIP's training pictures; BiomedCLIP and BLIP-2 use them too.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# BERT-base without its vocabulary, which differs from model to model.
BERT_BASE: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-12,
}

Three = tuple[float, float, float]


@dataclass(frozen=True)
class PictureInput:
    """Turns grey pictures into a network's input: resized, repeated as R, G and B, normalised.

    These towers were trained on 8-bit pictures that Pillow resized bicubically. Only Pillow clips
    overshoot between its two passes, so Pillow is used here too.

    Attributes:
        px: edge of the square that the network takes.
        mean, std: of R, G and B, for pictures in [0, 1].
    """

    px: int
    mean: Three = CLIP_MEAN
    std: Three = CLIP_STD

    @classmethod
    def from_settings(
        cls, px: int, settings: Mapping[str, Any], *, mean: str, std: str
    ) -> "PictureInput":
        """Read the normalisation from published settings; CLIP's is the default.

        Args:
            px: edge of the square that the network takes.
            settings: content of a preprocessing file; {} if there is none.
            mean: the key of the three means, in [0, 1].
            std: the key of the three standard deviations.

        Raises:
            InputError: a key does not hold three numbers.
        """
        return cls(
            px,
            _three(settings.get(mean, CLIP_MEAN), mean),
            _three(settings.get(std, CLIP_STD), std),
        )

    @property
    def id(self) -> str:
        """Names this preparation; part of the tower's id."""
        return f"{self.px}px-{self.mean[0]:.4g}-{self.std[0]:.4g}"

    def __call__(self, pictures: FloatArray) -> torch.Tensor:
        """(N, 256, 256) in [0, 1] -> (N, 3, px, px) float32 on the CPU."""
        size = (self.px, self.px)
        levels = (np.clip(pictures, 0, 1) * 255).round().astype(np.uint8)
        resized = [Image.fromarray(row).resize(size, Image.Resampling.BICUBIC) for row in levels]
        grey = torch.from_numpy(np.stack([np.asarray(image) for image in resized]))[:, None] / 255
        mean, std = (torch.tensor(three)[:, None, None] for three in (self.mean, self.std))
        return (grey - mean) / std  # (N, 1, px, px) and (3, 1, 1): (N, 3, px, px)


class VisionTower:
    """A frozen network that turns pictures into feature tokens: `protocols.VisionEncoder`."""

    id: str
    dim: int

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        dim: int,
        inputs: PictureInput,
        device: torch.device | str,
    ) -> None:
        """Freeze a network and put it on its device.

        Args:
            network: (N, 3, px, px) -> (N, T, dim).
            name: begins the id: the tower, the hash of its weights, the kind of its tokens.
            dim: width of a token.
            inputs: prepares its pictures.
            device: where it runs: in float32, on CUDA in bfloat16.
        """
        self._device = torch.device(device)
        self.network = network.eval().requires_grad_(False).to(self._device)
        self._inputs = inputs
        self.dim = dim
        self.id = f"{name}-{inputs.id}{_precision(self._device)}"

    @torch.inference_mode()
    def encode(self, pictures: FloatArray) -> FloatArray:
        """Turn pictures into tokens.

        Args:
            pictures: (N, 256, 256) float32 in [0, 1].

        Returns:
            (N, T, dim) float32, not normalised; T depends on the tower.

        Raises:
            InputError: pictures of another shape.
        """
        check_pictures(pictures, name=type(self).__name__)
        if not len(pictures):
            blank = np.zeros((1, PICTURE_PX, PICTURE_PX), np.float32)
            return self.encode(blank)[:0]  # only the network knows T
        found = [
            self._tokens(pictures[first : first + PICTURES_AT_ONCE])
            for first in range(0, len(pictures), PICTURES_AT_ONCE)
        ]
        return np.concatenate(found)

    def _tokens(self, pictures: FloatArray) -> FloatArray:
        with _autocast(self._device):
            tokens = self.network(self._inputs(pictures).to(self._device))
        array: FloatArray = tokens.float().cpu().numpy()
        return array


class TextTower:
    """A frozen network that turns texts into vectors: `protocols.TextEncoder`.

    Only texts with the same number of tokens share a batch. Nothing is padded, so the vector of a
    text does not depend on the other texts, even in a network that averages over padding.
    """

    id: str
    dim: int

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        dim: int,
        tokenise: Callable[[str], list[int]],
        device: torch.device | str,
    ) -> None:
        """Freeze a network and put it on its device.

        Args:
            network: (N, tokens) int64 -> (N, dim).
            name: begins the id: the tower and the hash of its weights.
            dim: width of a vector.
            tokenise: text -> token numbers, with the start and end tokens, cut to the longest
                input of the network.
            device: where it runs: in float32, on CUDA in bfloat16.
        """
        self._device = torch.device(device)
        self.network = network.eval().requires_grad_(False).to(self._device)
        self._tokenise = tokenise
        self.dim = dim
        self.id = f"{name}{_precision(self._device)}"

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> FloatArray:
        """N texts, each cut to the tower's longest input -> (N, dim) float32, not normalised."""
        tokens = [self._tokenise(text) for text in texts]
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for length in sorted({len(row) for row in tokens}):
            same_length = [index for index, row in enumerate(tokens) if len(row) == length]
            for first in range(0, len(same_length), TEXTS_AT_ONCE):
                rows = same_length[first : first + TEXTS_AT_ONCE]
                batch = torch.tensor([tokens[index] for index in rows], device=self._device)
                with _autocast(self._device):
                    vectors[rows] = self.network(batch).float().cpu().numpy()
        return vectors


def _autocast(device: torch.device) -> torch.autocast:
    # Not on a CPU: these towers run once per slice or text, so speed matters less than precision.
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _precision(device: torch.device) -> str:
    return "-bf16" if device.type == "cuda" else ""


def _three(values: Any, key: str) -> Three:
    try:
        first, second, third = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{key} of the pictures is {values!r}",
            expected="three numbers, for R, G and B",
            remedy="correct the tower's preprocessing file, for example"
            ' "image_mean": [0.48, 0.46, 0.41]',
        ) from error
    return first, second, third
