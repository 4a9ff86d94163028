"""What words mean by their place in a name, where the vocabulary alone would mislead."""

from collections.abc import Sequence
from dataclasses import replace

from zeus_app.recognition.vocabulary import UNKNOWN, Meaning, Vocabulary
from zeus_app.recognition.words import NUMBER, Word

_SEQUENCE = frozenset({"weighting", "hint", "gradient", "target"})
_WEIGHTINGS = frozenset({"T1", "T1Gd", "T2", "T2-SPIR", "FLAIR", "PD"})
# They are weightings even before a number: `DWI_1000_ADC`, `T2_001`.
_NEVER_GROUPS = frozenset({"T1", "T1Gd", "T2", "T2-SPIR", "FLAIR", "ADC", "DWI", "HBV"})
_WITH_CONTRAST: Meaning = ("contrast", "given")
_MAP: Meaning = ("weighting", "map")


def in_context(
    words: Sequence[Word], vocabulary: Vocabulary, *, is_description: bool
) -> tuple[Word, ...]:
    """The words of a name with the meanings that they have where they stand.

    Args:
        words: all words of the name.
        vocabulary: see `Vocabulary.settings`.
        is_description: whether the name holds no patient; see `read_name`.
    """
    weighting = next((at for at, word in enumerate(words) if _is_weighting(word)), len(words))
    last = max((at for at, word in enumerate(words) if word.meaning != NUMBER), default=-1)
    found = []
    for at, word in enumerate(words):
        is_setting = word.text in vocabulary.settings and weighting < at < last
        is_group = not is_description and _is_group(words, at)
        if is_setting or is_group or _is_centimetres(words, at):
            found.append(replace(word, meaning=UNKNOWN))
        elif word.text == "+" and word.meaning == UNKNOWN and at == len(words) - 1:
            found.append(replace(word, meaning=_WITH_CONTRAST))
        elif _is_map_of_mp2rage(words, at):
            found.append(replace(word, meaning=_MAP))
        else:
            found.append(word)
    return tuple(found)


def _is_weighting(word: Word) -> bool:
    return word.facet == "hint" or (word.facet == "weighting" and word.value in _WEIGHTINGS)


def _is_centimetres(words: Sequence[Word], at: int) -> bool:
    """Whether `cm` is a unit: it follows a number."""
    return words[at].text == "cm" and at > 0 and words[at - 1].meaning == NUMBER


def _is_map_of_mp2rage(words: Sequence[Word], at: int) -> bool:
    """Whether a word is that of `t1_mp2rage_sag_T1_Images`, the T1 map of Siemens."""
    is_of_mp2rage = any(word.text == "mp2rage" for word in words[:at])
    return words[at].text == "images" and words[at - 1].text == "t1" and is_of_mp2rage


def _is_group(words: Sequence[Word], at: int) -> bool:
    """Whether a word is a patient's group: `PD_012_T1`, `SUB_001_FLAIR`, `pilot_3_T2`.

    A number follows it, and a weighting follows the number.
    """
    word = words[at]
    if word.facet != "weighting" or word.value in _NEVER_GROUPS:
        return False
    if at + 1 == len(words) or words[at + 1].meaning != NUMBER:
        return False
    is_subject = at == 0 and word.text == "sub"
    return is_subject or any(_is_weighting(other) for other in words[at + 2 :])
