"""The sequence that the words of one image mean together."""

from collections.abc import Sequence
from dataclasses import dataclass

from zeus_app.recognition.words import NUMBER, Word

HIGH_B_S_PER_MM2 = 500
"""A diffusion image from this b-value on has a high one."""
SEQUENCES = frozenset({
    "T1", "T1Gd", "T1-in", "T1-out", "T1-water", "T1-fat", "T2", "T2-SPIR", "T2star", "FLAIR", "PD",
    "STIR", "DIR", "ADC", "HBV", "DWI",
})  # fmt: skip
"""The sequences that names may mean."""
NEITHER = (
    "localizer", "subtraction", "map", "perfusion", "MRA", "bold", "phase", "DIR", "other",
)  # fmt: skip
"""Kinds of images that are no sequence of a target, although their names may hold T1 or T2."""

_NEGATES = 3  # words between "without" and the word for contrast
_LEAST_B, _MOST_B = 50, 10_000  # s/mm²; other numbers are none
_BEFORE_B = ("b", "bv", "bval", "bvalue", "b value", "dwi")
_DIXON = {"w": "water", "f": "fat", "in": "in", "opp": "out", "out": "out"}


@dataclass(frozen=True)
class Facts:
    """What the words of one image say.

    Attributes:
        weightings: values of the words for weightings.
        hints: weightings that a technique has by itself: T1 for MPRAGE.
        is_gradient_echo: whether a word for a gradient echo is among them.
        contrast: "after", "before", or "" if nothing is said.
        names_agent: whether the contrast agent itself is named.
        fat_suppressed: whether fat is suppressed.
        is_spir: whether SPIR suppresses it.
        part: "in", "out", "water", "fat" or "".
        echo: "first", "second" or "".
        b_values: the b-values, in s/mm².
        traits: see `ImageName`.
    """

    weightings: frozenset[str]
    hints: frozenset[str]
    is_gradient_echo: bool
    contrast: str
    names_agent: bool
    fat_suppressed: bool
    is_spir: bool
    part: str
    echo: str
    b_values: tuple[int, ...]
    traits: frozenset[str]

    @classmethod
    def of(cls, words: Sequence[Word]) -> "Facts":
        """The facts in the words of one image."""
        values = {facet: [w.value for w in words if w.facet == facet] for facet in _FACETS}
        traits = {value for facet in ("projection", "processing") for value in values[facet]}
        traits |= {_PLANES[value] for value in values["plane"] if value in _PLANES}
        if values["fat"]:
            traits.add("fat-suppressed")
        contrast = _contrast(words)
        if contrast:
            traits.add(f"{contrast} contrast")
        return cls(
            weightings=frozenset(values["weighting"]),
            hints=frozenset(values["hint"]),
            is_gradient_echo=bool(values["gradient"]),
            contrast=contrast,
            names_agent="agent" in values["contrast"],
            fat_suppressed=bool(values["fat"]),
            is_spir="spir" in values["fat"],
            part=_part(words),
            echo=values["echo"][-1] if values["echo"] else "",
            b_values=_b_values(words),
            traits=frozenset(traits),
        )


_FACETS = (
    "weighting", "hint", "gradient", "contrast", "fat", "part", "echo", "plane", "projection",
    "processing",
)  # fmt: skip
_PLANES = {"sagittal": "off-axis", "coronal": "off-axis"}


def _contrast(words: Sequence[Word]) -> str:
    """Whether the image was taken after or before contrast was given; "" if nothing is said."""
    said = [(at, word.value) for at, word in enumerate(words) if word.facet == "contrast"]
    if any(value == "before" or _is_negated(words, at) for at, value in said):
        return "before"
    return "after" if any(value in {"after", "agent"} for _, value in said) else ""


def _is_negated(words: Sequence[Word], at: int) -> bool:
    """`without contrast`, `ohne iv KM`, or `KM ohne` at the end."""
    before = words[max(0, at - _NEGATES) : at]
    if any(word.value == "negation" for word in before):
        return True
    return at + 2 == len(words) and words[at + 1].value == "negation"


def _part(words: Sequence[Word]) -> str:
    """The part that an image of water and fat shows: a word for it, or the last letter."""
    named = [word.value for word in words if word.facet == "part"]
    if not named and any("dixon" in word.text for word in words):
        return _DIXON.get(words[-1].text, "")
    return named[-1] if named else ""


def _b_values(words: Sequence[Word]) -> tuple[int, ...]:
    """The numbers of `b1000`, `b 1000`, `b50_800` and `DWI 1000`."""
    found: list[int] = []
    follows = False
    for word in words:
        if word.b_value is not None:
            found.append(word.b_value)
            follows = True
        elif follows and word.meaning == NUMBER and _may_be_b(word.text):
            found.append(int(word.text))
        else:
            follows = word.text.endswith(_BEFORE_B)
    return tuple(found)


def _may_be_b(text: str) -> bool:
    """Whether a number may be a b-value. Zero-padded ones count images."""
    return text == "0" or (not text.startswith("0") and _LEAST_B <= int(text) <= _MOST_B)


def sequences_of(facts: Facts) -> tuple[str, ...]:
    """The sequences that the facts may mean: one if they are clear, none if they say nothing."""
    kinds = facts.weightings
    if kinds & {"ADC", "HBV", "DWI"} or facts.b_values:
        return (_diffusion(facts),)
    for kind in NEITHER:
        if kind in kinds:
            return (kind,)
    if "FLAIR" in kinds and not (kinds & {"T1", "T1Gd"} and "T2" not in kinds):
        return ("FLAIR",)
    is_t1_echo = (kinds | facts.hints) & _T1 or (facts.names_agent and not kinds & _T2)
    if "T2star" in kinds or (facts.is_gradient_echo and not is_t1_echo):
        return ("T2star",)
    is_t1 = bool(kinds & _T1 or (facts.hints & _T1 and not kinds & _T2) or facts.part)
    if "STIR" in kinds and not is_t1:
        return ("STIR",)
    if "PD" in kinds:
        return _with_pd(facts)
    is_t2 = bool(kinds & _T2 or (facts.hints & _T2 and not is_t1))
    if is_t1 and is_t2 and not facts.part:
        return ("T1", "T2")
    if is_t2 and not is_t1:
        return ("T2-SPIR" if facts.fat_suppressed or "T2-SPIR" in kinds else "T2",)
    if is_t1:
        return (_t1(facts),)
    if facts.is_spir:
        return ("T2-SPIR",)
    if facts.names_agent:
        return ("T1Gd" if facts.contrast == "after" else "T1",)
    return ()


_T1 = frozenset({"T1", "T1Gd"})
_T2 = frozenset({"T2", "T2-SPIR"})


def _diffusion(facts: Facts) -> str:
    if "ADC" in facts.weightings:
        return "ADC"
    if "map" in facts.weightings:
        return "map"
    is_high = [b >= HIGH_B_S_PER_MM2 for b in facts.b_values]
    named = "HBV" in facts.weightings and (any(is_high) or not is_high)
    return "HBV" if named or is_high == [True] else "DWI"


def _with_pd(facts: Facts) -> tuple[str, ...]:
    """The second echo of a PD/T2 double echo is T2."""
    if not facts.weightings & _T2:
        return ("PD",)
    by_echo = {"first": ("PD",), "second": ("T2",)}
    return by_echo.get(facts.echo, ("PD", "T2"))


def _t1(facts: Facts) -> str:
    if facts.part:
        return f"T1-{facts.part}"
    is_after = facts.contrast == "after" or "T1Gd" in facts.weightings
    return "T1Gd" if is_after and facts.contrast != "before" else "T1"
