"""Read names of files: which sequence a file holds, or that it is a mask. Make safe study ids.

A name is split into pieces at every character that is neither letter nor digit, and where an
upper-case letter follows a lower-case one or a digit: `patient07T1POST` -> `patient07`, `T1`,
`POST`. A run of pieces that spells an alias is a hit. The longest alias wins: `t1` does not hide
`t1ce`.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from zeus_app.targets import Target


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


_PIECE = re.compile(r"[A-Z]*[^A-Z\W_]*")
_LONGEST_RUN = 5
UNNAMED = "study"
"""Id of a name without letters and digits; until version 0.2.0, without ASCII ones."""
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")

# Planes and pulse sequences. They may stand between the words of an alias ("T1 AX POST").
_FILLERS = words(
    "ax axial tra trans transverse transversal sag sagittal cor coronal obl oblique "
    "tse fse se spgr mprage mp2rage space vibe 2d 3d"
)
_FUSED = re.compile(
    r"^(?:axial|ax|sag|cor|tra|2d|3d)*(?P<core>.+?)(?:axial|ax|sag|cor|tra|tse|fse|se|2d|3d)*$"
)

# These words, alone or joined ("brain_mask"), mark a mask, whatever the target.
_MASK_WORDS = words(
    "seg segm segs dseg probseg pveseg aseg segmentation segmentations mask masks brainmask "
    "label labels gt groundtruth ground truth otmulticlass consensus aiconsensus roi rois "
    "lesion lesions gland wholegland annotation annotations contour contours"
)
# A piece that ends in one of these words marks a mask too: `betmask`, `seg2`.
_FUSED_MASK = re.compile(r"(?:masks?|segs?|labels?)\d*$")
MASK_FOLDERS = words(
    "label labels labelstr labelsts mask masks seg segs segmentation segmentations gt ground "
    "groundtruth annotation annotations rois contours"
)

# Maps and weightings whose names start like those of a sequence.
_DECOYS = dict.fromkeys(
    words("t1map t1mapping t1rho t1star t2map t2mapping t2star t2starw r2star"), ""
)

_BRAIN_MASKS = words("brainmask betmask headmask bodymask skullmask")
_MACHINE_WORDS = words(
    "ai pred prediction predictions predicted auto automatic nnunet inferred machine"
)


@dataclass(frozen=True)
class Piece:
    """A part of a name.

    Attributes:
        text: the characters in lower case.
        start: the offset in the name, counted from 0.
        closed: whether an alias may end here. It may not where a digit meets a capital: the `T1`
            of `T1MAP` is not T1.
    """

    text: str
    start: int
    closed: bool


@dataclass(frozen=True)
class Hit:
    """A run of pieces, `first` to `last` inclusive, that spells an alias of `sequence`."""

    sequence: str
    alias: str
    first: int
    last: int


def split_name(name: str) -> tuple[Piece, ...]:
    """Split a file's name without its suffix, a folder's name, or a series description."""
    pieces = []
    for match in _PIECE.finditer(name):
        end = match.end()
        if match.group():
            cut = end < len(name) and name[end].isupper() and name[end - 1].isdigit()
            pieces.append(Piece(match.group().lower(), match.start(), not cut))
    return tuple(pieces)


def find_hits(pieces: Sequence[Piece], aliases: Mapping[str, str]) -> list[Hit]:
    """All aliases that the pieces spell, in the order of the name. The longest of two that overlap.

    Args:
        pieces: the pieces of one name.
        aliases: normalised alias -> its sequence, see `normalised`.
    """
    words_at = [i for i, piece in enumerate(pieces) if piece.text not in _FILLERS]
    matches = []
    for at, first in enumerate(words_at):
        text = ""
        for last in words_at[at : at + _LONGEST_RUN]:
            text += pieces[last].text
            if _closed(pieces, last):
                spelled = (t for t in _spellings(text) if t in aliases)
                matches += [Hit(aliases[t], t, first, last) for t in spelled]
    hits: list[Hit] = []
    for hit in sorted(matches, key=lambda hit: (-len(hit.alias), hit.first)):
        if all(hit.last < other.first or hit.first > other.last for other in hits):
            hits.append(hit)
    return sorted(hits, key=lambda hit: hit.first)


def _closed(pieces: Sequence[Piece], last: int) -> bool:
    """Whether an alias may end at this piece. A filler after it (`T2TSE`) closes it too."""
    following = pieces[last + 1].text if last + 1 < len(pieces) else ""
    return pieces[last].closed or following in _FILLERS


def _spellings(text: str) -> list[str]:
    """The text, and the text without attached planes and pulse sequences: `t2tsetra`, `t2`."""
    fused = _FUSED.match(text)
    core = fused["core"] if fused else text
    return [text] if core == text else [text, core]


def normalised(alias: str) -> str:
    """An alias in the form that is compared: lower-case letters and digits only."""
    return re.sub(r"[\W_]+", "", alias.lower())


@dataclass(frozen=True)
class Names:
    """The aliases of one target, normalised.

    Attributes:
        sequences: alias -> sequence name.
        target_masks: the aliases of a mask of the target -> the alias as written in the YAML.
    """

    sequences: dict[str, str]
    target_masks: dict[str, str]

    @classmethod
    def of(cls, target: Target) -> "Names":
        """The aliases in the target's YAML. A sequence's name is an alias too."""
        sequences = {
            normalised(alias): sequence.name
            for sequence in target.sequences
            for alias in (*sequence.aliases, sequence.name)
        }
        return cls(sequences, {normalised(alias): alias for alias in target.mask_aliases})

    @property
    def listed(self) -> str:
        """The names of the target's sequences, separated by commas, for messages."""
        return ", ".join(dict.fromkeys(self.sequences.values()))

    def hits(self, pieces: Sequence[Piece]) -> list[Hit]:
        """The sequences that a name spells. `t2_map` spells none."""
        return [hit for hit in find_hits(pieces, _DECOYS | self.sequences) if hit.sequence]

    def is_mask(self, pieces: Sequence[Piece]) -> bool:
        """Whether the name is that of a mask, of any structure.

        A mask alias of the target counts only if no sequence follows: `prostate_t2` is a T2 image,
        `t2_prostate` is a mask.
        """
        if find_hits(pieces, dict.fromkeys(_MASK_WORDS, "mask")):
            return True
        if any(is_mask_word(piece) and piece.text not in self.sequences for piece in pieces):
            return True
        masks, hits = find_hits(pieces, self.target_masks), self.hits(pieces)
        return any(not hits or mask.first > hits[-1].last for mask in masks)

    def is_mask_of_target(self, pieces: Sequence[Piece]) -> bool:
        """Whether the name is that of a mask of the target."""
        brain = find_hits(pieces, dict.fromkeys(_BRAIN_MASKS, "brain"))
        return not brain and bool(find_hits(pieces, self.target_masks))


def is_mask_word(piece: Piece) -> bool:
    """Whether this piece alone marks a mask."""
    return piece.text in _MASK_WORDS or _FUSED_MASK.search(piece.text) is not None


def is_machine_made(pieces: Sequence[Piece]) -> bool:
    """Whether a mask's name says that a machine drew it."""
    return any(piece.text in _MACHINE_WORDS for piece in pieces)


def safe_id(name: str) -> str:
    """A study id for paths and URLs: ASCII letters, digits, dots, dashes and underscores.

    Accents are dropped. A name without ASCII letters and digits becomes "study-" and a hash.
    """
    plain = ascii_part(name)
    if plain or name.isascii():
        return plain or UNNAMED
    decomposed = unicodedata.normalize("NFKD", name).encode("utf-8", "surrogatepass")
    return f"{UNNAMED}-{sha256(decomposed).hexdigest()[:8]}"


def ascii_part(name: str) -> str:
    """What an id keeps of a name; empty for a name in Cyrillic, Chinese or emojis alone."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _SAFE.sub("_", plain).strip("._-")[:128]
