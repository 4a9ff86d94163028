"""A study of a PACS: its sequences are recognised from headers alone, when it is opened."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from zeus_app.dicom.dicom_studies import file_source, study_of
from zeus_app.dicom.series import SliceHeader, headers_of, without_copies
from zeus_app.dicom.series_kind import Series
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.dicom.web.client import Item, text_of
from zeus_app.dicom.web.paths import is_uid
from zeus_app.server.pacs.files import PacsFiles, PacsSeries
from zeus_app.server.pacs.headers import data_set_of
from zeus_app.server.pacs.study_list import PacsStudy
from zeus_app.studies.check import check_headers
from zeus_app.targets import Target
from zeus_app.targets.naming import Names
from zeus_app.types import Grid, StudyCandidate, StudyFiles, StudyProblem, Volume


@dataclass(frozen=True)
class PacsSeriesSource:
    """A series of a PACS. Its grid is known from headers; its voxels are downloaded once.

    Attributes:
        of_files: reads the files once they are here.
        series: the series.
        downloads: fetches the files.
    """

    of_files: DicomSeriesSource
    series: PacsSeries
    downloads: PacsFiles = field(repr=False, compare=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the files lie after the download."""
        return self.of_files.files

    @property
    def version(self) -> tuple[str, ...]:
        """The series and its images, whether or not they are here."""
        paths = (path.stem for path in self.files)  # of one volume, where a series has several
        frames = (f"{path.stem}:{frame}" for path, frame in self.of_files.frames)
        return (self.series.uid, *self.series.images, *paths, *frames)

    def grid(self) -> Grid:
        """The grid in the headers."""
        return self.of_files.grid()

    def load(self) -> Volume:
        """Read the voxels as float32; download the series first if it is not here.

        Raises:
            PacsError: the PACS does not send the whole series.
            InputError: the voxels cannot be used.
        """
        with self.downloads.local(self.series):
            return self.of_files.load()

    def fetch(self) -> None:
        """Download the series if it is not here. Raises PacsError."""
        with self.downloads.local(self.series):
            pass


@dataclass(frozen=True)
class _Told:
    """What users read instead of the folders of series, whose names are hashes.

    Attributes:
        names: folder -> the series.
    """

    names: Mapping[Path, str]

    def of(self, reason: str) -> str:
        """A reason that names series by their UIDs."""
        for path, name in self.names.items():
            reason = reason.replace(str(path), name)
        return reason


class PacsStudyReader:
    """Makes studies of headers.

    Args:
        target: the sequences.
        downloads: fetches the files.
    """

    def __init__(self, target: Target, downloads: PacsFiles) -> None:
        self._target, self._names = target, Names.of(target)
        self._downloads = downloads

    def read(self, study: PacsStudy, items: Sequence[Item]) -> StudyFiles | StudyProblem:
        """The study with the sequences of the target, or the reason why it has none.

        Args:
            study: what the list says about it.
            items: the headers of its images, in DICOM's JSON.
        """
        folder = self._downloads.study_folder(study.uid)
        headers, errors = self._headers(study, items)
        if not headers:
            return StudyProblem(study.uid, (folder,), "the PACS has no image of it")
        series = _series_of(study.uid, headers)

        def make_source(of: Series) -> PacsSeriesSource:
            return PacsSeriesSource(file_source(of), series[of.uid], self._downloads)

        found = study_of(
            study.uid, folder, without_copies(headers), self._names,
            make_source=make_source, errors=errors,
        )  # fmt: skip
        if isinstance(found, StudyCandidate):
            found = check_headers(found, self._target)
        told = _Told({path: f"series {of.uid}" for path, of in self._folders(series).items()})
        if not isinstance(found, StudyCandidate):
            return StudyProblem(study.uid, found.files, told.of(found.reason))
        return self._files(study, found, told)

    def _folders(self, series: Mapping[str, PacsSeries]) -> dict[Path, PacsSeries]:
        """The folder of each series."""
        return {self._downloads.file_of(of.study_uid, of.uid, "").parent: of
                for of in series.values()}  # fmt: skip

    def _headers(
        self, study: PacsStudy, items: Sequence[Item]
    ) -> tuple[list[SliceHeader], dict[Path, list[str]]]:
        """The headers, and the folder of a series -> what is wrong with other images of it."""
        headers: list[SliceHeader] = []
        errors: dict[Path, list[str]] = defaultdict(list)
        for item in items:
            series, image = text_of(item, "SeriesInstanceUID"), text_of(item, "SOPInstanceUID")
            is_own = text_of(item, "StudyInstanceUID") == study.uid
            if not (is_own and is_uid(series) and is_uid(image)):
                continue
            path = self._downloads.file_of(study.uid, series, image)
            try:
                headers += headers_of(data_set_of(item), path)
            except Exception as error:  # pydicom raises exceptions of many types
                reason = f"an image whose header is damaged ({type(error).__name__})"
                errors[path.parent].append(reason)
        return headers, errors

    def _files(self, study: PacsStudy, found: StudyCandidate, told: _Told) -> StudyFiles:
        names = [name for name in self._target.sequence_names if name in found.sources]
        return StudyFiles(
            study.uid,
            {name: found.sources[name] for name in names},
            study.patient or found.patient or study.uid,
            evidence=found.evidence,
            unused=tuple(replace(one, reason=told.of(one.reason)) for one in found.unused),
            study_uid=study.uid,
            series=found.series,
        )


def _series_of(study_uid: str, headers: Sequence[SliceHeader]) -> dict[str, PacsSeries]:
    """Series Instance UID -> all images that its download must bring."""
    images: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        images[header.series_uid].add(header.sop_uid)
    return {uid: PacsSeries(study_uid, uid, tuple(sorted(ids))) for uid, ids in images.items()}
