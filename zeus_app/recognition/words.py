"""Split a name into words, and give each word its meaning.

Words end at every character that is neither letter nor digit. A run of letters and digits that is
no word itself is split further, if all of it, or all but a patient's name at its start, is words:
`t1mprage` is T1 and MPRAGE, `patient07T1POST` is patient07, T1 and POST. The `T1` of `T1xyz` is no
word, and neither are the short words that surnames hold: `Cortino` is not COR, TI and NO.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from zeus_app.recognition.text import is_caseless, plain
from zeus_app.recognition.vocabulary import UNKNOWN, Meaning, Vocabulary

NUMBER: Meaning = ("number", "")
ENTITY: Meaning = ("number", "entity")
"""A subject, a session or a run of a BIDS name."""
B_VALUE: Meaning = ("b-value", "")


def word_set(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


# "-" is a word after a word for contrast: "T1 C-" is without contrast.
_RUN = re.compile(r"[^\W_]+|[+*]|(?<=[cdmov])-(?=[\W_]|$)", re.IGNORECASE)
_ENTITY = re.compile(r"(?<![^\W_])(?P<key>[a-z]{2,15})-[^\W_]+(?=_|$)", re.IGNORECASE)
_BIDS = re.compile(r"(?:^|\s)(?:sub|ses)-[^\W_]", re.IGNORECASE)
_B_VALUE = re.compile(r"bv?(0|[1-9]\d{1,3})t?|([1-9]\d{1,2}0)b")
_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[^\W\d_])")
# SPM marks resliced and warped images: rT1, wrFLAIR.
_ALIGNED = re.compile(r"(?:rr|r|w|wr)(?=(?:t1|t2|flair|adc|pd|dwi)(?:w|c|ce|gd|n|f)?$)")
# SPM and CAT12 mark the tissue classes: c1T1, mwc2T1, mwp1anna.
_TISSUE = re.compile(r"(?:m0?w|r?w|r)[cp][0-6](?=[^\W\d_])|c[1-6](?=[tT][12]|[fF][lL][aA])")
_TISSUE_MASK: Meaning = ("mask", "mask")
# dcm2nii, the older one, wrote the number of the series and of the image behind the protocol.
_SERIES_AND_IMAGE = re.compile(r"(?<=[^\W_])s\d{3,4}a\d{3,4}$")
# GE names one phase of a dynamic series so: "Ph2/Ax LAVA".
_PHASE_OF_SERIES = re.compile(r"ph\d{1,2}", re.IGNORECASE)
_DYNAMIC: Meaning = ("weighting", "perfusion")
_SHORTEST_NUMBERED = 4  # letters of a word to which digits may be attached
_LONGEST_WORD = 24
_LONGEST_RUN = 64  # characters of a run that is split further
# BIDS entities whose values say nothing about the sequence.
_SILENT = word_set("sub ses run task dir acq chunk res den from mode space")
# A run of characters is split only where a word of these facets comes out.
_TELLING = frozenset({"weighting", "hint", "gradient", "contrast", "part", "mask", "b-value"})
_SEQUENCE = frozenset({"weighting", "hint", "gradient"})
_NO_SEQUENCE = word_set("localizer subtraction map perfusion MRA bold phase other")
_ABBREVIATED = frozenset({"ADC", "DWI", "FLAIR", "HBV", "T2star"})
_BESIDE_ABBREVIATION = frozenset({"plane", "projection"})
_SHORTEST_TELLING = 4  # letters of a word that shows that a run is no surname
_SHORTEST_PIECE, _LONGEST_PIECE = 3, 5  # letters, in a run without a sequence


@dataclass(frozen=True, slots=True)
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
        """The number of `b1000` or `1000b`, in s/mm²."""
        match = _B_VALUE.fullmatch(self.text)
        return int(match[1] or match[2]) if match and self.meaning == B_VALUE else None


def split_words(name: str, vocabulary: Vocabulary) -> tuple[Word, ...]:
    """The words of a file's name without its suffix, of a folder's name, or of a description."""
    silent = [range(*span) for span in _silent_spans(name)]
    parts: list[Word] = []
    for match in _RUN.finditer(name):
        run, start, end = match.group(), match.start(), match.end()
        if any(start in span for span in silent):
            parts.append(Word(plain(run), start, end, ENTITY))
        elif name[end : end + 1] == "/" and _PHASE_OF_SERIES.fullmatch(run):
            parts.append(Word(plain(run), start, end, _DYNAMIC))
        else:
            parts += _parts(run, start, vocabulary)
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
    if tail := _SERIES_AND_IMAGE.search(run):
        number = Word(tail.group(), offset + tail.start(), offset + tail.end(), NUMBER)
        return [*_parts(run[: tail.start()], offset, vocabulary), number]
    if tissue := _TISSUE.match(run):
        mark = Word(text[: tissue.end()], offset, offset + tissue.end(), _TISSUE_MASK)
        return [mark, *_parts(run[tissue.end() :], mark.end, vocabulary)]
    if aligned := _ALIGNED.match(text):
        return _placed([aligned.group(), text[aligned.end() :]], offset, vocabulary)
    return _split(run, text, offset, vocabulary) or [whole]


def _split(run: str, text: str, offset: int, vocabulary: Vocabulary) -> list[Word]:
    """The words that a run is made of, with a patient's name before them; none if it has none."""
    cuts = [match.start() for match in _BOUNDARY.finditer(run)]
    for cut in (0, *cuts):
        pieces = _glued(text[cut:], vocabulary)
        words = _placed(pieces, offset + cut, vocabulary)
        ends = accumulate(map(len, pieces[:-1]), initial=cut)
        is_visible = all(end in {cut, *cuts} or text[end].isdigit() for end in ends)
        if any(word.facet in _TELLING for word in words) and (is_visible or _is_clear(words)):
            before = _BOUNDARY.split(run[:cut]) if cut else []
            return [*_placed([plain(part) for part in before], offset, vocabulary), *words]
    return []


def _is_clear(words: Sequence[Word]) -> bool:
    """Whether words without a mark between them are no surname.

    One of them is a sequence: a long word, one with a digit, or an abbreviation beside a plane.
    Or all of them are long.
    """
    for word in words:
        text = word.text
        is_long = len(text) >= _SHORTEST_TELLING or not text.isalpha() or is_caseless(text)
        tells = word.facet in _SEQUENCE and word.value not in _NO_SEQUENCE
        if word.facet == B_VALUE[0] or (tells and is_long):
            return True
    kinds = [w.meaning for w in words if w.text.isalpha() and w.facet not in _BESIDE_ABBREVIATION]
    if len(kinds) == 1 and kinds[0][0] == "weighting" and kinds[0][1] in _ABBREVIATED:
        return True
    lengths = [len(word.text) for word in words]
    return min(lengths) >= _SHORTEST_PIECE and max(lengths) >= _LONGEST_PIECE


def _meaning(text: str, vocabulary: Vocabulary) -> Meaning:
    if _B_VALUE.fullmatch(text):
        return B_VALUE
    if text.isdecimal():
        return NUMBER
    return vocabulary.meaning(text)


def _placed(pieces: Sequence[str], offset: int, vocabulary: Vocabulary) -> list[Word]:
    words = []
    for piece in pieces:
        words.append(Word(piece, offset, offset + len(piece), _meaning(piece, vocabulary)))
        offset += len(piece)
    return words


def _glued(text: str, vocabulary: Vocabulary) -> list[str]:
    """The fewest words that the text is made of; none if it is not made of words.

    Of several splits with as few words the one with the longest words is taken.
    """
    best: list[tuple[int, int, list[str]] | None] = [(0, 0, [])] + [None] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - _LONGEST_WORD), end):
            before, piece = best[start], text[start:end]
            if before is None or not _may_be_glued(piece, before[2], vocabulary):
                continue
            count, squares, pieces = before
            rank = (count + 1, squares - len(piece) ** 2)
            shortest = best[end]
            if shortest is None or rank < shortest[:2]:
                best[end] = (*rank, [*pieces, piece])
    found = best[-1]
    return found[2] if found else []


def _may_be_glued(piece: str, before: Sequence[str], vocabulary: Vocabulary) -> bool:
    if piece.isdecimal():
        return bool(before) and _may_be_numbered(before[-1], vocabulary)
    is_b_value = _B_VALUE.fullmatch(piece) is not None
    return len(piece) > 1 and (is_b_value or piece in vocabulary.by_letters)


def _may_be_numbered(word: str, vocabulary: Vocabulary) -> bool:
    """Whether digits may be attached: `flair2`, `scan03`, `seg2`, but not `ax3`."""
    is_mask = vocabulary.meaning(word)[0] == "mask"
    return word.isalpha() and len(word) >= (_SHORTEST_PIECE if is_mask else _SHORTEST_NUMBERED)


def _phrases(parts: Sequence[Word], vocabulary: Vocabulary) -> Iterator[Word]:
    """Join the words of phrases, the longest phrase first."""
    at = 0
    while at < len(parts):
        longest = vocabulary.longest_from.get(parts[at].text, 1)
        for count in range(min(longest, len(parts) - at), 1, -1):
            group = parts[at : at + count]
            meaning = vocabulary.by_words.get(tuple(word.text for word in group))
            if meaning is not None:
                text = " ".join(word.text for word in group)
                yield Word(text, group[0].start, group[-1].end, meaning)
                at += count
                break
        else:
            yield parts[at]
            at += 1
