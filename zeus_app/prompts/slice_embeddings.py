"""Image embeddings of a study's slices, encoded at first need."""

from dataclasses import dataclass, field

import numpy as np
import torch

from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.progress import Report
from zeus_app.prompts.time_limit import TimeLimit, TimeOverError
from zeus_app.types import EMBEDDING_SHAPE, SliceStack


@dataclass(frozen=True, eq=False)
class SliceEmbeddings:
    """Gives the image embeddings of one slice of a study at a time.

    Attributes:
        images: the image encoder with its cache.
        stack: the study's slices.
        sequences: names of the sequences to use; empty: all.
        report: called before each batch of pictures; may raise CancelledError.
        device: of the embeddings.
        limit: the time for `in_time`.
    """

    images: CachedImageEncoder
    stack: SliceStack
    sequences: tuple[str, ...]
    report: Report
    device: torch.device
    limit: TimeLimit = field(default_factory=TimeLimit)
    _newest: dict[int, torch.Tensor] = field(default_factory=dict, repr=False)

    @property
    def slice_count(self) -> int:
        """Number of axial slices."""
        return self.stack.frame.grid.shape[2]

    def sequences_of(self, s: int) -> tuple[int, ...]:
        """Indices of the sequences to use that show tissue on a slice."""
        return tuple(
            m
            for m, name in enumerate(self.stack.sequences)
            if self.stack.tissue[m, s] and (not self.sequences or name in self.sequences)
        )

    def of_slice(self, s: int) -> torch.Tensor:
        """Embed the sequences that show tissue on a slice, also after the time is over.

        Returns:
            (M', 256, 64, 64) with M' = 0 if no sequence shows tissue.
        """
        return self._embed(s, in_time=False)

    def in_time(self, s: int) -> torch.Tensor | None:
        """The same; None if pictures must be encoded for which there is no time."""
        try:
            return self._embed(s, in_time=True)
        except TimeOverError:
            return None

    def _embed(self, s: int, *, in_time: bool) -> torch.Tensor:
        """Raises TimeOverError, if `in_time`."""
        if s in self._newest:
            return self._newest[s]
        pictures = [self.stack.pixels[m, s] for m in self.sequences_of(s)]
        if not pictures:
            return torch.zeros(0, *EMBEDDING_SHAPE)

        def report(stage: str, done: int, total: int) -> None:
            self.limit.end_batch()
            self.report(stage, done, total)
            self.limit.begin_batch(always=not in_time)

        keys = self.images.encode_missing(pictures, report=report)
        self.limit.end_batch()
        embeddings = [
            self.images.get(key, picture) for key, picture in zip(keys, pictures, strict=True)
        ]
        self._newest.clear()
        self._newest[s] = torch.from_numpy(np.stack(embeddings)).to(self.device)
        return self._newest[s]
