"""Tasks of the Medical Segmentation Decathlon (Antonelli et al. 2022).

    Task01_BrainTumour/dataset.json
    Task01_BrainTumour/imagesTr/BRATS_001.nii.gz      4-D: FLAIR, T1w, t1gd, T2w
    Task01_BrainTumour/imagesTr/._BRATS_001.nii.gz    of macOS; ignored
    Task01_BrainTumour/labelsTr/BRATS_001.nii.gz      1 oedema, 2 non-enhancing, 3 enhancing
    Task01_BrainTumour/imagesTs/BRATS_485.nii.gz      without truth

Task05_Prostate has T2 and ADC, and 1 for the peripheral and 2 for the transition zone. The paper
merges the classes of both tasks, as the targets `brain_tumour` and `prostate` do. The targets
`brain_tumour_parts` and `prostate_zones` keep them. MSD names no patients: a case is one.
"""

from pathlib import Path

from zeus_app.datasets.archive import is_archive, is_numbered, read_archive
from zeus_app.datasets.dataset import Dataset
from zeus_app.datasets.description import read_description
from zeus_app.targets import Target, load_target

_TARGETS = (
    (frozenset({"FLAIR", "T1w", "t1gd", "T2w"}), "brain_tumour"),
    (frozenset({"T2", "ADC"}), "prostate"),
)
"""Channels in dataset.json -> the target that the paper's experiment has."""


def recognise(folder: Path) -> bool:
    """Whether the folder is a task whose images are not numbered by channel."""
    return is_archive(folder) and not is_numbered(folder)


def read(folder: Path, target: Target | None, convention: str | None) -> Dataset:
    """Read a task; see `kinds.open_dataset`. Without a target the paper's is taken."""
    return read_archive("msd", folder, target or _paper_target(folder), convention)


def _paper_target(folder: Path) -> Target | None:
    channels = set(read_description(folder).channels.values())
    name = next((name for names, name in _TARGETS if names == channels), "")
    return load_target(name) if name else None
