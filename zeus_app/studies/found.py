"""What a layout makes of a folder, before it becomes a study or a problem."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeus_app.studies.sources import Source
from zeus_app.types import VolumeSource

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


@dataclass(frozen=True)
class Found:
    """One study as a layout found it.

    Attributes:
        name: from its folder or prefix, unchanged; the id is made from it.
        folder: where it lies.
        sources: sequence name -> source.
        label: its mask, where the layout itself says so (labelsTr, a case list).
        prefix: of its files' names, where the folder holds several studies; else empty.
        patient: whose study it is, where the layout itself says so; else empty.
    """

    name: str
    folder: Path
    sources: Mapping[str, Source]
    label: Path | None = None
    prefix: str = ""
    patient: str = ""


@dataclass(frozen=True)
class Unusable:
    """Files that look like a study and cannot be used as one.

    Attributes:
        only_masks: there are but masks, which is no news where a study lies near by.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    reason: str
    only_masks: bool = False


def is_volume(path: Path) -> bool:
    """Whether the name is that of an image file which a source can read."""
    return path.name.lower().endswith(VOLUME_SUFFIXES) and not path.name.startswith(".")


def stem(path: Path) -> str:
    """The file's name without its suffix; `.nii.gz` is one suffix."""
    for suffix in VOLUME_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def files_of(sources: Mapping[str, VolumeSource]) -> tuple[Path, ...]:
    """Every file behind the sources, once."""
    return tuple(dict.fromkeys(path for source in sources.values() for path in source.files))


def owner_of(name: str, prefixes: Iterable[str]) -> str | None:
    """The longest prefix that the name starts with as a whole word; None if there is none."""
    fitting = [p for p in prefixes if name.startswith(p) and not name[len(p) :][:1].isalnum()]
    return max(fitting, key=len, default=None)
