"""Find the truth of each mask, by the names of files and folders.

A label map in a subfolder has the name of that folder, if it is the only one there or the only one
that is named as a mask: `p1/mask.nii.gz`. With a target, names are read as `zeus import-labels`
reads them, so that a mask of the brain and one that a machine drew are not taken among several.
Every other label map has the name of its file: `p1.nii.gz`.

A pair has names that are equal, or equal without words for masks: `p1_seg` and `p1`. Names of
folders below each other are joined, as study ids are: `anna/visit1` is `anna_visit1`.

Nothing is guessed. Where several files have one name, all of them are listed.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.labels.mask_folders import walk_folders
from zeus_app.labels.mask_names import read_mask_name
from zeus_app.recognition.words import word_set
from zeus_app.settings.file_names import is_utf8, readable
from zeus_app.studies.walk import study_name
from zeus_app.targets import Target
from zeus_app.targets.naming import MASK_FOLDERS, Names, safe_id
from zeus_app.volumes.formats import unread_format
from zeus_app.volumes.sources import is_volume, stem

_MASK_WORDS = MASK_FOLDERS | word_set("truth manual pred prediction predictions dseg final union")
_BETWEEN_WORDS = re.compile(r"[^A-Za-z0-9]+")
_Keys = Callable[["_Map"], list[str]]
_NO_PARTNER = "no partner"
_NOT_UTF8 = "a name that is no UTF-8; rename it"


@dataclass(frozen=True)
class Pair:
    """A mask and its truth.

    Attributes:
        case: the study's id, as the mask's name tells it.
        mask, truth: the files.
    """

    case: str
    mask: Path
    truth: Path


@dataclass(frozen=True)
class Pairs:
    """The masks that have a truth, and the files that are in no pair, with the reasons."""

    pairs: tuple[Pair, ...]
    alone: Mapping[Path, str]


@dataclass(frozen=True)
class _Map:
    """A label map, and its possible names, the most telling first."""

    path: Path
    names: tuple[str, ...]

    @property
    def case(self) -> str:
        """The first name that is more than words for masks."""
        return safe_id(next(filter(_without_mask_words, self.names), self.names[0]))


@dataclass
class _Side:
    """The files of one side, and how the target's names are read."""

    names: Names | None
    maps: list[_Map] = field(default_factory=list)
    alone: dict[Path, str] = field(default_factory=dict)


def find_pairs(masks: Path, truth: Path, *, target: Target | None = None) -> Pairs:
    """Find the pairs of two folders, of a file and a folder, or of two files. Reads names alone.

    Two files are a pair whatever their names.

    Args:
        masks: a folder of label maps, or one.
        truth: the same for the truth.
        target: what the masks show; helps to choose among several files of one folder.

    Raises:
        InputError: one does not exist, or both are the same.
    """
    for path in (masks, truth):
        _check_exists(path)
    if masks.samefile(truth):
        raise InputError(
            f"{readable(masks)} as masks and as truth: they are the same",
            expected="the masks in one folder and the truth in another",
            remedy="name the folder of the truth with --truth",
        )
    if masks.is_file() and truth.is_file():
        return Pairs((Pair(_single(masks).case, masks, truth),), {})
    names = Names.of(target) if target else None
    left, right = _side(masks, names), _side(truth, names)
    pairs, unclear = _matched(left.maps, right.maps)
    taken = {path for pair in pairs for path in (pair.mask, pair.truth)}
    alone = {**left.alone, **right.alone}
    for one in (*left.maps, *right.maps):
        if one.path not in taken:
            alone[one.path] = unclear.get(one.path, _NO_PARTNER)
    return Pairs(tuple(sorted(pairs, key=lambda pair: pair.case)), alone)


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError(
            f"{readable(path)} does not exist",
            expected="a folder of label maps, or one label map",
            remedy="check the path, for example with ls",
        )


def _side(root: Path, names: Names | None) -> _Side:
    """The label maps of a folder or file."""
    side = _Side(names)
    if root.is_file():
        side.maps.append(_single(root))
        return side
    for folder, files in walk_folders(root, ()):
        for path in files:
            if not is_volume(path) and (reason := unread_format(path)):
                side.alone[path] = f"not readable: {reason}"
        _add(side, root, folder, [path for path in files if is_volume(path)])
    return side


def _single(path: Path) -> _Map:
    return _Map(path, (_stem(path), path.absolute().parent.name))


def _add(side: _Side, root: Path, folder: Path, files: list[Path]) -> None:
    """Name the label maps of one folder."""
    good = [path for path in files if is_utf8(path)]
    side.alone.update((path, _NOT_UTF8) for path in files if path not in good)
    chosen = None if folder == root else _only_mask(good, side.names)
    for path in good:
        if chosen is None:
            joined = () if folder == root else (f"{study_name(root, folder)}_{_stem(path)}",)
            side.maps.append(_Map(path, (_stem(path), *joined)))
        elif path == chosen:
            name = study_name(root, folder)
            side.maps.append(_Map(path, (name, folder.name, _stem(path))))
        elif _is_named_mask(path):  # images beside a mask are no masks without a partner
            side.alone[path] = "another mask of its folder is taken"


def _only_mask(files: list[Path], names: Names | None) -> Path | None:
    """The one file of a folder, or the one that is named as a mask; None if it is unclear."""
    are_plain = [path for path in files if not _without_mask_words(_stem(path))]
    are_named = [path for path in files if _is_named_mask(path)]
    of_target = [path for path in files if names and _shows_target(path, names)]
    choices = (files, are_plain, of_target, are_named)
    return next((some[0] for some in choices if len(some) == 1), None)


def _is_named_mask(path: Path) -> bool:
    return not _MASK_WORDS.isdisjoint(_words(_stem(path)))


def _shows_target(path: Path, names: Names) -> bool:
    """Whether a name says that a human drew a mask of the target."""
    said = read_mask_name(_stem(path), names, in_mask_folder=False)
    return not said.reason and not said.is_machine_made


def _matched(masks: list[_Map], truth: list[_Map]) -> tuple[list[Pair], dict[Path, str]]:
    """The pairs; and the files whose partner is unclear, with the reason.

    In each pair one side has its first name. So `anna/visit1` and `berta/visit1` are no pair.
    """
    pairs: list[Pair] = []
    unclear: dict[Path, str] = {}
    for of_masks, of_truth in (
        (_first, _first), (_first, _all), (_all, _first),
        (_first_in_short, _all_in_short), (_all_in_short, _first_in_short),
    ):  # fmt: skip
        paired = {path for pair in pairs for path in (pair.mask, pair.truth)}
        by_key = _by_key(truth, of_truth, paired)
        for key, left in _by_key(masks, of_masks, paired).items():
            right = by_key.get(key, [])
            if len(left) == len(right) == 1:
                if paired.isdisjoint((left[0].path, right[0].path)):
                    pairs.append(Pair(left[0].case, left[0].path, right[0].path))
                    paired |= {left[0].path, right[0].path}
            elif right:
                reason = f"{len(left)} masks and {len(right)} truth files of one name"
                unclear.update((one.path, reason) for one in (*left, *right))
    return pairs, unclear


def _by_key(maps: Iterable[_Map], keys_of: _Keys, paired: set[Path]) -> dict[str, list[_Map]]:
    """Key -> the label maps with it, without those that are paired already."""
    found: dict[str, list[_Map]] = defaultdict(list)
    for one in maps:
        if one.path not in paired:
            for key in dict.fromkeys(keys_of(one)):
                found[key].append(one)
    return found


def _first(one: _Map) -> list[str]:
    return [safe_id(one.names[0])]


def _all(one: _Map) -> list[str]:
    return [safe_id(name) for name in one.names if _without_mask_words(name)]


def _first_in_short(one: _Map) -> list[str]:
    return _all_in_short(_Map(one.path, one.names[:1]))


def _all_in_short(one: _Map) -> list[str]:
    return [short for name in one.names if (short := _without_mask_words(name))]


def _without_mask_words(name: str) -> str:
    """A name in lower case without words for masks at its start and end: `p1` of `P1_seg`."""
    words = _words(safe_id(name))
    while words and words[-1] in _MASK_WORDS:
        words.pop()
    while words and words[0] in _MASK_WORDS:
        words.pop(0)
    return "_".join(words)


def _words(name: str) -> list[str]:
    return [word for word in _BETWEEN_WORDS.split(name.lower()) if word]


def _stem(path: Path) -> str:
    return stem(path).removesuffix(".seg") if path.name.endswith(".seg.nrrd") else stem(path)
