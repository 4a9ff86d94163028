"""The shipped targets, what each would find in a folder of studies, and the command to type."""

import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from zeus_app.commands.terminal import print_table

if TYPE_CHECKING:
    from zeus_app.targets import Target

LONGEST_S = 30.0
"""Seconds after which no further target is looked for. Names are read once a target."""
_LONGEST_REASON = 200  # characters
_TOO_LARGE = "not looked at, because the folder is large"


@dataclass(frozen=True)
class Offer:
    """What a target would find.

    Attributes:
        target: its name.
        segments: what it segments, in words.
        studies: number of studies, by names and DICOM headers.
        images: sequence -> number of studies that have it, for the sequences that were found.
        note: why nothing was counted; empty if it was.
        reason: why one of the studies cannot be used; empty if all can.
        wanted: number of sequences that the target looks at.
    """

    target: str
    segments: str
    studies: int = 0
    images: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    reason: str = ""
    wanted: int = 1

    @property
    def rank(self) -> tuple[float, int]:
        """Smaller for a better offer: more whole studies, then more images."""
        total = sum(self.images.values())
        return -total / self.wanted, -total

    @property
    def sequences_text(self) -> str:
        """The sequences with their numbers, or the note."""
        found = ", ".join(f"{name} {count}" for name, count in self.images.items())
        return found or self.note or "none"


def offers(folder: Path | None, *, skip: Collection[Path] = ()) -> list[Offer]:
    """What each shipped target would find, the best first.

    Args:
        folder: the studies folder; None counts nothing.
        skip: folders that are not searched, such as the state folder.
    """
    found = list(_offers(folder, skip))
    return sorted(found, key=lambda offer: offer.rank)


def _offers(folder: Path | None, skip: Collection[Path]) -> Iterator[Offer]:
    from zeus_app.targets import load_target, shipped_targets

    end_s = time.monotonic() + LONGEST_S
    counted: dict[object, Offer] = {}  # targets may share their sequences
    for name in shipped_targets():
        target = load_target(name)
        segments = ", ".join(target.label_names)
        key = (target.sequences, target.mask_aliases, target.reference)
        if folder is None:
            yield Offer(name, segments, note=", ".join(target.sequence_names))
            continue
        if key not in counted and time.monotonic() > end_s:
            yield Offer(name, segments, note=_TOO_LARGE)
            continue
        if key not in counted:
            counted[key] = _counted(folder, target, skip)
        yield replace(counted[key], target=name, segments=segments)


def _counted(folder: Path, target: "Target", skip: Collection[Path]) -> Offer:
    """The numbers of studies, and of those with each sequence; or why there are none."""
    from zeus_app.studies.find import scan
    from zeus_app.types import RejectedStudy, StudyCandidate

    found = [each for _, each in scan(folder, target, skip=skip, check=False)]
    studies = [each for each in found if isinstance(each, StudyCandidate)]
    counts = {
        name: sum(name in study.sources for study in studies) for name in target.sequence_names
    }
    reasons = [each.reason for each in found if isinstance(each, RejectedStudy)]
    return Offer(
        target.name,
        "",
        studies=len(studies),
        images={name: count for name, count in counts.items() if count},
        reason=reasons[0][:_LONGEST_REASON] if reasons else "",
        wanted=len(target.sequences),
    )


def explain_targets(
    studies: Path | str, options: Sequence[tuple[str, str]], *, by_make: bool
) -> None:
    """Print the targets, what each would find, and the command for each.

    Args:
        studies: the studies folder; the address of a PACS, where nothing is counted; or empty.
        options: what else the user gave, as `serve_command` takes it.
        by_make: show `make serve` instead of `zeus serve`.
    """
    typer.echo("A target says what to segment, and in which sequences.\n")
    folder = studies if isinstance(studies, Path) else None
    states = [Path(value) for name, value in options if name == "state"]
    listed = offers(folder, skip=states)
    columns = ["studies found", "sequences found"] if folder else ["looks for"]
    rows = [
        [
            offer.target,
            offer.segments,
            *([str(offer.studies)] if folder else []),
            offer.sequences_text,
        ]
        for offer in listed
    ]
    print_table(str(folder) if folder else "targets", ["target", "segments", *columns], rows)
    typer.echo("Type one of these:")
    for offer in [offer for offer in listed if offer.images] or listed:
        typer.echo(f"  {serve_command(studies, offer.target, options, by_make=by_make)}")
    if folder and not any(offer.images for offer in listed):
        reason = next((f" For example: {each.reason}." for each in listed if each.reason), "")
        typer.echo(
            f"No target finds a study here.{reason} `zeus studies FOLDER --target NAME` prints all"
            " reasons. A target of your own names the words of your files (README, Your own target)"
        )


def serve_command(
    studies: Path | str, target: str, options: Sequence[tuple[str, str]], *, by_make: bool
) -> str:
    """The command that serves a folder for a target.

    Args:
        studies: the studies folder or the address of a PACS; empty stands for a placeholder.
        target: name of the target.
        options: (name, value) of further options of `zeus serve`; a flag has no value.
        by_make: give them as the variables of `make serve`.
    """
    place = shlex.quote(str(studies)) if studies else "<folder>"
    if by_make:
        variables = [f"{name.upper()}={shlex.quote(value)}" for name, value in options]
        return " ".join(["make serve", f"STUDIES={place}", f"TARGET={target}", *variables])
    given = [f"--{name} {shlex.quote(value)}" if value else f"--{name}" for name, value in options]
    return " ".join([".venv/bin/zeus serve", place, f"--target {target}", *given])
