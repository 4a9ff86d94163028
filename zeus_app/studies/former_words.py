"""How version 0.3.0 and older read a file's name. Only former study ids are found with it.

A name was split at everything that is neither letter nor digit, and before a capital that follows
a small letter or a digit. Pieces that spell an alias of the target were a hit; the longest alias
won. The rules stay as they were, or former ids are not found again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from zeus_app.recognition.words import word_set
from zeus_app.targets import Target

_PIECE = re.compile(r"[A-Z]*[^A-Z\W_]*")
_LONGEST_RUN = 5  # pieces of one alias
# Planes and pulse sequences: they stand between the words of an alias ("T1 AX POST").
_FILLERS = word_set(
    "ax axial tra trans transverse transversal sag sagittal cor coronal obl oblique "
    "tse fse se spgr mprage mp2rage space vibe 2d 3d"
)
_FUSED = re.compile(
    r"^(?:axial|ax|sag|cor|tra|2d|3d)*(?P<core>.+?)(?:axial|ax|sag|cor|tra|tse|fse|se|2d|3d)*$"
)
_MASK_WORDS = word_set(
    "seg segm segs dseg probseg pveseg aseg segmentation segmentations mask masks brainmask "
    "label labels gt groundtruth ground truth otmulticlass consensus aiconsensus roi rois "
    "lesion lesions gland wholegland annotation annotations contour contours"
)
_MASKS = dict.fromkeys(_MASK_WORDS, "mask")
_FUSED_MASK = re.compile(r"(?:masks?|segs?|labels?)\d*$")
_NO_SEQUENCES = word_set("t1map t1mapping t1rho t1star t2map t2mapping t2star t2starw r2star")


@dataclass(frozen=True)
class Piece:
    """A part of a name.

    Attributes:
        text: its characters in lower case.
        start: its offset in the name.
        is_closed: whether an alias may end here: the `T1` of `T1MAP` is not T1.
    """

    text: str
    start: int = field(compare=False)
    is_closed: bool

    @property
    def is_mask_word(self) -> bool:
        """Whether this piece alone marked a mask."""
        return self.text in _MASK_WORDS or _FUSED_MASK.search(self.text) is not None


@dataclass(frozen=True)
class Hit:
    """The pieces from `first` to `last`, inclusive, that spell an alias of `sequence`."""

    sequence: str
    alias: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class FormerWords:
    """The aliases of a target: small letters and digits of an alias -> what it means."""

    sequences: Mapping[str, str]
    own_masks: Mapping[str, str]

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, target: Target) -> "FormerWords":
        """The aliases in a target's YAML, and the names of its sequences."""
        sequences = {
            _plain(alias): sequence.name
            for sequence in target.sequences
            for alias in (*sequence.aliases, sequence.name)
        }
        return cls(
            dict.fromkeys(_NO_SEQUENCES, "") | sequences,
            {_plain(alias): alias for alias in target.mask_aliases},
        )

    def hits(self, pieces: tuple[Piece, ...]) -> tuple[Hit, ...]:
        """The sequences that the pieces of a name spell, in order; none in a mask's name."""
        return _sequence_hits(self, pieces)


@lru_cache(maxsize=65536)  # names of many patients end alike
def _sequence_hits(words: FormerWords, pieces: tuple[Piece, ...]) -> tuple[Hit, ...]:
    hits = tuple(hit for hit in _hits(pieces, words.sequences) if hit.sequence)
    return hits if hits and not _is_mask(words, pieces, hits[-1]) else ()


def _is_mask(words: FormerWords, pieces: Sequence[Piece], last: Hit) -> bool:
    if _hits(pieces, _MASKS):
        return True
    if any(piece.is_mask_word and piece.text not in words.sequences for piece in pieces):
        return True
    return any(mask.first > last.last for mask in _hits(pieces, words.own_masks))


def split_name(name: str) -> tuple[Piece, ...]:
    """The pieces of a name without its suffix."""
    pieces = []
    for match in _PIECE.finditer(name):
        end = match.end()
        if match.group():
            is_cut = end < len(name) and name[end].isupper() and name[end - 1].isdigit()
            pieces.append(Piece(match.group().lower(), match.start(), not is_cut))
    return tuple(pieces)


def _hits(pieces: Sequence[Piece], aliases: Mapping[str, str]) -> list[Hit]:
    """What the pieces spell, in order. Of overlapping aliases the longest counts."""
    kept = [i for i, piece in enumerate(pieces) if piece.text not in _FILLERS]
    found = []
    for at, first in enumerate(kept):
        text = ""
        for last in kept[at : at + _LONGEST_RUN]:
            text += pieces[last].text
            if _is_closed(pieces, last):
                found += [Hit(aliases[t], t, first, last) for t in _spellings(text) if t in aliases]
    hits: list[Hit] = []
    for hit in sorted(found, key=lambda hit: (-len(hit.alias), hit.first)):
        if all(hit.last < other.first or hit.first > other.last for other in hits):
            hits.append(hit)
    return sorted(hits, key=lambda hit: hit.first)


def _is_closed(pieces: Sequence[Piece], last: int) -> bool:
    following = pieces[last + 1].text if last + 1 < len(pieces) else ""
    return pieces[last].is_closed or following in _FILLERS


@lru_cache(maxsize=4096)
def _spellings(text: str) -> tuple[str, ...]:
    """The text, and the text without planes and pulse sequences: `t2tsetra` -> `t2`."""
    fused = _FUSED.match(text)
    core = fused["core"] if fused else text
    return (text,) if core == text else (text, core)


def _plain(alias: str) -> str:
    return re.sub(r"[\W_]+", "", alias.lower())
