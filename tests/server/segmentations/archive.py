"""A PACS without a network that holds DICOM SEGs, and SEGs of a person."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from tests.dicom.mr_series import PIXELS_OF_LABEL
from tests.dicom.other_programs import itk_series, segmentation_by_dcmqi
from zeus_app.errors import PacsAwayError

NAMES = {1: "lesion", 2: "cyst"}


def segmentation_by_hand(folder: Path, out: Path, **elements: Any) -> Dataset:
    """The SEG that dcmqi writes of the labels in a series' pixels; it says MANUAL.

    Args:
        folder: the series; its pixels tell the labels.
        out: where dcmqi writes.
        elements: keyword -> value that the SEG gets instead.
    """
    image = itk_series(folder) // PIXELS_OF_LABEL
    data = pydicom.dcmread(segmentation_by_dcmqi(image, NAMES, folder, out))
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    return data


def made_by(data: Dataset, kind: str) -> Dataset:
    """The same SEG, with another Segment Algorithm Type."""
    for segment in data.SegmentSequence:
        segment.SegmentAlgorithmType = kind
        segment.SegmentAlgorithmName = "a program"
    return data


class SegArchive:
    """Has SEGs by study and series, and counts what is asked.

    Attributes:
        series_of: Study Instance UID -> Series Instance UID -> SEGs.
        asked: names of the called methods with their UIDs.
        change: number of the newest change; None for a PACS without such a list.
        is_away: whether it does not answer.
    """

    def __init__(self) -> None:
        self.series_of: dict[str, dict[str, list[Dataset]]] = defaultdict(dict)
        self.asked: list[tuple[str, ...]] = []
        self.change: int | None = None
        self.is_away = False

    def add(self, data: Dataset) -> None:
        series = self.series_of[data.StudyInstanceUID]
        series.setdefault(data.SeriesInstanceUID, []).append(data)

    def _ask(self, *what: str) -> None:
        if self.is_away:
            raise PacsAwayError("no answer", expected="an answer", remedy="try again")
        self.asked.append(what)

    def last_change(self) -> int | None:
        return self.change

    def studies(
        self, filters: Mapping[str, str], fields: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        self._ask("studies", *filters.values())
        for uid, series in self.series_of.items():
            row = Dataset()
            row.StudyInstanceUID, row.ModalitiesInStudy = uid, ["MR", "SEG"]
            row.NumberOfStudyRelatedSeries = 2 + len(series)
            row.NumberOfStudyRelatedInstances = 20 + sum(map(len, series.values()))
            if series:
                yield row.to_json_dict()

    def series(self, study_uid: str, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        self._ask("series", study_uid)
        rows = []
        for uid, objects in self.series_of[study_uid].items():
            row = Dataset()
            row.SeriesInstanceUID, row.Modality = uid, "SEG"
            row.NumberOfSeriesRelatedInstances = len(objects)
            rows.append(row.to_json_dict())
        return [*rows, _images()]

    def retrieve_series(self, study_uid: str, series_uid: str) -> Iterator[Dataset]:
        self._ask("retrieve", series_uid)
        yield from self.series_of[study_uid].get(series_uid, [])


def _images() -> dict[str, Any]:
    """A series of images: a PACS may ignore the filter."""
    row = Dataset()
    row.SeriesInstanceUID, row.Modality = "1.9.9", "MR"
    answer: dict[str, Any] = row.to_json_dict()
    return answer
