"""Image embeddings of a study's slices, encoded at first need."""

from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.progress import Report
from zeus_app.types import EMBEDDING_SHAPE, SliceStack


@dataclass(frozen=True, eq=False)
class SliceEmbeddings:
    """Gives the image embeddings of one slice of a study at a time.

    Attributes:
        images: the image encoder with its cache.
        stack: the study's slices.
        sequences: names of the sequences to use; empty: all.
        report: called before each slice; may raise CancelledError.
        device: of the embeddings.
    """

    images: CachedImageEncoder
    stack: SliceStack
    sequences: tuple[str, ...]
    report: Report
    device: torch.device

    @property
    def slice_count(self) -> int:
        """Number of axial slices."""
        return self.stack.frame.grid.shape[2]

    def of_slice(self, s: int, stage: str) -> torch.Tensor:
        """Embed the sequences that show tissue on a slice.

        Args:
            s: index of the slice.
            stage: reported with the slice.

        Returns:
            (M', 256, 64, 64) with M' = 0 if no sequence shows tissue.
        """
        self.report(stage, s, self.slice_count)
        pictures = [
            self.stack.pixels[m, s]
            for m, name in enumerate(self.stack.sequences)
            if self.stack.tissue[m, s] and (not self.sequences or name in self.sequences)
        ]
        if not pictures:
            return torch.zeros(0, *EMBEDDING_SHAPE)
        keys = self.images.encode_missing(pictures, report=self.report)
        embeddings = [
            self.images.get(key, picture) for key, picture in zip(keys, pictures, strict=True)
        ]
        return torch.from_numpy(np.stack(embeddings)).to(self.device)
