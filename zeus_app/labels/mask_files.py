"""Masks that lie beside studies become labels, when a user says so (`zeus import-labels`).

Never by themselves: a mask may be of something else, or a machine's. A mask belongs to a study
when it lies in the study's folder (or in one named labels, masks ... in or beside it), starts with
the study's prefix where several share the folder, its name holds a mask alias of the target, and
its voxels lie where those of one of the study's sequences do.
Names that say a machine drew it (`ai`, `pred`, `nnunet` ...) count only if a pattern asks for them.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.grids import place_of, same_place
from zeus_app.studies.candidates import files_of, owner_of
from zeus_app.studies.find import scan
from zeus_app.targets import Target
from zeus_app.targets.naming import (
    MASK_FOLDERS,
    Names,
    Piece,
    is_machine_made,
    safe_id,
    split_name,
)
from zeus_app.types import Grid, StudyCandidate, StudyProblem, Volume
from zeus_app.volumes.sources import is_volume, read_voxels, stem

_ROUNDING = 0.01  # how far from a whole number a stored label value may lie


@dataclass(frozen=True, eq=False)
class ImportedLabel:
    """A mask that was found for a study, in the target's values.

    Attributes:
        study_id: the study it belongs to.
        volume: uint8 on the mask's own grid.
        path: the file it came from.
    """

    study_id: str
    volume: Volume
    path: Path


def import_labels(
    root: Path, target: Target, *, pattern: str | None = None, skip: Collection[Path] = ()
) -> Iterator[ImportedLabel | StudyProblem]:
    """Yield one label, or the reason why not, for each study that has masks; one at a time.

    Args:
        root: the studies folder.
        target: whose values the labels get, through each label's foreign values.
        pattern: glob over file names, or over paths below root if it has a slash; it picks among
            several masks, and is the only way to a machine-made one.
        skip: folders not to look into.

    Raises:
        InputError: root is no folder.
    """
    everything = scan(root, target, skip=skip)
    found = [(study_id, one) for study_id, one in everything if isinstance(one, StudyCandidate)]
    names = Names.of(target)
    prefixes: dict[Path, set[str]] = {}
    for _, one in found:
        prefixes.setdefault(one.folder, set()).add(one.prefix)
    for study_id, one in found:
        files = _beside(one, root, prefixes[one.folder])
        try:
            path = _choose(files, one, names, pattern, root)
            if path is not None:
                volume = read_foreign_mask(path, target)
                _check_place(volume.grid, path, one)
                yield ImportedLabel(study_id, volume, path)
        except InputError as error:
            yield StudyProblem(study_id, tuple(files), str(error))


def read_foreign_mask(path: Path, target: Target) -> Volume:
    """Read a mask and give it the target's values, uint8, on its own grid.

    Raises:
        InputError: unreadable, not whole numbers, or values that mean no label of the target.
    """
    volume = read_voxels(path)
    array = np.asarray(volume.array, dtype=np.float32)
    whole = np.rint(array)
    if not np.isfinite(array).all() or np.abs(array - whole).max() > _ROUNDING:
        raise InputError(
            f"{path}: values that are no whole numbers",
            expected="a mask: one whole number a voxel",
            remedy="turn probabilities into labels first, and NaN into 0",
        )
    meaning = {value: label.value for label in target.labels for value in label.foreign_values}
    translated = np.zeros(whole.shape, dtype=np.uint8)
    for foreign, value in meaning.items():
        translated[whole == foreign] = value
    unknown = np.unique(whole[(whole != 0) & (translated == 0)])
    if len(unknown):
        raise InputError(
            f"{path}: values {', '.join(f'{v:g}' for v in unknown)} mean no label of {target.name}",
            expected=f"0 and {', '.join(map(str, sorted(meaning)))}",
            remedy="check that this is the right mask, or add import_values in the target's YAML",
        )
    return Volume(translated, volume.affine_ras)


def _check_place(mask: Grid, path: Path, study: StudyCandidate) -> None:
    """Refuse a mask that lies on the grid of none of the study's sequences."""
    grids = {sequence: source.grid() for sequence, source in study.sources.items()}
    if any(same_place(mask, grid) for grid in grids.values()):
        return
    raise InputError(
        f"{path} lies on no grid of its study: {place_of(mask)}",
        expected="; ".join(f"{sequence}: {place_of(grid)}" for sequence, grid in grids.items()),
        remedy="check that the mask belongs to this study, or resample it onto one of its images",
    )


def _beside(study: StudyCandidate, root: Path, prefixes: Collection[str]) -> list[Path]:
    """Every image file that might be a mask of this study."""
    if study.label is not None:
        return [study.label]
    taken = set(files_of(study.sources))
    inside = _volumes([study.folder, *_mask_folders(study.folder)])
    own = [path for path in inside if (owner_of(stem(path), prefixes) or "") == study.prefix]
    if study.folder != root:
        above = study.folder.parent
        # A flat folder's patients are its prefixes; else each folder beside is a patient.
        patients = prefixes if study.prefix else [path.name for path in above.iterdir()]
        patient = study.prefix or study.folder.name
        beside = _volumes(_mask_folders(above))
        own += [path for path in beside if owner_of(stem(path), patients) == patient]
    return [path for path in own if path not in taken]


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
    """The one mask of the study; None if it has none.

    Raises:
        InputError: several fit, or only machine-made ones.
    """
    if pattern is not None:
        return _only([path for path in files if _fits(path, pattern, root)], study, pattern)
    if study.label is not None:
        return study.label
    pieces = {path: _bare(path, study) for path in files}
    plain = [path for path in files if not pieces[path]]
    masks = [p for p in files if p in plain or names.is_mask_of_target(pieces[p])]
    human = [path for path in masks if not is_machine_made(pieces[path])]
    if masks and not human:
        listed = ", ".join(path.name for path in masks)
        raise InputError(
            f"{study.name}: only masks that a machine drew ({listed})",
            expected="a mask drawn or checked by a human",
            remedy="if you want to learn from one of these, name it with --pattern",
        )
    exact = [p for p in human if p in plain or _spelling(pieces[p]) in names.own_masks]
    return _only(exact or human, study, pattern)


def _spelling(pieces: tuple[Piece, ...]) -> str:
    return "".join(piece.text for piece in pieces)


def _only(paths: list[Path], study: StudyCandidate, pattern: str | None) -> Path | None:
    if len(paths) > 1:
        raise InputError(
            f"{study.name}: {len(paths)} masks fit: {', '.join(path.name for path in paths)}",
            expected="one mask a study",
            remedy=f"name one with {'a narrower ' if pattern else ''}--pattern",
        )
    return paths[0] if paths else None


def _fits(path: Path, pattern: str, root: Path) -> bool:
    if "/" not in pattern:
        return fnmatchcase(path.name, pattern)
    return path.is_relative_to(root) and fnmatchcase(path.relative_to(root).as_posix(), pattern)


def _bare(path: Path, study: StudyCandidate) -> tuple[Piece, ...]:
    """The pieces of a mask's name after its patient's: the study's prefix or folder.

    None are left of `labels/anna.nii.gz`: the folder says that it is a mask.
    """
    name = stem(path)
    for owner in (study.prefix, study.folder.name, study.name, safe_id(study.name)):
        whole = name == owner and path.parent.name.lower() not in MASK_FOLDERS
        if owner and not whole and owner_of(name, [owner]) is not None:
            return split_name(name[len(owner) :])
    return split_name(name)
