"""Split a name into words, and give each word its meaning.

Words end at every character that is neither letter nor digit. A run of letters and digits that is
no word itself is split further, if all of it, or all but a patient's name at its start, is words:
`t1mprage` is T1 and MPRAGE, `patient07T1POST` is patient07, T1 and POST. The `T1` of `T1xyz` is no
word.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from zeus_app.recognition.vocabulary import Meaning, Vocabulary

UNKNOWN: Meaning = ("", "")
NUMBER: Meaning = ("number", "")
ENTITY: Meaning = ("number", "entity")
"""A subject, a session or a run of a BIDS name."""
B_VALUE: Meaning = ("b-value", "")


def word_set(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


# "-" is a word after a word for contrast: "T1 C-" is without contrast.
_RUN = re.compile(r"[^\W_]+|[+*]|(?<=[cvdm])-(?=[\W_]|$)", re.IGNORECASE)
_ENTITY = re.compile(r"(?<![^\W_])(?P<key>[a-z]{2,15})-[^\W_]+(?=_|$)", re.IGNORECASE)
_BIDS = re.compile(r"(?:^|\s)(?:sub|ses)-[^\W_]", re.IGNORECASE)
_B_VALUE = re.compile(r"bv?(0|[1-9]\d{1,3})t?")
_ALIGNED = re.compile(r"(?:rr|r|w|wr)(?=(?:t1|t2|flair|adc|pd|dwi)(?:w|c|ce|gd|n|f)?$)")
_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[^\W\d_])")
_SHORTEST_NUMBERED = 4  # letters of a word to which digits may be attached: flair2, scan03
_LONGEST_WORD = 24
_LONGEST_RUN = 64  # characters of a run that is split further
# BIDS entities whose values say nothing about the sequence.
_SILENT = frozenset(
    {"sub", "ses", "run", "task", "dir", "acq", "chunk", "res", "den", "from", "mode"}
)
# A run of characters is split only where a word of these facets comes out.
_TELLING = frozenset({"weighting", "hint", "gradient", "contrast", "part", "mask", "b-value"})


@dataclass(frozen=True)
class Word:
    """A word or phrase of a name.

    Attributes:
        text: the characters in lower case and without accents; words of a phrase with spaces.
        start, end: offsets in the name, counted from 0.
        meaning: facet and value; see `vocabulary.yaml`.
    """

    text: str
    start: int
    end: int
    meaning: Meaning = UNKNOWN

    @property
    def facet(self) -> str:
        """The facet of its meaning, "" for an unknown word."""
        return self.meaning[0]

    @property
    def value(self) -> str:
        """The value of its meaning."""
        return self.meaning[1]

    @property
    def b_value(self) -> int | None:
        """The number of `b1000`, in s/mm²."""
        match = _B_VALUE.fullmatch(self.text)
        return int(match[1]) if match and self.meaning == B_VALUE else None


def plain(text: str) -> str:
    """Lower case without accents. The length may differ."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@lru_cache(maxsize=65536)
def split_words(name: str, vocabulary: Vocabulary) -> tuple[Word, ...]:
    """The words of a file's name without its suffix, of a folder's name, or of a description."""
    silent = [range(*span) for span in _silent_spans(name)]
    parts: list[Word] = []
    for match in _RUN.finditer(name):
        if any(match.start() in span for span in silent):
            parts.append(Word(plain(match.group()), match.start(), match.end(), ENTITY))
        else:
            parts += _parts(match.group(), match.start(), vocabulary)
    return tuple(_phrases(parts, vocabulary))


def _silent_spans(name: str) -> Iterator[tuple[int, int]]:
    """Where a BIDS name states the subject, the session and the like."""
    if _BIDS.search(name):
        for match in _ENTITY.finditer(name):
            if match["key"].lower() in _SILENT:
                yield match.span()


def _parts(run: str, offset: int, vocabulary: Vocabulary) -> list[Word]:
    """The words of a run of letters and digits."""
    text = plain(run)
    whole = Word(text, offset, offset + len(run), _meaning(text, vocabulary))
    if whole.meaning != UNKNOWN or not len(text) == len(run) <= _LONGEST_RUN:
        return [whole]
    for cut in (0, *(match.start() for match in _BOUNDARY.finditer(run))):
        pieces = _glued(text[cut:], vocabulary)
        words = _placed(pieces, offset + cut, vocabulary)
        if any(word.facet in _TELLING for word in words):
            before = _BOUNDARY.split(run[:cut]) if cut else []
            return [*_placed([plain(part) for part in before], offset, vocabulary), *words]
    if aligned := _ALIGNED.match(text):
        return _placed([aligned.group(), text[aligned.end() :]], offset, vocabulary)
    return [whole]


def _meaning(text: str, vocabulary: Vocabulary) -> Meaning:
    if _B_VALUE.fullmatch(text):
        return B_VALUE
    if text.isdecimal():
        return NUMBER
    return vocabulary.by_letters.get(text, UNKNOWN)


def _placed(pieces: Sequence[str], offset: int, vocabulary: Vocabulary) -> list[Word]:
    words = []
    for piece in pieces:
        words.append(Word(piece, offset, offset + len(piece), _meaning(piece, vocabulary)))
        offset += len(piece)
    return words


def _glued(text: str, vocabulary: Vocabulary) -> list[str]:
    """The fewest words that the text is made of; none if it is not made of words."""
    best: list[list[str] | None] = [[]] + [None] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - _LONGEST_WORD), end):
            before, piece = best[start], text[start:end]
            if before is None or not _may_be_glued(piece, before, vocabulary):
                continue
            shortest = best[end]
            if shortest is None or len(before) + 1 < len(shortest):
                best[end] = [*before, piece]
    return best[-1] or []


def _may_be_glued(piece: str, before: Sequence[str], vocabulary: Vocabulary) -> bool:
    if piece.isdecimal():
        return bool(before) and before[-1].isalpha() and len(before[-1]) >= _SHORTEST_NUMBERED
    is_b_value = _B_VALUE.fullmatch(piece) is not None
    return len(piece) > 1 and (is_b_value or piece in vocabulary.by_letters)


def _phrases(parts: Sequence[Word], vocabulary: Vocabulary) -> Iterator[Word]:
    """Join the words of phrases, the longest phrase first."""
    at = 0
    while at < len(parts):
        for count in range(min(vocabulary.longest, len(parts) - at), 0, -1):
            group = parts[at : at + count]
            meaning = vocabulary.by_words.get(tuple(word.text for word in group))
            if count > 1 and meaning is not None:
                text = " ".join(word.text for word in group)
                yield Word(text, group[0].start, group[-1].end, meaning)
                break
        else:
            yield parts[at]
        at += count
