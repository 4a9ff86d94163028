"""Tell which sequence a DICOM series is: by facts in its headers, else by its names.

Facts are a b-value, an ADC map, in phase and out of phase. A T1 with a contrast agent in its header
is T1Gd. Image Type tells phase images, projections and derived images.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zeus_app.dicom.parts import NO_B_VALUE, parts_of
from zeus_app.dicom.series import SliceHeader, is_axial
from zeus_app.dicom.stacking import SliceStacking, stack_slices
from zeus_app.errors import InputError
from zeus_app.recognition.contrast import contrast_of
from zeus_app.recognition.image_name import ImageName
from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.recognition.weighting import HIGH_B_S_PER_MM2
from zeus_app.recognition.words import split_words, word_set
from zeus_app.targets.naming import Names
from zeus_app.types import Grid

_CHAOS = frozenset({"t1dual", "t2spir"})
_NO_AGENT = word_set("none no n 0 - n/a na not w/o without ohne sans sin unknown null false")
_PHASE = frozenset(
    {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "PHASE_MAP", "VELOCITY"}
)
_PROJECTION = frozenset({
    "MIP", "MPR", "CSA MPR", "PROJECTION IMAGE", "REFORMATTED", "MNIP", "MINIP", "MIN IP", "MEAN",
    "COLLAPSE", "CSA RESAMPLED", "CSAPARALLEL", "VRT", "SECONDARY CAPTURE", "CPR",
})  # fmt: skip
_MAPS = frozenset({
    "FA", "FRACTIONAL_ANISOTROPY", "T1 MAP", "T2 MAP", "T2_STAR MAP", "R2 MAP", "RELCBF", "CBF",
    "CBV", "MTT", "TTP", "DIFFUSION_COLORFA", "TTEST",
})  # fmt: skip
_OTHER = {
    "LOCALIZER": "a localizer", "SUBTRACTION": "a subtraction", "SUBTRACT": "a subtraction",
    "SUB": "a subtraction", "PERFUSION": "perfusion", "PASL": "perfusion", "ASL": "perfusion",
    "MOSAIC": "a mosaic", "SCREEN SAVE": "a screenshot", **dict.fromkeys(_MAPS, "a map"),
}  # fmt: skip
_T2_ECHO_MS = 60.0  # PD is taken at 10 to 40 ms, T2 at 70 to 120 ms


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one volume: a series, or a part of one.

    Attributes:
        headers: headers of its images, at least one.
        folders: names of the folders between the study's folder and its files.
        part: what tells it from other volumes of the series; empty if it is the whole series.
        echo: number of its echo in the order of their times, from 1; 0 if there is one alone.
    """

    headers: tuple[SliceHeader, ...]
    folders: str
    part: str = ""
    echo: int = 0

    @property
    def folder(self) -> Path:
        """The folder of its first image."""
        return self.headers[0].path.parent

    @property
    def uid(self) -> str:
        """The Series Instance UID; empty if there is none."""
        return self.headers[0].series_uid

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of its images, in the order of their positions where that is known."""
        stacked = self._stacking
        headers = self.headers if isinstance(stacked, InputError) else stacked.headers
        return tuple(dict.fromkeys(header.path for header in headers))

    @property
    def frames(self) -> tuple[tuple[Path, int], ...]:
        """(file, number of the frame) of its images; empty if each is a file of its own."""
        return tuple((h.path, h.frame) for h in self.headers if h.frame is not None)

    @property
    def known_grid(self) -> Grid | None:
        """The grid; None if the images are no volume."""
        return None if isinstance(self._stacking, InputError) else self._stacking.grid

    @property
    def problem(self) -> str:
        """Why the images are no volume; empty if they are one."""
        return str(self._stacking) if isinstance(self._stacking, InputError) else ""

    @cached_property
    def _stacking(self) -> SliceStacking | InputError:
        try:
            return stack_slices(self.headers)
        except InputError as error:
            return error

    @property
    def b_values(self) -> set[float]:
        """Its b-values, in s/mm²."""
        return {header.b_value for header in self.headers if header.b_value is not None}

    @property
    def types(self) -> set[str]:
        """The values of its Image Type."""
        return set(self.headers[0].image_type)

    @cached_property
    def has_agent(self) -> bool:
        """Whether a header names a contrast agent."""
        return any(_is_agent(agent) for agent in {header.contrast_agent for header in self.headers})

    def __str__(self) -> str:
        first = self.headers[0]
        plane = "axial" if is_axial(first) else "not axial"
        name = f"{first.series_number} {first.description}".strip() or first.path.parent.name
        part = f", {self.part}" if self.part else ""
        return f"'{name}' ({len(self.headers)} images, {plane}{part})"


@dataclass(frozen=True)
class SeriesKind:
    """What a series is.

    Attributes:
        sequence: the target's sequence; "" if it is none.
        reason: why it is none; "" if it is one.
        evidence: what tells the sequence.
        traits: see `ImageName.traits`; also "derived".
        extra: number of words in its description that say nothing about the sequence.
        b_value: in s/mm²; infinite for a calculated image without one; 0 if it has none.
    """

    sequence: str
    reason: str = ""
    evidence: str = ""
    traits: frozenset[str] = field(default=frozenset())
    extra: int = 0
    b_value: float = 0.0


def _is_agent(text: str) -> bool:
    """Whether Contrast/Bolus Agent names one: not `NONE`, `No contrast` or `ohne KM`."""
    words = text.lower().split()
    if not words or words[0] in _NO_AGENT:
        return False
    return not contrast_of(split_words(text, shipped_vocabulary())).is_before


def chaos_folder(path: Path) -> Path | None:
    """The study's folder in the layout of the CHAOS challenge; None in other layouts."""
    return next((p.parent for p in path.parents if p.name.lower() in _CHAOS), None)


def series_of(headers: Sequence[SliceHeader], folder: Path) -> list[Series]:
    """Group the images of a study by series, and those of one series by volume.

    In the CHAOS layout each folder is a series: both phases have one series UID.
    """
    groups: dict[tuple[str, str], list[SliceHeader]] = defaultdict(list)
    for header in headers:
        folder_key = str(header.path.parent) if chaos_folder(header.path) else ""
        groups[header.series_uid, folder_key].append(header)
    found: list[Series] = []
    for group in groups.values():
        folders = " ".join(group[0].path.parent.relative_to(folder).parts)
        found += [Series(p.headers, folders, p.label, p.echo) for p in parts_of(group)]
    return found


def kind_of(series: Series, names: Names) -> SeriesKind:
    """Which sequence of the target a series is."""
    if series.types & _PHASE:
        return SeriesKind("", f"is a phase image ({', '.join(sorted(series.types & _PHASE))})")
    for kind in sorted(series.types & set(_OTHER)):
        return SeriesKind("", f"is {_OTHER[kind]} (Image Type {kind})")
    name = _name(series, names)
    fact, evidence = _fact(series, name)
    shown = (fact,) if fact else _with_headers(series, name)
    found = tuple(filter(None, (names.of_target(sequence) for sequence in shown)))
    if len(found) != 1 or len(shown) > 1:
        return SeriesKind("", _why_none(shown, name))
    told = ", ".join(filter(None, (name.evidence, evidence)))
    return SeriesKind(
        found[0],
        evidence=told,
        traits=_traits(series, name, shown[0]),
        extra=name.extra,
        b_value=_b_value(series, name),
    )


def _name(series: Series, names: Names) -> ImageName:
    """The first of its names that tells a sequence: description, protocol, folders.

    It has the names before it in front.
    """
    first = series.headers[0]
    texts = [first.description, first.protocol, series.folders]
    if chaos_folder(first.path):
        texts = [series.folders, first.description, first.protocol]
    echo = f" echo {_echo(series)}" if _echo(series) else ""
    texts = [text for text in texts if text]
    # `AX POST` with the protocol `T1` is T1 after contrast, so what came before counts too.
    joined = [" ".join(texts[:count]) for count in range(1, len(texts) + 1)]
    read = [names.read(text + echo, is_description=True) for text in joined]
    telling = (name for name in read if name.sequences)
    return next(telling, read[0] if read else names.read(""))


def _echo(series: Series) -> int:
    """The number of a series among the echoes of a PD/T2 double echo; 0 if nobody knows."""
    if series.echo:
        return series.echo
    echo_time_ms = series.headers[0].echo[1]
    return 0 if not echo_time_ms else 2 if echo_time_ms >= _T2_ECHO_MS else 1


def _fact(series: Series, name: ImageName) -> tuple[str, str]:
    """The sequence that the headers state, and how; empty texts if they state none."""
    if "ADC" in series.types or name.sequence == "ADC":
        return "ADC", "Image Type ADC" if "ADC" in series.types else ""
    if "IN_PHASE" in series.types:
        return "T1-in", "Image Type IN_PHASE"
    if opposed := series.types & {"OUT_PHASE", "OPP_PHASE", "OPPOSED_PHASE"}:
        return "T1-out", f"Image Type {opposed.pop()}"
    if not _is_diffusion(series, name):
        return "", ""
    b_value = _b_value(series, name)
    told = f"b-value {b_value:g} s/mm²" if 0 < b_value < float("inf") else ""
    return "HBV" if b_value >= HIGH_B_S_PER_MM2 else "DWI", told


def _is_diffusion(series: Series, name: ImageName) -> bool:
    is_weighted = "DIFFUSION" in series.types or any(series.b_values)
    return is_weighted or name.sequence in {"HBV", "DWI"}


def _b_value(series: Series, name: ImageName) -> float:
    """The only b-value; infinite for a calculated image without one; 0 for several or none.

    A part without one beside parts that have one is not calculated.
    """
    if len(series.b_values) == 1:
        return next(iter(series.b_values))
    if NO_B_VALUE in series.part or name.sequence != "HBV" or series.b_values:
        return 0.0
    return float(name.b_value) or float("inf")


def _with_headers(series: Series, name: ImageName) -> tuple[str, ...]:
    """The sequences that its name means, with the contrast agent of its headers."""
    if name.sequence == "T1" and series.has_agent and "before contrast" not in name.traits:
        return ("T1Gd",)
    return name.sequences


def _traits(series: Series, name: ImageName, shown: str) -> frozenset[str]:
    traits = set(name.traits) - {"off-axis"}
    if not is_axial(series.headers[0]):
        traits.add("off-axis")
    if series.types & _PROJECTION:
        traits.add("projection")
    # Maps and diffusion images are derived by nature.
    if "DERIVED" in series.types and shown not in {"ADC", "HBV", "T1-in", "T1-out"}:
        traits.add("derived")
    if shown == "T1Gd":
        traits.discard("after contrast")
    elif series.has_agent:
        traits.add("after contrast")
    return frozenset(traits)


def _why_none(shown: Sequence[str], name: ImageName) -> str:
    if len(shown) > 1:
        return f"could be {' or '.join(shown)}"
    if shown:
        return f"shows {shown[0]} ({name.evidence}), no sequence of the target"
    return "has no description that tells its sequence"
