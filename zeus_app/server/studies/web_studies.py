"""The studies whose DICOM files a viewer may see: those of the list, and Zeus's results."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from zeus_app.dicom.web.files import WebStudy
from zeus_app.types import StudyFiles

SeriesFiles = Mapping[str, tuple[Path, ...]]
"""Series Instance UID -> files."""


def web_studies(
    uid: str, studies: Mapping[str, StudyFiles], results: Callable[[str], SeriesFiles]
) -> Iterator[WebStudy]:
    """The DICOM studies. Other studies, such as those of NIfTI files, have no UID and are left out.

    Args:
        uid: Study Instance UID of the study; empty for all.
        studies: study id -> files.
        results: gives the files of the SEG and SR of a study, by its UID.
    """
    for files in studies.values():
        if files.study_uid and files.series and uid in ("", files.study_uid):
            images = {uid: source.files for uid, source in files.series.items()}
            yield WebStudy(files.study_uid, {**results(files.study_uid), **images})
