"""Group the image files of one folder into studies: one study, or one per prefix.

The part of a name before the sequence's word is the patient. Names are read without the prefix
that all files share, and without the folder's name: `T2_patient_FLAIR` is a FLAIR.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from zeus_app.studies.candidates import owner_of, source_of
from zeus_app.targets.naming import Hit, Names, Piece, is_mask_word, split_name, words
from zeus_app.types import RejectedStudy, StudyCandidate
from zeus_app.volumes.sources import stem

_BIDS = re.compile(r"(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)(?=_)")
_OFF_AXIS = words("sag sagittal cor coronal")


@dataclass(frozen=True)
class Reading:
    """Files sorted by the sequences that their names spell.

    Attributes:
        sequences: sequence name -> files that spell this sequence only.
        unclear: file -> the several sequences that it spells.
        others: masks, and files that spell no sequence.
    """

    sequences: dict[str, list[Path]]
    unclear: dict[Path, tuple[str, ...]]
    others: tuple[Path, ...]

    @property
    def clear(self) -> int:
        """Number of sequences with exactly one file."""
        return sum(len(paths) == 1 for paths in self.sequences.values())


def read_folder(
    folder: Path, name: str, files: Sequence[Path], names: Names, *, is_root: bool
) -> list[StudyCandidate | RejectedStudy]:
    """Group the image files of one folder into studies.

    Args:
        folder: the folder.
        name: the study's name if the whole folder is one study.
        files: the image files, sorted; at least one.
        names: the target's aliases.
        is_root: whether this is the studies folder. It is no patient; its files are grouped by
            prefix.
    """
    reading = read_names(files, folder.name, names)
    repeats = any(len(paths) > 1 for paths in reading.sequences.values())
    groups = _by_prefix(files, names)
    several = len(groups) > 1 and "" not in groups and (is_root or repeats)
    if several and not is_root and len(reading.sequences) > 1:
        # Prefixes with one sequence each (03_flair, 04_t1, 05_t1) are numbers of series.
        several = any(len(read_names(g, "", names).sequences) > 1 for g in groups.values())
    if not groups and is_root:
        return [_no_sequence(stem(path), folder, [path], names) for path in files]
    if not several:
        prefix = next(iter(groups)) if is_root and len(groups) == 1 else ""
        return [_one_study(prefix or name, prefix, folder, reading, names)]
    return _study_per_prefix(folder, "" if is_root else f"{name}_", files, groups, names)


def _study_per_prefix(
    folder: Path, shared: str, files: Sequence[Path], groups: Iterable[str], names: Names
) -> list[StudyCandidate | RejectedStudy]:
    """One study for each prefix in `groups`, and a rejected one for each file without prefix."""
    studies: list[StudyCandidate | RejectedStudy] = []
    for prefix in groups:
        members = [path for path in files if owner_of(stem(path), groups) == prefix]
        reading = read_names(members, prefix, names)
        studies.append(_one_study(shared + prefix, prefix, folder, reading, names))
    for path in files:
        is_alone = owner_of(stem(path), groups) is None
        if is_alone and not names.is_mask(split_name(stem(path))):
            studies.append(_no_sequence(shared + stem(path), folder, [path], names))
    return studies


def read_names(files: Sequence[Path], folder: str, names: Names) -> Reading:
    """Sort files by the sequences that their names spell.

    Names are read in three ways: without the shared prefix, without the folder's name, and
    complete. The reading with most clear sequences is returned.
    """
    pieces = {path: split_name(stem(path)) for path in files}
    folder_words = [piece.text for piece in split_name(folder)]
    without_folder = {path: _without(folder_words, parts) for path, parts in pieces.items()}
    shared = _shared_prefix(list(without_folder.values()))
    without_shared = {path: _without(shared, parts) for path, parts in without_folder.items()}
    readings = [_sort(parts, names) for parts in (without_shared, without_folder, pieces)]
    return max(readings, key=lambda reading: reading.clear)


def _sort(pieces: dict[Path, tuple[Piece, ...]], names: Names) -> Reading:
    sequences: dict[str, list[Path]] = defaultdict(list)
    unclear, others = {}, []
    for path, parts in pieces.items():
        spelled = tuple(dict.fromkeys(hit.sequence for hit in names.hits(parts)))
        if not spelled or names.is_mask(parts):
            others.append(path)
        elif len(spelled) > 1:
            unclear[path] = spelled
        else:
            sequences[spelled[0]].append(path)
    for name, paths in sequences.items():
        axial = [p for p in paths if not _OFF_AXIS & {piece.text for piece in pieces[p]}]
        if len(axial) == 1:
            others += [path for path in paths if path not in axial]
            sequences[name] = axial
    return Reading(dict(sequences), unclear, tuple(others))


def _without(prefix: Sequence[str], pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The pieces after the prefix. All pieces, if they do not start with it or end with it."""
    count = len(prefix)
    if len(pieces) > count and [piece.text for piece in pieces[:count]] == list(prefix):
        return pieces[count:]
    return pieces


def _shared_prefix(names: list[tuple[Piece, ...]]) -> list[str]:
    """The first pieces that all names share, up to a word for masks."""
    shared: list[str] = []
    for column in zip(*names, strict=False) if len(names) > 1 else ():
        if len({piece.text for piece in column}) > 1 or is_mask_word(column[0]):
            break
        shared.append(column[0].text)
    return shared


def _by_prefix(files: Iterable[Path], names: Names) -> dict[str, list[Path]]:
    """Files that spell a sequence, by the part of the name before it."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        pieces = split_name(stem(path))
        hits = names.hits(pieces)
        if hits and not names.is_mask(pieces):
            groups[_prefix(stem(path), pieces, hits[-1])].append(path)
    return dict(groups)


def _prefix(name: str, pieces: Sequence[Piece], hit: Hit) -> str:
    """The patient's part of a file name: the BIDS entities, or all before the sequence."""
    bids = _BIDS.match(name)
    return bids.group(1) if bids else name[: pieces[hit.first].start].rstrip("_-. ")


def _one_study(
    name: str, prefix: str, folder: Path, reading: Reading, names: Names
) -> StudyCandidate | RejectedStudy:
    """A study of these files, or the reason why they are none."""
    files = sorted([*chain(*reading.sequences.values()), *reading.unclear])
    if not files:
        return _no_sequence(name, folder, list(reading.others), names)
    reasons = [
        f"several files for {sequence}: {', '.join(path.name for path in paths)}"
        for sequence, paths in reading.sequences.items()
        if len(paths) > 1
    ]
    reasons += [
        f"{path.name} could be {' or '.join(spelled)}"
        for path, spelled in reading.unclear.items()
        if not set(spelled) <= set(reading.sequences)  # others have a clear file for these
    ]
    if reasons:
        remedy = "Keep one file per sequence, or list the study in cases.json"
        return RejectedStudy(name, folder, tuple(files), f"{'; '.join(reasons)}. {remedy}")
    sources = {sequence: source_of(paths[0]) for sequence, paths in reading.sequences.items()}
    return StudyCandidate(name, folder, sources, prefix=prefix)


def _no_sequence(name: str, folder: Path, files: list[Path], names: Names) -> RejectedStudy:
    listed = ", ".join(path.name for path in files[:6]) + (" ..." if len(files) > 6 else "")
    reason = (
        f"no file name holds a sequence of the target ({names.listed}): {listed}. Add the word "
        "that your files use to the aliases in the target's YAML, or list the study in cases.json"
    )
    only_masks = all(names.is_mask(split_name(stem(path))) for path in files)
    return RejectedStudy(name, folder, tuple(files), reason, only_masks=only_masks)
