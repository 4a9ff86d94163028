"""The frozen values that pass through Zeus, from the files of a study to its segmentation.

Coordinates are RAS+ millimetres (nibabel's convention). Arrays are indexed (X, Y, Z) as stored.
M is the number of a target's sequences, K of its labels, S of a study's axial slices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]  # float32; cached embeddings are float16
BoolArray = npt.NDArray[np.bool_]
LabelArray = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM and ITK use LPS mm, nibabel and Zeus RAS mm. The matrix is its own inverse."""

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
    """A shape, and the affine from voxel indices to RAS mm."""

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
        """Whether all voxels of both grids have the same places, within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1)
        own_mm = self.affine_ras[:3, :3] @ corners + self.affine_ras[:3, 3:]
        other_mm = other.affine_ras[:3, :3] @ corners + other.affine_ras[:3, 3:]
        return bool(np.abs(own_mm - other_mm).max() <= tolerance_mm)

    def __str__(self) -> str:
        spacing = "×".join(f"{value:.3g}" for value in self.spacing_mm)
        origin = ", ".join(f"{value:.1f}" for value in self.affine_ras[:3, 3])
        shape = "×".join(str(n) for n in self.shape)
        return f"{shape} voxels of {spacing} mm, first voxel at RAS ({origin}) mm"


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D image or label map, with its place in space.

    Attributes:
        array: (X, Y, Z); float32 for images, uint8 for labels.
        affine_ras: (4, 4) float64, voxel index -> RAS mm.
    """

    array: npt.NDArray[np.number[Any]]
    affine_ras: Affine

    @property
    def grid(self) -> Grid:
        """The grid of this volume."""
        x, y, z = self.array.shape
        return Grid((x, y, z), self.affine_ras)


class VolumeSource(Protocol):
    """The source of one sequence's voxels: a file, a channel of a file, or a DICOM series."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the volume, for messages and downloads."""

    def grid(self) -> Grid:
        """The grid, read from headers only. Raises InputError for files that `load` refuses."""

    def load(self) -> Volume:
        """Read the voxels as float32. Raises InputError if they cannot be used."""


@dataclass(frozen=True)
class UnusedImage:
    """An image that lies with a study and is not one of its sequences.

    Attributes:
        files: its files: one, or all files of a DICOM series.
        reason: why Zeus does not use it, for users.
        source: source of its voxels, for a request that chooses it; None if the files tell.
    """

    files: tuple[Path, ...]
    reason: str
    source: VolumeSource | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class StudyFiles:
    """The files of a study, not read yet.

    Attributes:
        id: the study's id.
        sources: sequence name -> source of its voxels.
        patient: the patient; equal for all studies of one patient. The server replaces it with a
            pseudonym, since it may be a DICOM Patient ID.
        evidence: sequence name -> why its image is taken for this sequence, for users.
        unused: the other images that lie with the study.
        masks: files that may be masks of the study. Only `zeus import-labels` reads them.
        study_uid: DICOM Study Instance UID; empty for other files.
        series: DICOM Series Instance UID -> source, for each MR series that is a volume, whether a
            sequence is taken from it or not.
    """

    id: str
    sources: Mapping[str, VolumeSource]
    patient: str = field(repr=False)
    evidence: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[UnusedImage, ...] = ()
    masks: tuple[Path, ...] = ()
    study_uid: str = ""
    series: Mapping[str, VolumeSource] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyProblem:
    """A study that cannot be used, with its files and the reason."""

    id: str
    files: tuple[Path, ...]
    reason: str


@dataclass(frozen=True)
class StudyCandidate:
    """A study found in the studies folder.

    Attributes:
        name: its folder's name or its files' prefix. The id is made from it.
        folder: the folder of its files.
        sources: sequence name -> source.
        label: its mask, if the layout names one (labelsTr, a case list).
        prefix: the prefix of its files' names if the folder holds several studies; else empty.
        patient: the patient if the layout names one; else empty. It may be a DICOM Patient ID.
        former_names: names that earlier versions gave it; one may be a DICOM Patient ID.
        evidence, unused, masks, study_uid, series: see `StudyFiles`.
    """

    name: str
    folder: Path
    sources: Mapping[str, VolumeSource]
    label: Path | None = None
    prefix: str = ""
    patient: str = field(default="", repr=False)
    former_names: tuple[str, ...] = field(default=(), repr=False)
    evidence: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[UnusedImage, ...] = ()
    masks: tuple[Path, ...] = ()
    study_uid: str = ""
    series: Mapping[str, VolumeSource] = field(default_factory=dict)

    def rejected(self, files: tuple[Path, ...], reason: str) -> "RejectedStudy":
        """The same study as one that cannot be used."""
        return RejectedStudy(self.name, self.folder, files, reason, former_names=self.former_names)


@dataclass(frozen=True)
class RejectedStudy:
    """Files that look like a study but cannot be used.

    Attributes:
        name: its folder's name or its files' prefix.
        folder: the folder of its files.
        files: the files.
        reason: why they cannot be used.
        only_masks: whether all files are masks. In or above a study's folder this is no problem.
        former_names: see `StudyCandidate`.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    reason: str
    only_masks: bool = False
    former_names: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, eq=False)
class Study:
    """The sequences of one study as stored.

    Attributes:
        id: the study's id.
        volumes: sequence name -> volume.
        left_out: name of a sequence that cannot be used -> the reason.
    """

    id: str
    volumes: Mapping[str, Volume]
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LabelledStudy:
    """A study with a label, for training. Its files are read by the functions in it.

    Attributes:
        id: the study's id.
        read_study: reads the sequences.
        read_label: reads the label: uint8, the target's values, on the grid of any sequence.
        read_grid: reads the grid of the target's reference sequence.
        patient: the patient. All studies of a patient are on one side of the split.
        sequences: names of the sequences that it has files of.
        guidance: the user's own texts for this label.
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
    """How the axial slices of a grid are placed in square pictures.

    The grid is RAS-canonical. Pictures are in radiological orientation: anterior is up, the
    patient's right is at the left. Pixels are square in mm; the slice is padded to `size`×`size`.

    Attributes:
        grid: the canonical grid, S = grid.shape[2].
        size: edge of a picture, in pixels.
        rows_px, cols_px: size of the slice in the picture, without padding.
        top_px, left_px: first row and column of the slice in the picture.
    """

    grid: Grid
    size: int
    rows_px: int
    cols_px: int
    top_px: int
    left_px: int


@dataclass(frozen=True, eq=False)
class SliceStack:
    """A study as pictures for the frozen towers.

    Attributes:
        sequences: the M sequence names in the target's order, missing ones included.
        pixels: (M, S, size, size) float32 in [0, 1]; 0 without tissue or without the sequence.
        tissue: (M, S) bool; False if the sequence is missing or the slice shows no tissue.
        frame: how the slices are placed in the pictures.
    """

    sequences: tuple[str, ...]
    pixels: FloatArray
    tissue: BoolArray
    frame: SliceFrame


@dataclass(frozen=True)
class Instruction:
    """The text that says what to segment in one sequence, for one label.

    Attributes:
        sequence: name of the sequence.
        label: name of the label.
        slice_index: axial slice on the study's canonical grid; None for the whole series.
        text: the text.
        model: the author: an LLM's id, "template", or "user".
    """

    sequence: str
    label: str
    slice_index: int | None
    text: str
    model: str

    @property
    def notice(self) -> str:
        """The warning that must be shown with a machine's text; empty for a user's text."""
        return "" if self.model == "user" else MACHINE_MADE


@dataclass(frozen=True)
class Guidance:
    """A user's wishes for the instructions of a study.

    Attributes:
        texts: (sequence, label) -> the user's own text. It replaces the machine's.
        scope: which slices get a text: "none", "series", "key" or "all"; empty: as configured.
    """

    texts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    scope: str = ""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The segmentation of a study.

    Attributes:
        study_id: the study's id.
        label_map: the union: uint8, the target's values, on the reference's SOURCE grid.
        sequence_label_maps: sequence name -> the label map of its own branch, on the same grid.
        instructions: all instructions that were used.
        used, missing: names of the target's sequences that the study has, and lacks.
        agreement: sequence name -> DSC of its own mask with the union, in [0, 1]: the mean over
            labels that either mask shows; 1 if neither shows a label.
        volumes_ml: label name -> volume in the union, in millilitres.
        latencies_ms: stage -> duration in milliseconds.
        checkpoint: version of the weights, or "untrained".
        notes: warnings for the reader, such as "untrained model" or "empty mask".
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
        """Whether the model had no trained weights."""
        return self.checkpoint == "untrained"
