"""A request may choose another image for a sequence: one that Zeus listed and does not use.

What a client sends is compared with the listed names. It is never used as a path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.settings.registry import lookup
from zeus_app.studies.candidates import source_of
from zeus_app.types import StudyFiles, VolumeSource
from zeus_app.volumes.sources import is_volume

USE_IMAGES = "use_images"
"""Parameter of an inference: sequence name -> the name of a listed image."""


def choose_images(
    resolved: ResolvedImage, chosen: Mapping[str, str], sequences: tuple[str, ...]
) -> ResolvedImage:
    """The same study with other images.

    Args:
        resolved: what the request is about.
        chosen: sequence name -> an image of the study, as GET /zeus/studies lists it: the name or
            the path of its first file.
        sequences: names of the target's sequences.

    Raises:
        InputError: a sequence is not one of the target, an image is not listed, or it cannot be
            read.
    """
    if not chosen:
        return resolved
    sources = dict(resolved.files.sources)
    for sequence, name in chosen.items():
        lookup("sequence", sequence, dict.fromkeys(sequences))
        sources[sequence] = _listed(resolved.files, name)
        sources[sequence].grid()
    ordered = {sequence: sources[sequence] for sequence in sequences if sequence in sources}
    return replace(resolved, files=replace(resolved.files, sources=ordered))


def _listed(files: StudyFiles, name: str) -> VolumeSource:
    """The source of a listed image."""
    images = list(_images(files))
    for paths, source in images:
        if name in {str(paths[0]), paths[0].name}:
            return source or _of_files(paths)
    names = ", ".join(paths[0].name for paths, _ in images)
    raise InputError(
        f"image {name[:200]!r}, which study {files.id!r} does not list",
        expected=f"one of {names}",
        remedy="list the images of the study with GET /zeus/studies, and send the name of one",
    )


def _of_files(paths: tuple[Path, ...]) -> VolumeSource:
    return source_of(paths[0]) if is_volume(paths[0]) else DicomSeriesSource(paths)


def _images(files: StudyFiles) -> Iterator[tuple[tuple[Path, ...], VolumeSource | None]]:
    """The files of each listed image, used or not, and its source if the study holds it."""
    for source in files.sources.values():
        yield source.files, source
    for image in files.unused:
        yield image.files, image.source
