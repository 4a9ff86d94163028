"""Folders of the BraTS challenges, 2017 to 2025.

    BraTS20_Training_001/BraTS20_Training_001_flair.nii.gz   and _t1, _t1ce, _t2, _seg
    BraTS2021_00000/BraTS2021_00000_flair.nii.gz             the same words
    BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2f.nii.gz       and -t1n, -t1c, -t2w, -seg

Masks have the values 1, 2, 4 until 2021 and 1, 2, 3 since 2023. The folders may lie deeper, as in
MICCAI_BraTS_2018_Data_Training/HGG. The last part of the names of 2017 to 2019 and since 2023 is
the examination: `BraTS-GLI-00000-001` is another one of the patient `BraTS-GLI-00000`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zeus_app.datasets.dataset import (
    TEST,
    TRAIN,
    Case,
    DataProblem,
    Dataset,
    MaskFile,
    stored_values,
)
from zeus_app.labels.mask_folders import walk_folders
from zeus_app.studies.candidates import source_of
from zeus_app.targets import Target, load_target
from zeus_app.volumes.sources import NIFTI_SUFFIXES, stem

_SEQUENCES = {
    "flair": "FLAIR", "t1": "T1", "t1ce": "T1Gd", "t2": "T2",
    "t2f": "FLAIR", "t1n": "T1", "t1c": "T1Gd", "t2w": "T2",
}  # fmt: skip
_NAME = re.compile(rf"[_-](?P<word>seg|{'|'.join(_SEQUENCES)})", re.IGNORECASE)
_FOREIGN_MASK = re.compile(r".*_segm", re.IGNORECASE)
"""The mask of BraTS20_Training_355 is called W39_1998.09.19_Segm.nii."""
_EXAMINATION = re.compile(r"(?P<patient>BraTS-\w+-\d+)-\d+|(?P<old>BraTS1[789]_.+)_\d+", re.I)
_OF_BRATS = re.compile(r"BraTS", re.IGNORECASE)
_SINCE_2023 = re.compile(r"BraTS-", re.IGNORECASE)
_UNLABELLED = re.compile(r"valid|test", re.IGNORECASE)


@dataclass
class _CaseFolder:
    """The files of one case, by the words in their names."""

    folder: Path
    images: dict[str, Path] = field(default_factory=dict)
    masks: list[Path] = field(default_factory=list)
    twice: list[Path] = field(default_factory=list)


def recognise(folder: Path) -> bool:
    """Whether a folder called BraTS... holds two images that are named after it and a sequence."""
    return any(len(found.images) > 1 for found in _case_folders(folder))


def read(folder: Path, target: Target | None, convention: str | None) -> Dataset:
    """Read all cases; see `kinds.open_dataset`. Without a target: the whole tumour."""
    chosen = target or load_target("brain_tumour")
    found = list(_case_folders(folder))
    if chosen.import_conventions and convention is None:
        is_new = all(_SINCE_2023.match(case.folder.name) for case in found)
        convention = "brats2023" if is_new else "brats2017"
    values = stored_values(chosen.reading(convention))
    return Dataset(
        kind="brats",
        name=folder.resolve().name,
        folder=folder,
        target=chosen,
        convention=convention,
        sequences=tuple(n for n in chosen.sequence_names if n in _SEQUENCES.values()),
        cases=tuple(
            sorted((_case(one, folder, chosen, values) for one in found), key=lambda case: case.id)
        ),
        problems=tuple(
            DataProblem(one.folder.name, f"another file of the same kind: {path.name}", (path,))
            for one in found
            for path in one.twice
        ),
    )


def _case_folders(folder: Path) -> Iterator[_CaseFolder]:
    for at, files in walk_folders(folder, ()):
        if not _OF_BRATS.match(at.name):
            continue
        found = _CaseFolder(at)
        for path in files:
            _add(found, path)
        if found.images:
            yield found


def _add(found: _CaseFolder, path: Path) -> None:
    """Note a file of a case: <folder><_ or -><word>.nii.gz."""
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        return
    name, case = stem(path), found.folder.name
    match = _NAME.fullmatch(name[len(case) :]) if name.startswith(case) else None
    if match is None:
        if _FOREIGN_MASK.fullmatch(name):
            found.masks.append(path)
        return
    word = match["word"].lower()
    if word == "seg":
        found.masks.append(path)
    elif _SEQUENCES[word] in found.images:
        found.twice.append(path)
    else:
        found.images[_SEQUENCES[word]] = path


def _case(found: _CaseFolder, root: Path, target: Target, values: dict[int, int]) -> Case:
    sources = {
        name: source_of(found.images[name])
        for name in target.sequence_names
        if name in found.images
    }
    mask = MaskFile(found.masks[0], values) if found.masks else None
    folders = (root.name, *found.folder.relative_to(root).parts)
    is_test = mask is None and any(_UNLABELLED.search(name) for name in folders)
    return Case(
        id=found.folder.name,
        patient=patient_of(found.folder.name),
        sources=sources,
        reference=target.reference_of(tuple(sources)),
        truths=dict.fromkeys(sources, mask) if mask else {},
        part=TEST if is_test else TRAIN,
    )


def patient_of(case: str) -> str:
    """The patient of a case: the name without the number of the examination."""
    match = _EXAMINATION.fullmatch(case)
    return (match["patient"] or match["old"]) if match else case
