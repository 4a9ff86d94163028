"""The frozen values that travel through Zeus, from the files of a study to its segmentation.

Space is always RAS+ millimetres (nibabel's convention); arrays are indexed (X, Y, Z) as stored.
M counts the sequences a target wants, K its labels, S the axial slices of a study.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]  # float32; float16 where embeddings are kept
BoolArray = npt.NDArray[np.bool_]
LabelArray = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM and ITK measure in LPS mm, nibabel and Zeus in RAS mm; the matrix is its own inverse."""

PICTURE_PX = 256
"""Edge of a slice's picture and of its mask, in pixels."""
EMBEDDING_CELLS = 64
"""Edge of SAM's image embedding, in cells; a cell covers 4×4 pixels of the picture."""
EMBEDDING_CHANNELS = 256
"""Numbers in each cell of SAM's image embedding, and in each prompt of its mask decoder."""
EMBEDDING_SHAPE = (EMBEDDING_CHANNELS, EMBEDDING_CELLS, EMBEDDING_CELLS)

MIB, GIB = 1 << 20, 1 << 30
"""Bytes of a mebibyte and of a gibibyte."""

MACHINE_MADE = "machine-made, not for diagnosis"


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie: a shape and the affine that takes voxel indices to RAS mm."""

    shape: tuple[int, int, int]
    affine_ras: Affine  # (4, 4) float64

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths along the three array axes, in mm."""
        x, y, z = np.linalg.norm(self.affine_ras[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine_ras[:3, :3])) / 1000.0)

    def matches(self, other: "Grid", *, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids put every voxel at the same place, to within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1)
        here = self.affine_ras[:3, :3] @ corners + self.affine_ras[:3, 3:]
        there = other.affine_ras[:3, :3] @ corners + other.affine_ras[:3, 3:]
        return bool(np.abs(here - there).max() <= tolerance_mm)

    def __str__(self) -> str:
        spacing = "×".join(f"{value:.3g}" for value in self.spacing_mm)
        origin = ", ".join(f"{value:.1f}" for value in self.affine_ras[:3, 3])
        shape = "×".join(str(n) for n in self.shape)
        return f"{shape} voxels of {spacing} mm, first voxel at RAS ({origin}) mm"


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D image or label with its place in space.

    Attributes:
        array: (X, Y, Z); float32 for images, uint8 for labels.
        affine_ras: (4, 4) float64, voxel index -> RAS mm.
    """

    array: npt.NDArray[np.number[Any]]
    affine_ras: Affine

    @property
    def grid(self) -> Grid:
        """The grid this volume lies on."""
        x, y, z = self.array.shape
        return Grid((x, y, z), self.affine_ras)


class VolumeSource(Protocol):
    """Where the voxels of one sequence come from: a file, a channel of one, a DICOM series."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files behind the volume, for messages and downloads."""

    def grid(self) -> Grid:
        """Where the voxels lie, read from headers alone. Raises InputError as `load` would."""

    def load(self) -> Volume:
        """Read the voxels as float32. Raises InputError when they cannot be used."""


@dataclass(frozen=True)
class StudyFiles:
    """A study that was found but not read: its id, where each sequence lies, and whose it is."""

    id: str
    sources: Mapping[str, VolumeSource]  # sequence name -> source
    patient: str  # the same for all studies of one patient


@dataclass(frozen=True)
class StudyProblem:
    """A study that cannot be used, with its files and the reason; it hides no other study."""

    id: str
    files: tuple[Path, ...]
    reason: str


@dataclass(frozen=True)
class StudyCandidate:
    """One study as a layout found it.

    Attributes:
        name: from its folder or prefix, unchanged; the id is made from it.
        folder: where it lies.
        sources: sequence name -> source.
        label: its mask, where the layout itself says so (labelsTr, a case list).
        prefix: of its files' names, where the folder holds several studies; else empty.
        patient: whose study it is, where the layout itself says so; else empty.
    """

    name: str
    folder: Path
    sources: Mapping[str, VolumeSource]
    label: Path | None = None
    prefix: str = ""
    patient: str = ""


@dataclass(frozen=True)
class RejectedStudy:
    """Files that look like a study and cannot be used as one.

    Attributes:
        only_masks: there are but masks, which is no news where a study lies near by.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    reason: str
    only_masks: bool = False


@dataclass(frozen=True, eq=False)
class Study:
    """The sequences of one examination, as stored: {sequence name: Volume}."""

    id: str
    volumes: Mapping[str, Volume]


@dataclass(frozen=True, eq=False)
class LabelledStudy:
    """A study to learn from; nothing is read until it is asked for.

    Attributes:
        read_study: reads the sequences.
        read_label: reads the label, uint8 with the target's values, on any grid of the study.
        read_grid: reads the grid of the target's reference sequence.
        patient: whose study it is; all studies of one patient fall on one side of a split.
        sequences: names of those it has files of, wanted or not.
        guidance: the user's own texts, which the label was drawn with.
    """

    id: str
    read_study: Callable[[], Study]
    read_label: Callable[[], Volume]
    read_grid: Callable[[], Grid]
    patient: str
    sequences: tuple[str, ...]
    guidance: "Guidance" = field(default_factory=lambda: Guidance())


@dataclass(frozen=True, eq=False)
class SliceFrame:
    """How axial slices of a grid are laid into square pictures, and the way back.

    The grid is RAS-canonical; a picture shows the patient radiologically (anterior up, the
    patient's right at the left edge), scaled to keep mm square and padded to `size`×`size`.

    Attributes:
        grid: the canonical grid, S = grid.shape[2].
        size: edge of a picture in pixels.
        rows_px, cols_px: rows and columns of the picture that hold the slice; the rest is padding.
        top_px, left_px: where the slice begins in the picture.
    """

    grid: Grid
    size: int
    rows_px: int
    cols_px: int
    top_px: int
    left_px: int


@dataclass(frozen=True, eq=False)
class SliceStack:
    """A study as pictures a frozen tower can look at.

    Attributes:
        sequences: the M sequence names, in the target's order; missing ones included.
        pixels: (M, S, size, size) float32 in [0, 1]; zeros where there is no tissue or no sequence.
        tissue: (M, S) bool; False where a sequence is missing or a slice shows no tissue.
        frame: the way back to voxels.
    """

    sequences: tuple[str, ...]
    pixels: FloatArray
    tissue: BoolArray
    frame: SliceFrame


@dataclass(frozen=True)
class Instruction:
    """What one sequence is asked to show for one label, and who wrote it."""

    sequence: str
    label: str
    slice_index: int | None  # axial index on the study's canonical grid; None: the whole series
    text: str
    model: str  # the writer: an LLM's id, "template", or "user"

    @property
    def notice(self) -> str:
        """The words that must stand beside a machine's text; empty for a user's own."""
        return "" if self.model == "user" else MACHINE_MADE


@dataclass(frozen=True)
class Guidance:
    """What a user wishes of a study's instructions.

    Attributes:
        texts: (sequence, label) -> a text of the user's own, which replaces the machine's.
        scope: how many slices get a text: "none", "series", "key" or "all"; empty: as configured.
    """

    texts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    scope: str = ""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The answer to a study.

    Attributes:
        label_map: uint8 on the reference sequence's SOURCE grid; values are the target's.
        sequence_label_maps: the same for each sequence's own branch.
        instructions: every instruction that was used.
        used, missing: sequence names.
        agreement: sequence -> Dice of its own mask with the union, in [0, 1]: the mean over the
            labels that either shows; 1 where neither shows any.
        volumes_ml: label name -> millilitres in the union.
        latencies_ms: stage -> milliseconds.
        checkpoint: version of the weights, or "untrained".
        notes: anything the reader must know ("untrained model", "empty mask").
    """

    study_id: str
    label_map: Volume
    sequence_label_maps: Mapping[str, Volume]
    instructions: tuple[Instruction, ...]
    used: tuple[str, ...]
    missing: tuple[str, ...]
    agreement: Mapping[str, float]
    volumes_ml: Mapping[str, float]
    latencies_ms: Mapping[str, float]
    checkpoint: str
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def untrained(self) -> bool:
        """Whether no checkpoint stands behind this answer."""
        return self.checkpoint == "untrained"
