"""The files and sources of study candidates."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.types import VolumeSource
from zeus_app.volumes.headers import ITK_READERS
from zeus_app.volumes.sources import VOLUME_SUFFIXES, ItkSource, NiftiSource


def files_of(sources: Mapping[str, VolumeSource]) -> tuple[Path, ...]:
    """All files of the sources, each once."""
    return tuple(dict.fromkeys(path for source in sources.values() for path in source.files))


def owner_of(name: str, prefixes: Iterable[str]) -> str | None:
    """The longest prefix that is a whole word at the start of the name; None if there is none."""
    fitting = [p for p in prefixes if name.startswith(p) and not name[len(p) :][:1].isalnum()]
    return max(fitting, key=len, default=None)


def source_of(path: Path) -> VolumeSource:
    """The source for one file, by its suffix. Files with unknown suffixes are taken as DICOM."""
    if path.suffix.lower() in ITK_READERS:
        return ItkSource(path)
    if path.name.lower().endswith(VOLUME_SUFFIXES):
        return NiftiSource(path)
    return DicomSeriesSource((path,))
