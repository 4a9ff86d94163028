"""The DICOM files that a viewer may see, found by their UIDs, and what a list says about them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydicom.datadict import keyword_dict

from zeus_app.dicom.web.json_model import Json, read_data_set, to_json
from zeus_app.dicom.web.paths import WebPath
from zeus_app.errors import InputError, UnknownNameError

_STUDY = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName",
    "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDescription",
)  # fmt: skip
_SERIES = (
    "Modality", "SeriesDescription", "SeriesNumber", "SeriesDate", "SeriesTime", "BodyPartExamined",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
)  # fmt: skip
_INSTANCE = (
    "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated",
    "NumberOfFrames",
)  # fmt: skip
_TAGS = {name: f"{keyword_dict[name]:08X}" for name in (*_STUDY, *_SERIES, *_INSTANCE)}
_MODALITY = _TAGS["Modality"]
_HEADERS_IN_MEMORY, _UIDS_IN_MEMORY = 4096, 65_536


@dataclass(frozen=True)
class WebStudy:
    """The DICOM files of one study that a viewer may see.

    Attributes:
        uid: Study Instance UID.
        series: Series Instance UID -> files.
    """

    uid: str
    series: Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True)
class WebFile:
    """One DICOM file with its UIDs."""

    study: str
    series: str
    instance: str
    path: Path

    @property
    def address(self) -> str:
        """The address of the file below the root of the service."""
        return f"studies/{self.study}/series/{self.series}/instances/{self.instance}"


class WebFiles:
    """The files of studies by their UIDs. No part of a request is used as a path.

    Args:
        studies: lists the studies that have a Study Instance UID, or all if the UID is empty. Two
            with one UID count as one.
        root: address below which the resources are, for example "/proxy/dicom/wado".
    """

    def __init__(self, studies: Callable[[str], Iterable[WebStudy]], root: str) -> None:
        self._studies, self.root = studies, root

    def files(self, named: WebPath) -> Iterator[WebFile]:
        """The files that an address names."""
        for study in self._merged(named.study):
            for series, paths in study.series.items():
                if named.series in ("", series):
                    for path in paths:
                        instance = _sop_uid(*_version(path))
                        if named.instance in ("", instance):
                            yield WebFile(study.uid, series, instance, path)

    def studies(self) -> Iterator[Json]:
        """What a list says about each study. A series without a readable file does not count."""
        for study in self._merged(""):
            headers = dict(_readable(study.series))
            if not headers:
                continue
            modalities = {text_of(header.get(_MODALITY)) for header in headers.values()}
            yield {
                **_chosen(next(iter(headers.values())), _STUDY),
                "0020000D": _values("UI", study.uid),
                "00080061": _values("CS", *sorted(filter(None, modalities))),
                "00201206": _values("IS", len(headers)),
                "00201208": _values("IS", sum(len(study.series[uid]) for uid in headers)),
                **self._place(f"studies/{study.uid}"),
            }

    def series(self, named: WebPath) -> Iterator[Json]:
        """What a list says about each series of the study, or of the studies, of an address."""
        for study in self._merged(named.study):
            for uid, header in _readable(study.series):
                yield {
                    **_chosen(header, _SERIES),
                    "0020000D": _values("UI", study.uid),
                    "0020000E": _values("UI", uid),
                    "00201209": _values("IS", len(study.series[uid])),
                    **self._place(f"studies/{study.uid}/series/{uid}"),
                }

    def instances(self, named: WebPath) -> Iterator[Json]:
        """What a list says about each image of an address."""
        for file in self.files(named):
            yield {
                **_chosen(_header(*_version(file.path)), _INSTANCE),
                "0020000D": _values("UI", file.study),
                "0020000E": _values("UI", file.series),
                **self._place(file.address),
            }

    def _merged(self, uid: str) -> list[WebStudy]:
        merged: dict[str, WebStudy] = {}
        for study in self._studies(uid):
            known = merged.get(study.uid)
            both = {**study.series, **known.series} if known else study.series
            merged[study.uid] = WebStudy(study.uid, both)
        return list(merged.values())

    def _place(self, address: str) -> Json:
        return {
            "00080056": _values("CS", "ONLINE"),
            "00081190": _values("UR", f"{self.root}/{address}"),
        }


def text_of(element: Mapping[str, Any] | None) -> str:
    """The first value of an element of DICOM JSON, as a text; empty if there is none."""
    return str(next(iter((element or {}).get("Value", [])), ""))


def _values(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def _chosen(header: Json, keywords: tuple[str, ...]) -> Json:
    tags = (_TAGS[keyword] for keyword in keywords)
    return {tag: header[tag] for tag in tags if tag in header}


def _readable(series: Mapping[str, tuple[Path, ...]]) -> Iterator[tuple[str, Json]]:
    """The UID and the first file's header, of each series that has a readable first file."""
    for uid, paths in series.items():
        try:
            yield uid, _header(*_version(paths[0]))
        except (InputError, IndexError):
            continue


def _version(path: Path) -> tuple[Path, int, int]:
    """A file with its time (ns) and its size (bytes), by which a changed file is read again."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UnknownNameError(
            f"{path}: {error.strerror}",
            expected="the file that was there when the studies were listed",
            remedy="put the file back, and call GET /zeus/studies?refresh=true",
        ) from None
    return path, stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=_HEADERS_IN_MEMORY)
def _header(path: Path, _modified_ns: int, _bytes: int) -> Json:
    return to_json(read_data_set(path, tags=(*_STUDY, *_SERIES, *_INSTANCE)))[0]


@lru_cache(maxsize=_UIDS_IN_MEMORY)
def _sop_uid(path: Path, _modified_ns: int, _bytes: int) -> str:
    return str(read_data_set(path, tags=("SOPInstanceUID",)).get("SOPInstanceUID") or "")
