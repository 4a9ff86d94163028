"""The volumes in one series: its stacks, kinds of image, b-values, directions and echoes.

A series is divided only where it must be: where several images lie at one position, or where an
enhanced file names several stacks.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from zeus_app.dicom.series import SliceHeader

NO_B_VALUE = "no b-value"
"""Label of the images without a b-value beside others that have one."""


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one volume of a series.

    Attributes:
        headers: headers of its images, at least one.
        label: what tells it from the other volumes, for messages; empty if it is the whole series.
        echo: number of its echo in the order of their times, from 1; 0 if there is one alone.
    """

    headers: tuple[SliceHeader, ...]
    label: str = ""
    echo: int = 0

    def labelled(self, label: str) -> "Part":
        """The same images with one more label."""
        return replace(self, label=", ".join(filter(None, (self.label, label))))


def parts_of(headers: Iterable[SliceHeader]) -> list[Part]:
    """The volumes of one series: the series itself if nothing divides it."""
    parts = _divided(Part(tuple(headers)), _stack, "stack {}")
    for key, label in ((_kind, "{}"), (_b_value, "{}"), (_direction, "{}")):
        parts = [
            smaller
            for part in parts
            for smaller in (_divided(part, key, label) if _has_several(part) else [part])
        ]
    return [smaller for part in parts for smaller in _echoes(part)]


def _has_several(part: Part) -> bool:
    """Whether several images lie at one position."""
    positions = {header.position_lps for header in part.headers}
    return None not in positions and len(positions) < len(part.headers)


def _divided(part: Part, key: Callable[[SliceHeader], Hashable], label: str) -> list[Part]:
    """The images by a key; the part itself if all have the same."""
    groups: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for header in part.headers:
        groups[key(header)].append(header)
    if len(groups) == 1:
        return [part]
    return [
        replace(part, headers=tuple(group)).labelled(label.format(name))
        for name, group in sorted(groups.items(), key=lambda item: _order(item[1][0]))
    ]


def _order(header: SliceHeader) -> tuple[str, tuple[str, ...], float, bool]:
    b_value = -1.0 if header.b_value is None else header.b_value
    return header.stack, header.image_type, b_value, not header.is_isotropic


def _stack(header: SliceHeader) -> str:
    return header.stack


def _kind(header: SliceHeader) -> str:
    return "\\".join(header.image_type)


def _b_value(header: SliceHeader) -> str:
    return NO_B_VALUE if header.b_value is None else f"b-value {header.b_value:g} s/mm²"


def _direction(header: SliceHeader) -> str:
    return "mean of the directions" if header.is_isotropic else "single directions"


def _echoes(part: Part) -> Iterator[Part]:
    """The echoes of a double echo; the part itself if it is none."""
    times = sorted({header.echo for header in part.headers}, key=lambda echo: echo[1])
    if len(times) < 2 or not _is_full(part.headers, len(times)):
        yield part
        return
    for number, echo in enumerate(times, start=1):
        headers = tuple(header for header in part.headers if header.echo == echo)
        yield replace(part, headers=headers, echo=number).labelled(f"echo {number}")


def _is_full(headers: Sequence[SliceHeader], echoes: int) -> bool:
    positions = {header.position_lps for header in headers}
    return len(positions) * echoes == len(headers)
