"""Import masks that lie beside studies as final labels: `zeus import-labels`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.files import read_label
from zeus_app.labels.mask_files import ImportedLabel, MaskReport, search_masks
from zeus_app.labels.study_uids import STUDY_UID
from zeus_app.labels.versions import FINAL, LabelHistory, LabelVersion
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.file_names import readable
from zeus_app.storage.state import state_folder
from zeus_app.targets import target_of

_SOURCE = "imported_from"
_MOST_LISTED = 10  # files with one reason


class Outcome(Enum):
    """What became of a study; the value is the words for one and for several."""

    IMPORTED = ("label imported", "labels imported")
    KEPT = ("label kept", "labels kept")
    LEFT_OUT = ("study left out", "studies left out")
    NO_MASK = ("study without a mask", "studies without a mask")
    UNUSABLE = ("study that cannot be used", "studies that cannot be used")
    NOT_TAKEN = ("", "")
    """Of files only: it says nothing about the study."""


@dataclass(frozen=True)
class ImportLine:
    """A line about one study.

    Attributes:
        study_id: id of the study; "" for files that belong to no study.
        text: the imported file, or the reason why nothing was imported.
        outcome: what became of the study.
    """

    study_id: str
    text: str
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.study_id}: {self.text}" if self.study_id else self.text


def import_into_store(
    folder: Path,
    config: ZeusConfig,
    *,
    pattern: str | None = None,
    convention: str | None = None,
    replace: bool = False,
    masks: Path | None = None,
) -> Iterator[ImportLine]:
    """Add the mask of each study as a version of its final label.

    A label that a user submitted or corrected after the import stays, unless `replace` is set.

    Args:
        folder: the studies folder.
        config: names the target and the state folder.
        pattern: glob that chooses among several masks.
        convention: the data set whose values the masks have, see `Target.import_conventions`.
        replace: import a mask even if the final label is another one.
        masks: folder of the masks; None if they lie among the studies.

    Yields:
        What became of each study, and the masks that are not taken, with the reasons.

    Raises:
        InputError: `folder` or `masks` is not a folder, or the target needs another convention.
    """
    if masks is not None and not masks.is_dir():
        raise InputError(
            f"folder of masks {masks}",
            expected="an existing folder",
            remedy="check the path, for example with ls",
        )
    masks = None if masks is None or masks.resolve() == folder.resolve() else masks
    target = target_of(config).reading(convention)
    state = state_folder(config, target=target.name, studies=folder)
    history = LabelHistory(state.labels)
    skip = (state.root,)
    for report in search_masks(folder, target, pattern=pattern, skip=skip, masks=masks):
        if report.label is not None:
            yield _imported(report.label, history, replace=replace)
        elif report.study_id:
            yield _not_imported(report)
        yield from _not_taken(report, masks or folder)


def summary(lines: Iterable[ImportLine]) -> str:
    """The numbers of all outcomes: "3 labels imported, 1 label kept"; at least of imports."""
    counts = Counter(line.outcome for line in lines)
    told = [outcome for outcome in Outcome if counts[outcome] or outcome is Outcome.IMPORTED]
    return ", ".join(
        f"{counts[outcome]} {outcome.value[counts[outcome] != 1]}"
        for outcome in told
        if outcome is not Outcome.NOT_TAKEN
    )


def _imported(mask: ImportedLabel, history: LabelHistory, *, replace: bool) -> ImportLine:
    newest = history.newest(mask.study_id, FINAL)
    if newest and _is_same(newest, mask):
        return ImportLine(mask.study_id, f"kept: unchanged, {mask.path}", Outcome.KEPT)
    if newest and not _came_from(newest, mask.path) and not replace:
        text = "kept: corrected since; --replace imports the mask anyway"
        return ImportLine(mask.study_id, text, Outcome.KEPT)
    info = {_SOURCE: str(mask.path.resolve())}
    info |= {STUDY_UID: mask.study_uid} if mask.study_uid else {}
    history.save(mask.study_id, FINAL, mask.volume, info)
    return ImportLine(mask.study_id, str(mask.path), Outcome.IMPORTED)


def _not_imported(report: MaskReport) -> ImportLine:
    if report.problem:
        return ImportLine(report.study_id, f"left out: {report.problem}", Outcome.LEFT_OUT)
    if report.unusable:
        return ImportLine(report.study_id, f"cannot be used: {report.unusable}", Outcome.UNUSABLE)
    return ImportLine(report.study_id, "no mask", Outcome.NO_MASK)


def _not_taken(report: MaskReport, folder: Path) -> Iterator[ImportLine]:
    """A line for each reason why files are not taken."""
    for reason, files in _by_reason(report.unused).items():
        names = [readable(_below(path, folder)) for path in files[:_MOST_LISTED]]
        rest = f" and {len(files) - _MOST_LISTED} more" if len(files) > _MOST_LISTED else ""
        text = f"not taken: {', '.join(names)}{rest} ({reason})"
        yield ImportLine(report.study_id, text, Outcome.NOT_TAKEN)


def _by_reason(unused: Mapping[Path, str]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = defaultdict(list)
    for path, reason in unused.items():
        files[reason].append(path)
    return files


def _below(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _is_same(newest: LabelVersion, mask: ImportedLabel) -> bool:
    label = read_label(newest.path)
    return label.grid.matches(mask.volume.grid) and np.array_equal(label.array, mask.volume.array)


def _came_from(newest: LabelVersion, path: Path) -> bool:
    source = newest.info.get(_SOURCE)
    return source is not None and Path(source).resolve() == path.resolve()
