"""What the name of a file, a folder or a DICOM series says about an image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from zeus_app.recognition.context import in_context
from zeus_app.recognition.vocabulary import Vocabulary
from zeus_app.recognition.weighting import Facts, sequences_of
from zeus_app.recognition.words import ENTITY, NUMBER, Word, split_words

_KEPT = 16_384  # names; about 2 kB each
_LONGEST = 1000  # characters; no file system and no DICOM description has more
_NEVER_BEFORE = frozenset({"", "number", "time"})
_IMAGE = frozenset({"target", "weighting", "hint"})
_NO_NAMES = frozenset(
    {"", "number", "time", "plane", "weighting", "target", "mask", "b-value", "echo"}
)
_MASKS = {"brain": "brain mask", "machine": "machine", "reader": "reader"}
_JOINED = 2  # words between "registered to" and the other image's weighting
_SHORTEST_BEFORE = 3  # letters of a word that counts before a patient's name
# Facets that tell the sequence, the surest first.
_BY_RANK = (
    frozenset({"weighting", "target"}),
    frozenset({"hint", "gradient", "part", "b-value"}),
    frozenset({"contrast"}),
    frozenset({"mask"}),
)
# Facets that tell the sequence, in the evidence.
_TELLING = frozenset(
    {"target", "weighting", "hint", "gradient", "contrast", "part", "fat", "b-value", "echo"}
)


@dataclass(frozen=True)
class ImageName:
    """What a name says.

    Attributes:
        name: the name, as written.
        words: its words.
        sequences: the sequences that it may mean; one if it is clear, none if it says nothing.
        is_mask: whether it is the name of a mask.
        start: offset of the first word that describes the image; the length if none does.
        lead: what stands before the sequence's word, if it may be a patient's name, although the
            words mean something: `Long` of `Long_T1`; else "".
        traits: what else it says: "projection", "processed", "repeated", "registered",
            "fat-suppressed", "after contrast", "before contrast", "off-axis", "brain mask",
            "machine", "reader".
        extra: number of words that say nothing about the sequence, from `start` on.
        b_value: the highest b-value, in s/mm²; 0 without one.
    """

    name: str
    words: tuple[Word, ...]
    sequences: tuple[str, ...]
    is_mask: bool
    start: int
    lead: str
    traits: frozenset[str]
    extra: int
    b_value: int

    @property
    def sequence(self) -> str:
        """The one sequence that it means; "" if it says nothing or is unclear."""
        return self.sequences[0] if len(self.sequences) == 1 else ""

    @property
    def evidence(self) -> str:
        """The words that tell the sequence, as written: "T1", "POST"."""
        telling = [self.name[w.start : w.end] for w in self.words if w.facet in _TELLING]
        return ", ".join(dict.fromkeys(telling))


def read_name(name: str, vocabulary: Vocabulary, *, is_description: bool = False) -> ImageName:
    """Read a name without suffix.

    The last word for a weighting tells the sequence, with the words around it. A weighting before
    a patient's name, as in `T1_patient_T2`, makes the name unclear.

    Args:
        name: the name.
        vocabulary: what words mean.
        is_description: whether it describes the image alone and names no patient, as the
            description of a DICOM series does.

    Names up to 1,000 characters are kept, and of longer ones only the start is read. Threads may
    call this at the same time.
    """
    if len(name) > _LONGEST:
        return replace(_read(name[:_LONGEST], vocabulary, is_description=is_description), name=name)
    return _read_once(name, vocabulary, is_description=is_description)


def _read(name: str, vocabulary: Vocabulary, *, is_description: bool) -> ImageName:
    words = in_context(split_words(name, vocabulary), vocabulary, is_description=is_description)
    described, is_registered = _without_other_image(words)
    main = _main(described)
    start = 0 if is_description else _first_of(described, main)
    first = start if is_description else _behind_names(described, start, main, vocabulary)
    facts = Facts.of(described[first:])
    return ImageName(
        name=name,
        words=words,
        sequences=_sequences(facts, described, start, first),
        is_mask=any(_is_mask(word, at, described, main) for at, word in enumerate(described)),
        start=described[first].start if first < len(described) else len(name),
        lead=_lead(name, described[: max(main, 0)]),
        traits=frozenset({*facts.traits, *_mask_traits(words), *["registered"] * is_registered}),
        extra=len(words) - first - sum(word.facet in _TELLING for word in described[first:]),
        b_value=max(facts.b_values, default=0),
    )


_read_once = lru_cache(maxsize=_KEPT)(_read)


def _sequences(facts: Facts, words: Sequence[Word], start: int, first: int) -> tuple[str, ...]:
    """What the words mean; several sequences if those before disagree. A target's word decides.

    Args:
        facts: those of the words from `first` on.
        words: all words.
        start: where the description starts; words before it precede the patient's name.
        first: the same, without words at its start that may be a patient's name.
    """
    if own := [word.value for word in words[first:] if word.facet == "target"]:
        return (own[-1],)
    said = [word for word in words[:start] if not _is_slight(word)]
    before = [word for word in (*said, *words[start:first]) if word.facet not in _NEVER_BEFORE]
    with_others = Facts.of([*before, *words[first:]]) if before else facts
    return tuple(dict.fromkeys((*sequences_of(facts), *sequences_of(with_others))))


def _is_slight(word: Word) -> bool:
    """Whether a word says too little before a patient's name: `op` of `Bergen_op_Zoom_T1`."""
    is_contrast = word.facet == "contrast" and word.value == "agent"
    return len(word.text) < _SHORTEST_BEFORE and word.facet != "weighting" and not is_contrast


def _lead(name: str, words: Sequence[Word]) -> str:
    """The start of a name, up to the end of these words, if each of them may be a name."""
    if not words or any(word.facet in _NO_NAMES for word in words):
        return ""
    return name[: words[-1].end].rstrip("_-. ")


def _mask_traits(words: Sequence[Word]) -> list[str]:
    """Who drew a mask, or that it is one of the brain."""
    return [_MASKS[w.value] for w in words if w.facet == "mask" and w.value in _MASKS]


def _is_mask(word: Word, at: int, words: Sequence[Word], main: int) -> bool:
    """Whether a word marks a mask.

    A target's own word does so only after the sequence: `prostate_t2` is an image, `t2_prostate`
    is a mask.
    """
    if word.facet != "mask":
        return False
    if word.value in {"target", "structure"}:
        return at >= main or words[main].facet == "mask"
    return word.value != "machine"


def _without_other_image(words: Sequence[Word]) -> tuple[tuple[Word, ...], bool]:
    """The words without the image that this one was registered to: `FLAIR_to_T1` is FLAIR."""
    for at in range(len(words)):
        if not (_joins(words, at) and any(w.facet in _IMAGE for w in words[:at])):
            continue
        for other in range(at + 1, min(at + 1 + _JOINED, len(words))):
            if words[other].facet in _IMAGE:
                return (*words[:at], *words[_end_of_other(words, other) :]), True
    is_moved = any(w.text in {"r", "rr", "w", "wr"} or _states_space(w) for w in words)
    return tuple(words), is_moved


def _joins(words: Sequence[Word], at: int) -> bool:
    """Whether a word stands between an image and the one that it was registered to."""
    word = words[at]
    if word.facet == "join":
        return True
    if word.text == "2":
        return at > 0 and word.start == words[at - 1].end
    follows = words[at + 1].meaning if at + 1 < len(words) else ("", "")
    return word.text == "in" and follows[0] == "weighting"


def _end_of_other(words: Sequence[Word], other: int) -> int:
    """Behind the words of the other image: `T1 post` of `T1_reg_to_T1_post`."""
    end = other + 1
    if words[other].value in {"T1", "T1Gd"}:
        while end < len(words) and words[end].facet == "contrast":
            end += 1
    return end


def _states_space(word: Word) -> bool:
    """Whether a word is BIDS's entity for the space that an image was registered to."""
    return word.meaning == ENTITY and word.text == "space"


def _main(words: Sequence[Word]) -> int:
    """Index of the last word that tells the sequence; -1 without one."""
    for facets in _BY_RANK:
        at = [i for i, word in enumerate(words) if word.facet in facets]
        if at:
            return at[-1]
    return -1


def _first_of(words: Sequence[Word], main: int) -> int:
    """Index of the first word of the description around `main`; all words if there is none."""
    if main < 0:
        return len(words)
    first = main
    while first > 0 and (
        words[first - 1].facet not in _NEVER_BEFORE or _continues(words, first - 1)
    ):
        first -= 1
    return first


def _behind_names(words: Sequence[Word], start: int, main: int, vocabulary: Vocabulary) -> int:
    """Index behind words at the start that may be a patient's name or initials: `KS_T1`."""
    first = start
    while first < main and words[first].text in vocabulary.may_be_names:
        first += 1
    return first


def _continues(words: Sequence[Word], at: int) -> bool:
    """Whether a number or `b` belongs to a b-value: `b 1000`, `b50_800`."""
    before = words[at - 1] if at else None
    if words[at].meaning == NUMBER and before is not None:
        return before.text == "b" or before.b_value is not None
    return words[at].text == "b" and at + 1 < len(words) and words[at + 1].meaning == NUMBER
