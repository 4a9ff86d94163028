"""Find the mask of each study among the files beside it, for `zeus import-labels`.

Zeus never uses such a mask without the user's command: it may be of another structure, or made by a
machine. A mask belongs to a study under these conditions:

- Folders and names tell that it is the study's (`mask_search.py`).
- Its name is that of a mask, and of no other structure (`mask_names.py`).
- Its voxels lie where those of one of the study's sequences lie.

A name that says that a machine drew the mask (`ai`, `pred`, `nnunet`) counts only if the user's
pattern asks for it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.files import read_mask
from zeus_app.labels.given_masks import search_given
from zeus_app.labels.grids import describe_grid, same_place
from zeus_app.labels.mask_names import MaskName, read_mask_name
from zeus_app.labels.mask_search import FoundMasks, search_files
from zeus_app.labels.segments import segment_names
from zeus_app.labels.values import listed
from zeus_app.settings.file_names import check_utf8, readable
from zeus_app.studies.candidates import owner_of
from zeus_app.studies.find import scan
from zeus_app.targets import Target
from zeus_app.targets.naming import Names, safe_id
from zeus_app.types import Grid, StudyCandidate, StudyProblem, Volume
from zeus_app.volumes.formats import unread_format
from zeus_app.volumes.sources import is_volume, stem


@dataclass(frozen=True, eq=False)
class ImportedLabel:
    """The mask of a study, with the target's values.

    Attributes:
        study_id: id of the study.
        volume: uint8 label map on the mask's own grid.
        path: the mask's file.
        study_uid: DICOM Study Instance UID; empty for other files.
    """

    study_id: str
    volume: Volume
    path: Path
    study_uid: str = ""


@dataclass(frozen=True, eq=False)
class MaskReport:
    """What was found for one study.

    Attributes:
        study_id: id of the study; "" for files that belong to no study.
        label: its mask; None without one.
        problem: why no mask can be used, although there are some; else "".
        files: the files that may be its mask.
        unused: file that is named or placed as a mask -> why it is not taken.
        unusable: why the study itself cannot be used; "" if it can.
    """

    study_id: str
    label: ImportedLabel | None = None
    problem: str = ""
    files: tuple[Path, ...] = ()
    unused: Mapping[Path, str] = field(default_factory=dict)
    unusable: str = ""


def find_masks(
    root: Path, target: Target, *, pattern: str | None = None, skip: Collection[Path] = ()
) -> Iterator[ImportedLabel | StudyProblem]:
    """Yield the mask of each study that has one, or the reason why none can be used.

    The arguments and errors are those of `search_masks`.
    """
    for report in search_masks(root, target, pattern=pattern, skip=skip):
        if report.label is not None:
            yield report.label
        elif report.problem:
            yield StudyProblem(report.study_id, report.files, report.problem)


def search_masks(
    root: Path,
    target: Target,
    *,
    pattern: str | None = None,
    skip: Collection[Path] = (),
    masks: Path | None = None,
) -> Iterator[MaskReport]:
    """Yield a report for each study, and one for the files that belong to no study.

    Args:
        root: the studies folder.
        target: the labels. Each label's `import_values` become its value.
        pattern: glob over file names, or over paths below `root` if it has a slash. It chooses
            among several masks. A machine-made mask is used only if a pattern matches it.
        skip: folders that are not searched.
        masks: folder of the masks, see `given_masks.py`; None if they lie among the studies.

    Raises:
        InputError: `root` is not a folder.
    """
    found = scan(root, target, skip=skip if masks is None else (*skip, masks))
    studies = {one: study for one, study in found if isinstance(study, StudyCandidate)}
    for study_id, rejected in found:
        if not isinstance(rejected, StudyCandidate):
            yield MaskReport(study_id, unusable=rejected.reason)
    names = Names.of(target)
    if masks is None:
        files = search_files(root, studies, names, skip=skip)
    else:
        files = search_given(masks, studies, skip=skip)
        studies = {one: replace(study, label=None) for one, study in studies.items()}
    for study_id, study in studies.items():
        chooser = _Chooser(study, files, names, pattern, masks or root)
        yield chooser.report(study_id)
    if files.strays:
        yield MaskReport("", unused=files.strays)


def read_foreign_mask(path: Path, target: Target) -> Volume:
    """Read a mask and translate its values to the target's.

    Returns:
        uint8 label map on the mask's own grid.

    Raises:
        InputError: the mask is unreadable, or holds fractions or values of no label of the target.
    """
    volume = read_mask(path)
    whole = volume.array
    new_value = _values_by_name(path, target) or {
        value: label.value for label in target.labels for value in label.foreign_values
    }
    translated = np.zeros(whole.shape, dtype=np.uint8)
    for foreign, value in new_value.items():
        translated[whole == foreign] = value
    unknown = whole[(whole != 0) & (translated == 0)]
    if len(unknown):
        raise InputError(
            f"{path}: values {listed(unknown)} are no label of {target.name}",
            expected=f"0 and {', '.join(f'{value:g}' for value in sorted(new_value))}",
            remedy=f"choose the right --convention: {', '.join(target.import_conventions)}"
            if target.import_conventions
            else "check that this is the right mask, or add the value to a label in the target's"
            " YAML, for example import_values: [1, 4]",
        )
    return Volume(translated, volume.affine_ras)


def _values_by_name(path: Path, target: Target) -> dict[float, int]:
    """Value -> the target's value, for the segments of a .seg.nrrd with names of the target."""
    names = segment_names(path, None)
    return {value: target.label_values[name] for value, name in names.items()
            if name in target.label_values}  # fmt: skip


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


@dataclass(frozen=True, eq=False)
class _Chooser:
    """Chooses the mask of one study."""

    study: StudyCandidate
    found: FoundMasks
    names: Names
    pattern: str | None
    root: Path

    def report(self, study_id: str) -> MaskReport:
        """The study's mask, or why it has none, and the masks that are not taken."""
        near = self.found.near.get(study_id, ())
        files = (*near, *self.found.far.get(study_id, ()))
        said = {path: self._said(path) for path in files}
        label, problem, told = None, "", set[Path]()
        try:
            fitting = self._fitting(files, said)
            told = set(fitting)
            if path := self._only([p for p in fitting if p in near] or fitting):
                check_utf8(path)
                volume, uid = read_foreign_mask(path, self.names.target), self.study.study_uid
                _check_place(volume.grid, path, self.study)
                label, told = ImportedLabel(study_id, volume, path, uid), {path}
        except InputError as error:
            problem = readable(error)  # it names the masks that may be meant
            told.update(path for path in files if not said[path].reason)
        unused = {path: self._why_unused(path, said[path]) for path in files if path not in told}
        return MaskReport(
            study_id, label, problem, files, {path: why for path, why in unused.items() if why}
        )

    def _said(self, path: Path) -> MaskName:
        is_placed = path in self.found.placed
        text = _name_of(path, self.study, may_be_empty=is_placed)
        return read_mask_name(text, self.names, in_mask_folder=is_placed)

    def _fitting(self, files: Collection[Path], said: Mapping[Path, MaskName]) -> list[Path]:
        """The masks that fit best; several if it is unknown which is meant.

        Raises:
            InputError: all masks are machine-made.
        """
        readable_files = [path for path in files if is_volume(path)]
        if self.pattern is not None:
            return [path for path in readable_files if _fits(path, self.pattern, self.root)]
        if self.study.label is not None:
            return [self.study.label]
        masks = [path for path in readable_files if not said[path].reason]
        manual = [path for path in masks if not said[path].is_machine_made]
        if masks and not manual:
            raise InputError(
                f"{self.study.name}: only masks that a machine drew"
                f" ({', '.join(path.name for path in masks)})",
                expected="a mask drawn or checked by a human",
                remedy="to train on one of these, choose it, for example with --pattern"
                f" {masks[0].name!r}",
            )
        best = min((said[path].rank for path in manual), default=None)
        return [path for path in manual if said[path].rank == best]

    def _only(self, paths: list[Path]) -> Path | None:
        if len(paths) > 1:
            narrower = "a narrower " if self.pattern else ""
            raise InputError(
                f"{self.study.name}: {len(paths)} masks fit:"
                f" {', '.join(path.name for path in paths)}",
                expected="one mask per study",
                remedy=f"choose one with {narrower}--pattern, for example"
                f" --pattern {paths[0].name!r}",
            )
        return paths[0] if paths else None

    def _why_unused(self, path: Path, said: MaskName) -> str:
        """Why a mask is not taken; "" for files that are no masks."""
        if not (said.may_be_mask or path in self.found.placed):
            return ""
        if reason := unread_format(path):
            return f"not readable: {reason}"
        if self.pattern is not None:
            return "it does not fit the pattern"
        if said.is_machine_made:
            return "a machine drew it; --pattern takes it"
        return said.reason or "another mask was taken"


def _fits(path: Path, pattern: str, root: Path) -> bool:
    if "/" not in pattern:
        return fnmatchcase(path.name, pattern)
    return path.is_relative_to(root) and fnmatchcase(path.relative_to(root).as_posix(), pattern)


def _name_of(path: Path, study: StudyCandidate, *, may_be_empty: bool) -> str:
    """A mask's name without the patient's: the study's prefix or folder name.

    Nothing may be left of `labels/anna.nii.gz`: its folder says that it is a mask.
    """
    name = stem(path)
    own = (study.prefix, study.folder.name, study.name, safe_id(study.name))
    names = (*own, *study.former_names)
    for owner in names:
        if owner and (may_be_empty or name != owner) and owner_of(name, [owner]) is not None:
            return name[len(owner) :]
    return name
