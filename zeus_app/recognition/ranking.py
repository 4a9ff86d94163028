"""Choose one image for each sequence of a study. The others are listed with the reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.types import UnusedImage, VolumeSource

# Traits that make an image second choice, the worst first, and how messages call them.
_WORSE = {
    "phase": "a phase image",
    "projection": "a projection or reformat",
    "repeated": "a repetition",
    "off-axis": "not axial",
    "derived": "derived from another series",
    "registered": "registered to another image",
    "processed": "processed",
    "part": "a part of the body",
    "after contrast": "taken after contrast",
    "fat-suppressed": "with fat suppression",
}


@dataclass(frozen=True)
class ImageCandidate:
    """An image that may be a sequence of a study.

    Attributes:
        name: how messages call it: its file's name, or the series with its number.
        source: where its voxels come from.
        evidence: why it is taken for this sequence.
        traits: see `ImageName.traits`; also "phase" and "derived".
        extra: number of words in its name that say nothing about the sequence.
        b_value: of a diffusion image, in s/mm²; else 0.
    """

    name: str
    source: VolumeSource
    evidence: str
    traits: frozenset[str] = frozenset()
    extra: int = 0
    b_value: float = 0.0


@dataclass
class Choice:
    """The images of a study, chosen one after the other.

    Attributes:
        sources: sequence name -> source of the chosen image.
        evidence: sequence name -> why it was chosen.
        unused: the other images.
    """

    sources: dict[str, VolumeSource] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    unused: list[UnusedImage] = field(default_factory=list)

    def add(self, sequence: str, candidates: Sequence[ImageCandidate]) -> None:
        """Choose the best of the candidates for a sequence, if one is best.

        One candidate alone is taken as it is; what is wrong with it is told when it is checked.
        """
        readable = self._readable(candidates) if len(candidates) > 1 else list(candidates)
        if not readable:
            return
        best = sorted(readable, key=_named_rank)
        if len(best) > 1 and _named_rank(best[0]) == _named_rank(best[1]):
            best = sorted(best, key=lambda c: (_named_rank(c), _size_rank(c)))
        first, *others = best
        equal = [candidate for candidate in others if _is_tie(first, candidate)]
        if equal:
            names = ", ".join(candidate.name for candidate in (first, *equal))
            tie = f"several images for {sequence}, and none is better: {names}. {_CHOOSE}"
            for candidate in best:
                self.leave_out(candidate.source.files, tie, candidate.source)
            return
        self.sources[sequence], self.evidence[sequence] = first.source, first.evidence
        for candidate in others:
            reason = _why_second(sequence, candidate, first)
            self.leave_out(candidate.source.files, reason, candidate.source)

    def _readable(self, candidates: Sequence[ImageCandidate]) -> list[ImageCandidate]:
        """The candidates that are volumes. The others are listed with what is wrong with them."""
        problems = [_problem(candidate) for candidate in candidates]
        for candidate, problem in zip(candidates, problems, strict=True):
            if problem:
                self.leave_out(candidate.source.files, problem, candidate.source)
        return [c for c, problem in zip(candidates, problems, strict=True) if not problem]

    def leave_out(
        self, files: Iterable[Path], reason: str, source: VolumeSource | None = None
    ) -> None:
        """List an image as unused."""
        self.unused.append(UnusedImage(tuple(files), reason, source))


_CHOOSE = "Remove one of them, or list the study in cases.yaml"


def _named_rank(candidate: ImageCandidate) -> tuple[object, ...]:
    """Smaller is better: the b-value, then the worst trait, then words that say nothing."""
    traits = [trait in candidate.traits for trait in _WORSE]
    return (-candidate.b_value, *traits, candidate.extra)


def _size_rank(candidate: ImageCandidate) -> tuple[float, float, float]:
    """Smaller is better: more slices, then smaller voxels, then more of them."""
    grid = candidate.source.grid()
    slices = grid.shape[int(np.argmax(grid.spacing_mm))]
    return (-float(slices), grid.voxel_ml, -float(np.prod(grid.shape)))


def _is_tie(first: ImageCandidate, second: ImageCandidate) -> bool:
    """Whether neither name, headers nor size tell two images apart."""
    same_name = _named_rank(first) == _named_rank(second)
    return same_name and bool(np.allclose(_size_rank(first), _size_rank(second), rtol=1e-3))


def _problem(candidate: ImageCandidate) -> str:
    """Why the image is no volume; "" if it is one."""
    try:
        candidate.source.grid()
    except InputError as error:
        return str(error)
    return ""


def _why_second(sequence: str, candidate: ImageCandidate, first: ImageCandidate) -> str:
    """Why `first` is used instead."""
    worse = [text for trait, text in _WORSE.items() if trait in candidate.traits - first.traits]
    if candidate.b_value < first.b_value:
        worse = [f"its b-value is {candidate.b_value:g} s/mm²"]
    elif not worse and candidate.extra > first.extra:
        worse = ["its name says more than the sequence"]
    if not worse:
        worse = ["fewer slices, or larger or fewer voxels"]
    return f"{first.name} is used for {sequence}; this one: {', '.join(worse)}"
