"""The studies that version 0.3.0 and older made of image files, and their patients.

Each folder was a study, or each prefix of the file names in it. The rules stay as they were, or
former ids are not found again.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeus_app.recognition.words import word_set
from zeus_app.studies.candidates import owner_of
from zeus_app.studies.former_words import FormerWords, Piece, split_name
from zeus_app.targets.naming import plain_id
from zeus_app.volumes.sources import stem

_BIDS = re.compile(r"(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)(?=_)")
_BIDS_SUBJECT = re.compile(r"^.*?(?<![A-Za-z0-9])sub-[A-Za-z0-9]+")
_SESSION = re.compile(r"[_-]ses[-_]")
_DATE_OR_NUMBER = re.compile(r"[\d._ -]+")
_OFF_AXIS = word_set("sag sagittal cor coronal")
_COLLECTIONS = word_set(
    "train training test testing val validation images data dataset datasets cohort cases "
    "patients subjects studies hgg lgg"
)
_MODALITIES = word_set("mr mri")

_Pieces = tuple[Piece, ...]


@dataclass(frozen=True)
class FormerStudy:
    """A study as it was read until version 0.3.0.

    Attributes:
        id: its id of then.
        patient: its patient of then.
        images: sequence -> its file.
    """

    id: str
    patient: str
    images: Mapping[str, Path]


@dataclass(frozen=True)
class _Reading:
    """Sequence -> the files that spelled it alone; and the files that spelled several."""

    sequences: Mapping[str, list[Path]]
    unclear: Mapping[Path, frozenset[str]]

    @property
    def is_study(self) -> bool:
        """Whether a study was made of the files. Of an unusable one there is no state."""
        is_clear = all(spelled <= self.sequences.keys() for spelled in self.unclear.values())
        is_single = all(len(paths) == 1 for paths in self.sequences.values())
        return bool(self.sequences) and is_single and is_clear


def former_studies(
    root: Path, folder: Path, name: str, files: Sequence[Path], words: FormerWords
) -> Iterator[FormerStudy]:
    """The studies that the image files of one folder were.

    Args:
        root: the studies folder.
        folder: the files' folder.
        name: the name of a study that is this folder.
        files: the image files, masks included, sorted.
        words: the target's aliases.
    """
    pieces = {path: split_name(stem(path)) for path in files}
    is_root = folder == root
    groups = _by_prefix(pieces, words)
    whole = _read(pieces, folder.name, words)
    if _are_studies(groups, whole, pieces, words, is_root=is_root):
        shared = "" if is_root else f"{name}_"
        for prefix in groups:
            own = {path: pieces[path] for path in files if owner_of(stem(path), groups) == prefix}
            yield from _study(root, folder, shared + prefix, prefix, _read(own, prefix, words))
    elif groups or not is_root:
        prefix = next(iter(groups)) if is_root and len(groups) == 1 else ""
        yield from _study(root, folder, prefix or name, prefix, whole)


def former_patient(study_id: str, folder: Path, prefix: str, root: Path) -> str:
    """The patient of a study whose layout names none.

    Args:
        study_id: its id of then.
        folder: the folder of its files.
        prefix: the prefix of its files' names, if the folder held several studies; else empty.
        root: the studies folder.
    """
    subject = _BIDS_SUBJECT.match(study_id)
    if subject:
        return subject.group()
    by_name = _SESSION.split(study_id, maxsplit=1)[0]
    if by_name != study_id:
        return by_name
    parts = folder.relative_to(root).parts
    is_visit = _DATE_OR_NUMBER.fullmatch(prefix) or owner_of(prefix, parts) is not None
    if prefix and not is_visit:
        return study_id
    for depth, part in enumerate(parts if prefix else parts[:-1], start=1):
        if not _is_collection(part):
            return plain_id("_".join(parts[:depth]))
    return study_id


def _is_collection(folder: str) -> bool:
    words = {piece.text for piece in split_name(folder)}
    return folder.lower() in _MODALITIES or not words.isdisjoint(_COLLECTIONS)


def _study(
    root: Path, folder: Path, name: str, prefix: str, reading: _Reading
) -> Iterator[FormerStudy]:
    if reading.is_study:
        study_id = plain_id(name)
        images = {sequence: paths[0] for sequence, paths in reading.sequences.items()}
        yield FormerStudy(study_id, former_patient(study_id, folder, prefix, root), images)


def _are_studies(
    groups: Mapping[str, list[Path]],
    whole: _Reading,
    pieces: Mapping[Path, _Pieces],
    words: FormerWords,
    *,
    is_root: bool,
) -> bool:
    """Whether each prefix was a study. Prefixes with one sequence each were numbers of series."""
    repeats = any(len(paths) > 1 for paths in whole.sequences.values())
    if len(groups) < 2 or "" in groups or not (is_root or repeats):
        return False
    if is_root or len(whole.sequences) < 2:
        return True
    readings = (_read({p: pieces[p] for p in paths}, "", words) for paths in groups.values())
    return any(len(reading.sequences) > 1 for reading in readings)


def _by_prefix(pieces: Mapping[Path, _Pieces], words: FormerWords) -> dict[str, list[Path]]:
    """The images by the text before their last sequence."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, parts in pieces.items():
        if hits := words.hits(parts):
            name = stem(path)
            bids = _BIDS.match(name)
            before = name[: parts[hits[-1].first].start].rstrip("_-. ")
            groups[bids.group(1) if bids else before].append(path)
    return dict(groups)


def _read(pieces: Mapping[Path, _Pieces], folder: str, words: FormerWords) -> _Reading:
    """Of three ways to read the names, the one that told most sequences.

    They are: without the shared prefix, without the folder's name, whole.
    """
    owner = [piece.text for piece in split_name(folder)]
    bare = {path: _without(owner, parts) for path, parts in pieces.items()}
    shared = _shared_prefix(list(bare.values()))
    shorter = {path: _without(shared, parts) for path, parts in bare.items()}
    readings = [_sorted_out(way, words) for way in (shorter, bare, pieces)]
    return max(readings, key=lambda r: sum(len(paths) == 1 for paths in r.sequences.values()))


def _sorted_out(pieces: Mapping[Path, _Pieces], words: FormerWords) -> _Reading:
    sequences: dict[str, list[Path]] = defaultdict(list)
    unclear = {}
    for path, parts in pieces.items():
        spelled = frozenset(hit.sequence for hit in words.hits(parts))
        if len(spelled) > 1:
            unclear[path] = spelled
        elif spelled:
            sequences[next(iter(spelled))].append(path)
    for name, paths in sequences.items():
        axial = [p for p in paths if _OFF_AXIS.isdisjoint(piece.text for piece in pieces[p])]
        sequences[name] = axial if len(axial) == 1 else paths
    return _Reading(sequences, unclear)


def _without(prefix: Sequence[str], pieces: _Pieces) -> _Pieces:
    """The pieces after the prefix; all of them if they do not start with it, or end there."""
    count = len(prefix)
    if len(pieces) > count and [piece.text for piece in pieces[:count]] == list(prefix):
        return pieces[count:]
    return pieces


def _shared_prefix(names: Sequence[_Pieces]) -> list[str]:
    """The first pieces that all names share, up to a word for a mask."""
    shared: list[str] = []
    for column in zip(*names, strict=False) if len(names) > 1 else ():
        if len({piece.text for piece in column}) > 1 or column[0].is_mask_word:
            break
        shared.append(column[0].text)
    return shared
