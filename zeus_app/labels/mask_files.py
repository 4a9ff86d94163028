"""Find the mask of each study among the files beside it, for `zeus import-labels`.

Zeus never uses such a mask without the user's command: it may be of another structure, or made by a
machine. A mask belongs to a study under these conditions:

- It lies in the study's folder, or in a folder named labels, masks or the like, in or beside it.
- Its name starts with the study's prefix, if several studies share the folder.
- Its name holds a mask alias of the target.
- Its voxels lie where those of one of the study's sequences lie.

A name that says that a machine drew the mask (`ai`, `pred`, `nnunet`) counts only if the user's
pattern asks for it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.grids import describe_grid, same_place
from zeus_app.labels.values import listed, with_whole_values
from zeus_app.recognition.image_name import ImageName
from zeus_app.settings.file_names import check_utf8, readable
from zeus_app.studies.candidates import files_of, owner_of
from zeus_app.studies.find import scan
from zeus_app.targets import Target
from zeus_app.targets.naming import MASK_FOLDERS, Names, safe_id
from zeus_app.types import Grid, StudyCandidate, StudyProblem, Volume
from zeus_app.volumes.sources import is_volume, read_voxels, stem

_MASK = frozenset({("mask", "mask"), ("mask", "target")})


@dataclass(frozen=True, eq=False)
class ImportedLabel:
    """The mask of a study, with the target's values.

    Attributes:
        study_id: id of the study.
        volume: uint8 label map on the mask's own grid.
        path: the mask's file.
    """

    study_id: str
    volume: Volume
    path: Path


def find_masks(
    root: Path, target: Target, *, pattern: str | None = None, skip: Collection[Path] = ()
) -> Iterator[ImportedLabel | StudyProblem]:
    """Yield the mask of each study that has one, or the reason why none can be used.

    Args:
        root: the studies folder.
        target: the labels. Each label's `import_values` become its value.
        pattern: glob over file names, or over paths below `root` if it has a slash. It chooses
            among several masks. A machine-made mask is used only if a pattern matches it.
        skip: folders that are not searched.

    Raises:
        InputError: `root` is not a folder.
    """
    candidates = [
        (study_id, candidate)
        for study_id, candidate in scan(root, target, skip=skip)
        if isinstance(candidate, StudyCandidate)
    ]
    names = Names.of(target)
    prefixes: dict[Path, set[str]] = {}
    for _, study in candidates:
        prefixes.setdefault(study.folder, set()).add(study.prefix)
    for study_id, study in candidates:
        files = _files_beside(study, root, prefixes[study.folder])
        try:
            path = _choose(files, study, names, pattern, root)
            if path is not None:
                check_utf8(path)
                volume = read_foreign_mask(path, target)
                _check_place(volume.grid, path, study)
                yield ImportedLabel(study_id, volume, path)
        except InputError as error:
            yield StudyProblem(study_id, tuple(files), readable(error))


def read_foreign_mask(path: Path, target: Target) -> Volume:
    """Read a mask and translate its values to the target's.

    Returns:
        uint8 label map on the mask's own grid.

    Raises:
        InputError: the mask is unreadable, or holds fractions or values of no label of the target.
    """
    volume = with_whole_values(read_voxels(path), str(path))
    whole = volume.array
    new_value = {value: label.value for label in target.labels for value in label.foreign_values}
    translated = np.zeros(whole.shape, dtype=np.uint8)
    for foreign, value in new_value.items():
        translated[whole == foreign] = value
    unknown = whole[(whole != 0) & (translated == 0)]
    if len(unknown):
        raise InputError(
            f"{path}: values {listed(unknown)} are no label of {target.name}",
            expected=f"0 and {', '.join(map(str, sorted(new_value)))}",
            remedy=f"choose the right --convention: {', '.join(target.import_conventions)}"
            if target.import_conventions
            else "check that this is the right mask, or add the value to a label in the target's"
            " YAML, for example import_values: [1, 4]",
        )
    return Volume(translated, volume.affine_ras)


def _check_place(mask: Grid, path: Path, study: StudyCandidate) -> None:
    """Refuse a mask that lies on the grid of no sequence of the study."""
    grids = {sequence: source.grid() for sequence, source in study.sources.items()}
    if any(same_place(mask, grid) for grid in grids.values()):
        return
    raise InputError(
        f"{path} lies on the grid of no sequence of its study: {describe_grid(mask)}",
        expected="; ".join(
            f"{sequence}: {describe_grid(grid)}" for sequence, grid in grids.items()
        ),
        remedy="check that the mask belongs to this study, or resample it onto one of its images",
    )


def _files_beside(study: StudyCandidate, root: Path, prefixes: Collection[str]) -> list[Path]:
    """Every image file in or beside a study's folder that may be its mask."""
    if study.label is not None:
        return [study.label]
    image_files = set(files_of(study.sources))
    inside = _volumes([study.folder, *_mask_folders(study.folder)])
    files = [path for path in inside if (owner_of(stem(path), prefixes) or "") == study.prefix]
    if study.folder != root:
        parent = study.folder.parent
        # In a flat folder each prefix is a patient; otherwise each folder beside is one.
        patients = prefixes if study.prefix else [path.name for path in parent.iterdir()]
        patient = study.prefix or study.folder.name
        beside = _volumes(_mask_folders(parent))
        files += [path for path in beside if owner_of(stem(path), patients) == patient]
    return [path for path in files if path not in image_files]


def _volumes(folders: list[Path]) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.iterdir()) if is_volume(path)]


def _mask_folders(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name.lower() in MASK_FOLDERS
    ]


def _choose(
    files: list[Path], study: StudyCandidate, names: Names, pattern: str | None, root: Path
) -> Path | None:
    """The mask of the study; None if it has none.

    Raises:
        InputError: several masks fit, or all masks are machine-made.
    """
    if pattern is not None:
        return _only([path for path in files if _fits(path, pattern, root)], study, pattern)
    if study.label is not None:
        return study.label
    said = {path: names.read(_name_of(path, study)) for path in files}
    unnamed = [path for path in files if not said[path].words]
    masks = [p for p in files if p in unnamed or _is_of_target(said[p])]
    manual = [path for path in masks if "machine" not in said[path].traits]
    if masks and not manual:
        listed = ", ".join(path.name for path in masks)
        raise InputError(
            f"{study.name}: only masks that a machine drew ({listed})",
            expected="a mask drawn or checked by a human",
            remedy="to train on one of these, choose it, for example with --pattern"
            f" {masks[0].name!r}",
        )
    exact = [p for p in manual if all(word.facet == "mask" for word in said[p].words)]
    return _only(exact or manual, study, pattern)


def _is_of_target(name: ImageName) -> bool:
    """Whether the name is that of a mask, and not of one of the whole brain or body.

    A reader's name alone says nothing about what was drawn.
    """
    says_mask = any(word.meaning in _MASK for word in name.words)
    return name.is_mask and says_mask and "brain mask" not in name.traits


def _only(paths: list[Path], study: StudyCandidate, pattern: str | None) -> Path | None:
    if len(paths) > 1:
        raise InputError(
            f"{study.name}: {len(paths)} masks fit: {', '.join(path.name for path in paths)}",
            expected="one mask per study",
            remedy=f"choose one with {'a narrower ' if pattern else ''}--pattern, for example"
            f" --pattern {paths[0].name!r}",
        )
    return paths[0] if paths else None


def _fits(path: Path, pattern: str, root: Path) -> bool:
    if "/" not in pattern:
        return fnmatchcase(path.name, pattern)
    return path.is_relative_to(root) and fnmatchcase(path.relative_to(root).as_posix(), pattern)


def _name_of(path: Path, study: StudyCandidate) -> str:
    """A mask's name without the patient's: the study's prefix or folder name.

    Nothing is left of `labels/anna.nii.gz`; its folder says that it is a mask.
    """
    name = stem(path)
    own = (study.prefix, study.folder.name, study.name, safe_id(study.name))
    names = (*own, *study.former_names)
    for owner in names:
        whole = name == owner and path.parent.name.lower() not in MASK_FOLDERS
        if owner and not whole and owner_of(name, [owner]) is not None:
            return name[len(owner) :]
    return name
