"""An opened study: read, aligned and cut into slices, with the grids for the way back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from zeus_app.studies.align import align_for
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import Target
from zeus_app.types import Grid, SliceStack, Study


@dataclass(frozen=True, eq=False)
class OpenedStudy:
    """The slices of a study and its grids, without its full-resolution volumes.

    Attributes:
        id: the study's id.
        stack: the slices of every sequence of the target, as square pictures.
        reference: name of the sequence whose grid the study was aligned to.
        source_grids: sequence name -> its grid as stored, for every sequence of the study.
        left_out: see `Study`.
        hidden: sequences of the study that are not used, because a client chose others.
    """

    id: str
    stack: SliceStack
    reference: str
    source_grids: Mapping[str, Grid]
    left_out: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    @property
    def grid(self) -> Grid:
        """The canonical grid: the reference's, turned to RAS+."""
        return self.stack.frame.grid

    @property
    def source_grid(self) -> Grid:
        """The grid of the reference sequence as stored. Segmentations lie on it."""
        return self.source_grids[self.reference]

    @property
    def used(self) -> tuple[str, ...]:
        """The target's sequences that the study has and uses, in the target's order."""
        has = self.source_grids.keys() - self.hidden
        return tuple(name for name in self.stack.sequences if name in has)

    @property
    def missing(self) -> tuple[str, ...]:
        """The target's sequences that the study lacks or hides, in the target's order."""
        return tuple(name for name in self.stack.sequences if name not in self.used)

    def with_sequences(self, names: Collection[str]) -> "OpenedStudy":
        """The same study and grids with these sequences alone; the others count as missing.

        Args:
            names: at least one sequence of the study.
        """
        chosen = np.array([name in names for name in self.stack.sequences])
        whole = self.stack.pixels
        pixels = np.zeros(whole.shape, whole.dtype)  # pages that nobody writes take no memory
        pixels[chosen] = whole[chosen]
        tissue = self.stack.tissue & chosen[:, np.newaxis]
        hidden = frozenset(self.source_grids) - frozenset(names)
        return replace(self, stack=replace(self.stack, pixels=pixels, tissue=tissue), hidden=hidden)


def open_study(study: Study, target: Target) -> OpenedStudy:
    """Align a study's sequences and cut them into slices.

    Args:
        study: its sequences, as stored.
        target: says which sequences are used, and which of them is the reference.

    Raises:
        InputError: the study has no sequence of the target, or its sequences cannot be aligned.
    """
    aligned = align_for(study, target)
    return OpenedStudy(
        id=study.id,
        stack=slice_stack(aligned, target.sequence_names),
        reference=aligned.reference,
        source_grids={name: volume.grid for name, volume in study.volumes.items()},
        left_out=study.left_out,
    )
