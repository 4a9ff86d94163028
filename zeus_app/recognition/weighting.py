"""The sequence that the words of one image mean together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from zeus_app.recognition.contrast import Contrast, contrast_of
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

_LEAST_B, _MOST_B = 50, 10_000  # s/mm²; other numbers are none
_BEFORE_B = ("b", "bv", "bval", "bvalue", "b value", "dwi")
_T1 = frozenset({"T1", "T1Gd"})
_T2 = frozenset({"T2", "T2-SPIR"})
_PLANES = {"sagittal": "off-axis", "coronal": "off-axis"}
# The letter behind DIXON, or at the end of its name. FL2D is the double echo of Siemens.
_DIXON = {"w": "water", "f": "fat", "in": "in", "opp": "out", "out": "out"}
_DOUBLE_ECHO = ("dixon", "fl2d")


@dataclass(frozen=True)
class Facts:
    """What the words of one image say.

    Attributes:
        weightings: values of the words for weightings, in their order.
        hints: weightings that a technique has by itself: T1 for MPRAGE.
        is_gradient_echo: whether a word for a gradient echo is among them.
        contrast: what is said about contrast.
        fat_suppressed: whether fat is suppressed.
        is_spir: whether SPIR suppresses it.
        part: "in", "out", "both", "water", "fat" or "".
        echo: "first", "second" or "".
        b_values: the b-values, in s/mm².
        traits: see `ImageName`.
    """

    weightings: tuple[str, ...]
    hints: frozenset[str]
    is_gradient_echo: bool
    contrast: Contrast
    fat_suppressed: bool
    is_spir: bool
    part: str
    echo: str
    b_values: tuple[int, ...]
    traits: frozenset[str]

    @classmethod
    def of(cls, words: Sequence[Word]) -> "Facts":
        """The facts in the words of one image."""
        values = defaultdict[str, list[str]](list)
        for word in words:
            values[word.facet].append(word.value)
        contrast = contrast_of(words)
        return cls(
            weightings=tuple(values["weighting"]),
            hints=frozenset(values["hint"]),
            is_gradient_echo=bool(values["gradient"]),
            contrast=contrast,
            fat_suppressed=bool(values["fat"]),
            is_spir="spir" in values["fat"],
            part=_part(words),
            echo=values["echo"][-1] if values["echo"] else "",
            b_values=_b_values(words),
            traits=frozenset({
                *values["projection"],
                *values["processing"],
                *(_PLANES[plane] for plane in values["plane"] if plane in _PLANES),
                *["fat-suppressed"] * bool(values["fat"]),
                *["after contrast"] * contrast.is_after,
                *["before contrast"] * contrast.is_before,
            }),
        )  # fmt: skip

    @property
    def kinds(self) -> frozenset[str]:
        """The weightings, without order."""
        return frozenset(self.weightings)

    @property
    def is_t1(self) -> bool:
        """Whether a word says T1, or a technique such as Dixon does and no word says T2."""
        by_technique = bool(self.hints & _T1 or self.part)
        return bool(self.kinds & _T1 or (by_technique and not self.kinds & _T2))

    @property
    def is_t2(self) -> bool:
        """Whether a word says T2, or a technique does and nothing says T1."""
        return bool(self.kinds & _T2 or (self.hints & _T2 and not self.is_t1))


def sequences_of(facts: Facts) -> tuple[str, ...]:
    """The sequences that the facts may mean: one if they are clear, none if they say nothing."""
    kinds = facts.kinds
    if kinds & {"ADC", "HBV", "DWI"} or facts.b_values:
        return (_diffusion(facts),)
    for kind in NEITHER:
        if kind in kinds:
            return (kind,)
    if "FLAIR" in kinds:
        return _with_flair(facts)
    is_t1_echo = (kinds | facts.hints) & _T1 or (facts.contrast.names_agent and not kinds & _T2)
    if "T2star" in kinds or (facts.is_gradient_echo and not is_t1_echo):
        return ("T2star",)
    if "STIR" in kinds and not facts.is_t1:
        return ("STIR",)
    if "PD" in kinds:
        return _with_pd(facts)
    return _t1_or_t2(facts)


def _t1_or_t2(facts: Facts) -> tuple[str, ...]:
    if facts.is_t1 and facts.is_t2 and not facts.part:
        return ("T1", "T2")
    if facts.is_t1:
        return _t1(facts)
    if facts.is_t2:
        return (_t2(facts),)
    if facts.is_spir:
        return ("T2-SPIR",)
    is_after_alone = facts.contrast.is_after and facts.contrast.names_agent
    return _t1(facts) if is_after_alone else ()


def _t1(facts: Facts) -> tuple[str, ...]:
    if facts.part == "both":
        return ("T1-in", "T1-out")
    if facts.part:
        return (f"T1-{facts.part}",)
    return facts.contrast.t1(says_gd="T1Gd" in facts.kinds)


def _t2(facts: Facts) -> str:
    """The water image of a Dixon series has no fat; its fat image is no sequence of a target."""
    if facts.part in {"fat", "out"}:
        return f"T2-{facts.part}"
    is_without_fat = facts.fat_suppressed or facts.part == "water" or "T2-SPIR" in facts.kinds
    return "T2-SPIR" if is_without_fat else "T2"


def _with_flair(facts: Facts) -> tuple[str, ...]:
    """FLAIR with the word T1 before it is a T1 FLAIR; `FLAIR_T1` may be registered to T1."""
    if not facts.kinds & _T1 or facts.kinds & _T2:
        return ("FLAIR",)
    first = next(kind for kind in facts.weightings if kind in {*_T1, "FLAIR"})
    return ("FLAIR", "T1") if first == "FLAIR" else _t1(facts)


def _with_pd(facts: Facts) -> tuple[str, ...]:
    """The second echo of a PD/T2 double echo is T2."""
    if not facts.kinds & _T2:
        return ("PD",)
    by_echo = {"first": ("PD",), "second": ("T2",)}
    return by_echo.get(facts.echo, ("PD", "T2"))


def _diffusion(facts: Facts) -> str:
    if "ADC" in facts.kinds:
        return "ADC"
    if "map" in facts.kinds:
        return "map"
    is_high = [b >= HIGH_B_S_PER_MM2 for b in facts.b_values]
    named = "HBV" in facts.kinds and (any(is_high) or not is_high)
    return "HBV" if named or is_high == [True] else "DWI"


def _part(words: Sequence[Word]) -> str:
    """The part that an image of water and fat shows: a word for it, or a letter."""
    if named := [word.value for word in words if word.facet == "part"]:
        return named[-1]
    for at, word in enumerate(words):
        if any(technique in word.text for technique in _DOUBLE_ECHO):
            letters = [words[min(at + 1, len(words) - 1)].text, words[-1].text]
            return next((_DIXON[letter] for letter in letters if letter in _DIXON), "")
    return ""


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
