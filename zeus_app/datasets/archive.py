"""What archives of MSD and of nnU-Net share: dataset.json, imagesTr, labelsTr and imagesTs.

The cases come from `studies/msd.py`, which `zeus serve` reads the same folders with.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from zeus_app.datasets.dataset import (
    TEST,
    TRAIN,
    Case,
    DataProblem,
    Dataset,
    MaskFile,
    Truth,
    stored_values,
)
from zeus_app.datasets.description import Description, described_target, read_description
from zeus_app.studies.msd import is_msd, read_msd
from zeus_app.targets import Target, load_target, shipped_targets
from zeus_app.targets.naming import Names
from zeus_app.types import RejectedStudy, StudyCandidate
from zeus_app.volumes.sources import is_volume, stem

IMAGES_TRAIN, IMAGES_TEST = "imagesTr", "imagesTs"
_NUMBERED = re.compile(r".+_\d{4}")
CONVENTIONS = {"brain_tumour_parts": "msd", "prostate_zones": "peripheral-first"}
"""Target -> the convention of Task01 and Task05 of MSD."""


def is_archive(folder: Path) -> bool:
    """Whether the folder has dataset.json beside folders of images."""
    return is_msd(folder)


def is_numbered(folder: Path) -> bool:
    """Whether each image's name ends in the number of a channel: p1_0000.nii.gz."""
    names = [stem(path) for path in images_of(folder)]
    return bool(names) and all(_NUMBERED.fullmatch(name) for name in names)


def images_of(folder: Path) -> list[Path]:
    """The image files in imagesTr and imagesTs. `._*` files are none."""
    return [
        path
        for name in (IMAGES_TRAIN, IMAGES_TEST)
        for path in sorted((folder / name).glob("*"))
        if is_volume(path)
    ]


def read_archive(kind: str, folder: Path, target: Target | None, convention: str | None) -> Dataset:
    """Read an archive. The arguments are those of `kinds.open_dataset`."""
    description = read_description(folder)
    chosen = target or fitting_target(description)
    values, convention = _values(description, chosen, convention)
    cases: list[Case] = []
    problems: list[DataProblem] = []
    names = Names.of(chosen)
    for study in read_msd(folder, "", names):
        if isinstance(study, RejectedStudy):
            problems.append(DataProblem(study.name, study.reason, study.files))
        else:
            cases.append(_case(study, chosen, values))
    described = {names.sequence(names.read(name)) for name in description.channels.values()}
    return Dataset(
        kind=kind,
        name=folder.resolve().name,
        folder=folder,
        target=chosen,
        convention=convention,
        sequences=tuple(name for name in chosen.sequence_names if name in described),
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        problems=tuple(problems),
    )


def _case(study: StudyCandidate, target: Target, values: Mapping[int, int]) -> Case:
    sources = {n: study.sources[n] for n in target.sequence_names if n in study.sources}
    mask: Truth | None = MaskFile(study.label, values) if study.label else None
    first = next(iter(sources.values())).files[0]
    return Case(
        id=study.name,
        patient=study.name,
        sources=sources,
        reference=target.reference_of(tuple(sources)),
        truths=dict.fromkeys(sources, mask) if mask else {},
        part=TEST if first.parent.name == IMAGES_TEST else TRAIN,
    )


def fitting_target(description: Description) -> Target:
    """The shipped target whose sequences and labels dataset.json names, else one made of it.

    Raises:
        InputError: none fits, and none can be made.
    """
    for name in shipped_targets():
        target = load_target(name)
        if set(description.labels.values()) == set(target.label_names) and _reads(
            target, description
        ):
            return target
    return described_target(description)


def _reads(target: Target, description: Description) -> bool:
    names = Names.of(target)
    return all(names.sequence(names.read(name)) for name in description.channels.values())


def _values(
    description: Description, target: Target, convention: str | None
) -> tuple[dict[int, int], str | None]:
    """Value in the masks -> value of the label, and the convention that tells it.

    The names in dataset.json tell it where all are the target's.
    """
    known = target.label_values
    names = set(description.labels.values())
    if convention is None and names and names <= set(known) and not description.regions:
        return {value: known[name] for value, name in description.labels.items()}, None
    if target.import_conventions:
        convention = convention or CONVENTIONS.get(target.name)
    return stored_values(target.reading(convention)), convention
