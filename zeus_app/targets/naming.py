"""Which sequence of a target a name means, and safe ids for studies.

The recogniser (`zeus_app.recognition`) knows the field's words. A target's YAML may add words of
its own: aliases of its sequences, and names of its masks.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from zeus_app.recognition.image_name import ImageName, read_name
from zeus_app.recognition.text import plain
from zeus_app.recognition.vocabulary import Meaning, Vocabulary, shipped_vocabulary
from zeus_app.recognition.weighting import SEQUENCES
from zeus_app.recognition.words import word_set
from zeus_app.targets import Sequence, Target

UNNAMED = "study"
"""Id of a name without letters and digits; until version 0.2.0, without ASCII ones."""
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")

MASK_FOLDERS = word_set(
    "label labels labelstr labelsts mask masks seg segs segmentation segmentations gt ground "
    "groundtruth annotation annotations rois contours"
)
_STANDS_FOR = {"T2": "T2-SPIR", "DWI": "HBV"}
"""Sequence -> another that a target without this other one takes for it."""


@dataclass(frozen=True, eq=False)
class Names:
    """How names of images are read for one target.

    Attributes:
        target: the target.
        vocabulary: the shipped words, and the target's own.
        shown: sequence in the field's words -> the target's sequence that shows it.
    """

    target: Target
    vocabulary: Vocabulary
    shown: Mapping[str, str]

    @classmethod
    def of(cls, target: Target) -> "Names":
        """The names of a target."""
        return cls(target, *_words_for(target.sequences, target.mask_aliases))

    @property
    def listed(self) -> str:
        """The names of the target's sequences, separated by commas, for messages."""
        return ", ".join(self.target.sequence_names)

    def read(self, name: str, *, is_description: bool = False) -> ImageName:
        """What a name without suffix says; see `read_name`."""
        return read_name(name, self.vocabulary, is_description=is_description)

    def sequence(self, name: ImageName) -> str:
        """The target's sequence that a name means; "" if none, or if it is unclear."""
        return self.of_target(name.sequence)

    def sequences(self, name: ImageName) -> tuple[str, ...]:
        """The target's sequences that a name may mean."""
        found = (self.of_target(sequence) for sequence in name.sequences)
        return tuple(dict.fromkeys(sequence for sequence in found if sequence))

    def of_target(self, sequence: str) -> str:
        """The target's sequence that shows a sequence in the field's words; "" if none does."""
        return sequence if sequence in self.target.sequence_names else self.shown.get(sequence, "")


@lru_cache(maxsize=16)  # what a vocabulary makes of its words is kept with it
def _words_for(
    sequences: tuple[Sequence, ...], mask_aliases: tuple[str, ...]
) -> tuple[Vocabulary, Mapping[str, str]]:
    """The vocabulary of a target, and its sequences by the field's words."""
    shown = {_in_words_of_the_field(sequence.name): sequence.name for sequence in sequences}
    for name, other in _STANDS_FOR.items():
        if name in shown:
            shown.setdefault(other, shown[name])
    shipped = shipped_vocabulary()
    own: dict[str, Meaning] = {}
    for alias in mask_aliases:
        if shipped.by_words.get(_words_of(alias), ("", ""))[0] != "mask":
            own[" ".join(_words_of(alias))] = ("mask", "target")
    for sequence in sequences:
        for alias in (*sequence.aliases, sequence.name):
            if shown.get(read_name(alias, shipped).sequence) != sequence.name:
                own[" ".join(_words_of(alias))] = ("target", sequence.name)
    return (shipped.with_phrases(own) if own else shipped), shown


def _in_words_of_the_field(name: str) -> str:
    """What a target's sequence shows, or its own name: T1Gd for a sequence called `t1ce`."""
    if name in SEQUENCES:
        return name
    return read_name(name, shipped_vocabulary()).sequence or name


def _words_of(alias: str) -> tuple[str, ...]:
    """The words of an alias, as the recogniser splits names: `ce-gadolinium_t1w` is three."""
    return tuple(re.findall(r"[^\W_]+|[+*]", plain(alias)))


def safe_id(name: str) -> str:
    """A study id for paths and URLs: ASCII letters, digits, dots, dashes and underscores.

    A name with other letters gets a hash, so that `Müller` and `Muller` are two studies. A name
    without ASCII letters and digits becomes "study-" and the hash.
    """
    plain = plain_id(name)
    if name.isascii() or plain != ascii_part(name):
        return plain
    return f"{plain}-{_hash(name)}"


def plain_id(name: str) -> str:
    """The id that version 0.3.0 gave: without the hash where the name has ASCII letters."""
    plain = ascii_part(name)
    if plain or name.isascii():
        return plain or UNNAMED
    return f"{UNNAMED}-{_hash(name)}"


def ascii_part(name: str) -> str:
    """What an id keeps of a name; empty for a name in Cyrillic, Chinese or emojis alone."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _SAFE.sub("_", plain).strip("._-")[:128]


def _hash(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name).encode("utf-8", "surrogatepass")
    return sha256(decomposed).hexdigest()[:8]
