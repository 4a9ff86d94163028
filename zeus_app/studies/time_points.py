"""Tell time points called T1 and T2 from the weightings T1 and T2.

`P01_T1_t1`, `P01_T1_flair`, `P01_T2_t1` and `P01_T2_flair` are two examinations. A name with the
same word twice, such as `T1_t1`, shows that the first of them is a time point.
"""

from collections.abc import Iterable, Sequence

from zeus_app.recognition.words import Word
from zeus_app.targets.naming import Names

_POINTS = frozenset({"t0", "t1", "t2", "t3", "t4", "t5"})


def time_points(texts: Iterable[str], names: Names) -> dict[str, int]:
    """Name -> offset behind its time point, for the names of one folder that have one.

    Empty if T1 and T2 are weightings in this folder.
    """
    offsets: dict[str, int] = {}
    has_both = False
    points: set[str] = set()
    for text in texts:
        words = names.read(text).words
        at = _point(words)
        if at is None:
            continue
        offsets[text] = words[at].end
        points.add(words[at].text)
        has_both = has_both or any(word.text == words[at].text for word in words[at + 1 :])
    return offsets if has_both and len(points) > 1 else {}


def unclear_points(texts: Sequence[str], names: Names) -> frozenset[str]:
    """Names such as `P01_T1_flair` beside `P01_T2_flair`.

    The first is a T1-weighted FLAIR, or the FLAIR of a time point T1.
    """
    plain = {text.lower(): text for text in texts}
    unclear = set()
    for text in texts:
        words = names.read(text).words
        at = _point(words)
        if at and words[at].text == "t1" and words[at - 1].facet in {"", "number"}:
            start, end = words[at].start, words[at].end
            sibling = f"{text[:start]}t2{text[end:]}".lower()
            is_flair = any(word.value == "FLAIR" for word in words)
            if is_flair and sibling in plain:
                unclear.add(text)
    return frozenset(unclear)


def _point(words: Sequence[Word]) -> int | None:
    """Index of a word that may be a time point: a weighting follows it."""
    for at, word in enumerate(words[:-1]):
        if word.text in _POINTS and any(w.facet == "weighting" for w in words[at + 1 :]):
            return at
    return None
