"""Where dataset.json of an archive disagrees with the files beside it."""

from collections.abc import Iterator, Mapping

from zeus_app.datasets.archive import IMAGES_TEST, IMAGES_TRAIN, images_of, is_numbered
from zeus_app.datasets.dataset import DataProblem, Dataset
from zeus_app.datasets.description import Description, read_description
from zeus_app.errors import InputError
from zeus_app.targets.naming import Names
from zeus_app.volumes.nifti import opened
from zeus_app.volumes.sources import NIFTI_SUFFIXES, is_volume, stem

_LABELS_OF = {IMAGES_TRAIN: "labelsTr", IMAGES_TEST: "labelsTs"}


def check_description(dataset: Dataset) -> Iterator[DataProblem]:
    """Compare dataset.json with the files; nothing for other kinds of datasets."""
    if dataset.kind not in ("msd", "nnunet"):
        return
    description = read_description(dataset.folder)
    texts = [
        *_count(dataset, description),
        *_listed(dataset, description),
        *_endings(dataset, description),
        *_unused_channels(dataset, description),
    ]
    yield from (DataProblem("", f"dataset.json: {text}", (description.path,)) for text in texts)
    if dataset.kind == "msd":
        yield from _channels_of_files(dataset, description)
    yield from _orphans(dataset)


def _count(dataset: Dataset, description: Description) -> Iterator[str]:
    found = sum(case.part == "train" for case in dataset.cases)
    if description.count is not None and description.count != found:
        yield f"numTraining is {description.count}, and {IMAGES_TRAIN} has {found} cases"


def _listed(dataset: Dataset, description: Description) -> Iterator[str]:
    """Images that are listed and missing, or there and not listed, for files that list any."""
    for folder, listed in (
        (IMAGES_TRAIN, description.training), (IMAGES_TEST, description.test),
    ):  # fmt: skip
        there = {path.name for path in images_of(dataset.folder) if path.parent.name == folder}
        if is_numbered(dataset.folder):  # v1 lists cases without the number of the channel
            there = {name[: -len("_0000.nii.gz")] + ".nii.gz" for name in there}
        if listed and (missing := sorted(set(listed) - there)):
            yield f"{len(missing)} images of {folder} are missing: {_first(missing)}"
        if listed and (extra := sorted(there - set(listed))):
            yield f"{len(extra)} images of {folder} are not listed: {_first(extra)}"


def _endings(dataset: Dataset, description: Description) -> Iterator[str]:
    ending = description.file_ending
    if not ending:
        return
    others = [path.name for path in images_of(dataset.folder) if not path.name.endswith(ending)]
    if others:
        yield f"file_ending is {ending}, and other files are there: {_first(others)}"


def _unused_channels(dataset: Dataset, description: Description) -> Iterator[str]:
    names = Names.of(dataset.target)
    for number, name in description.channels.items():
        if not names.sequence(names.read(name)):
            yield f"channel {number}, {name}, is no sequence of the target {dataset.target.name}"


def _channels_of_files(dataset: Dataset, description: Description) -> Iterator[DataProblem]:
    """4-D files with another number of channels than dataset.json names."""
    expected = len(description.channels)
    for path in images_of(dataset.folder):
        if not path.name.lower().endswith(NIFTI_SUFFIXES):
            continue
        try:
            with opened(path) as image:
                channels = image.shape[3] if len(image.shape) == 4 else 1
        except InputError:  # told with the case
            continue
        if channels != expected:
            text = f"{channels} channels in {path.name}, and {expected} in dataset.json"
            yield DataProblem(stem(path), text, (path,))


def _orphans(dataset: Dataset) -> Iterator[DataProblem]:
    """Masks of no case."""
    used = {path for case in dataset.cases for one in case.truths.values() for path in one.files}
    for name in _LABELS_OF.values():
        for path in sorted((dataset.folder / name).glob("*")):
            if is_volume(path) and path not in used:
                yield DataProblem(stem(path), f"{name}/{path.name} has no image", (path,))


def undescribed_values(dataset: Dataset, voxels: Mapping[int, int]) -> Iterator[DataProblem]:
    """Values in the masks that dataset.json does not name.

    Args:
        dataset: the dataset.
        voxels: value in the masks -> number of voxels.
    """
    if dataset.kind not in ("msd", "nnunet"):
        return
    description = read_description(dataset.folder)
    unknown = sorted(voxels.keys() - description.labels.keys())
    if unknown and not description.regions:
        text = f"dataset.json: it names no label of value {', '.join(map(str, unknown))}"
        yield DataProblem("", f"{text}, which masks hold", (description.path,))


def _first(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
