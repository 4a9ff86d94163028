"""The files of a DICOM series, on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.server.pacs.study import PacsSeriesSource
from zeus_app.types import VolumeSource


def is_series(source: VolumeSource) -> bool:
    """Whether a source is a DICOM series, of a folder or of a PACS."""
    of_files = source.of_files if isinstance(source, PacsSeriesSource) else source
    return isinstance(of_files, DicomSeriesSource)


@contextmanager
def local_series(source: VolumeSource) -> Iterator[DicomSeriesSource]:
    """A series with its files on this machine, where they stay during the body.

    Args:
        source: a source for which `is_series` is true.

    Raises:
        PacsError: the PACS does not send the whole series.
    """
    if isinstance(source, PacsSeriesSource):
        with source.downloads.local(source.series), local_series(source.of_files) as series:
            yield series
        return
    assert isinstance(source, DicomSeriesSource), "callers ask is_series before"
    yield source
