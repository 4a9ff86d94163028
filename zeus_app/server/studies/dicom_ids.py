"""DICOM UIDs as image ids, as OHIF sends them: each names a study, or one image of a study."""

from collections import defaultdict
from collections.abc import Mapping

from zeus_app.errors import InputError
from zeus_app.server.studies.refusals import refuse_left_out, refuse_missing
from zeus_app.types import StudyFiles, VolumeSource

DICOMWEB_ROOT = "/proxy/dicom/wado"
"""Where this server has the DICOMweb resources of studies."""
Named = tuple[str, str]
"""A study's id, and the Series Instance UID of one image, or "" for the whole study."""


class DicomIds:
    """What Study and Series Instance UIDs name. Made again when the studies have changed."""

    def __init__(self) -> None:
        self._made: tuple[Mapping[str, StudyFiles], Mapping[str, list[Named]]] = ({}, {})

    def find(self, uid: str, studies: Mapping[str, StudyFiles]) -> Named | None:
        """The study and the series that a UID names; None if no study has it.

        Args:
            uid: what a client sent.
            studies: study id -> files. The caller replaces this mapping, and never changes it.

        Raises:
            InputError: several studies have this UID, because their files are copies.
        """
        made_of, names = self._made
        if made_of is not studies:
            names = _names(studies)
            self._made = studies, names
        found = names.get(uid, [])
        if len(found) > 1:
            listed = ", ".join(repr(study) for study, _ in found)
            raise InputError(
                f"UID {uid}, which several studies have: {listed}",
                expected="a UID of one study",
                remedy="remove the copies from the studies folder, or send a study's id, for"
                f" example image={found[0][0]}",
            )
        return found[0] if found else None


def _names(studies: Mapping[str, StudyFiles]) -> dict[str, list[Named]]:
    names: dict[str, list[Named]] = defaultdict(list)
    for study, files in studies.items():
        if files.study_uid:
            names[files.study_uid].append((study, ""))
        for series in files.series:
            names[series].append((study, series))
    return dict(names)


def image_of(files: StudyFiles, name: str) -> str:
    """The image of a study that a client names.

    Args:
        files: the study.
        name: a sequence, or a Series Instance UID.

    Returns:
        the sequence, also for its Series Instance UID; that UID if the series is no sequence.

    Raises:
        InputError: the sequence cannot be used.
        UnknownNameError: the study has no such image.
    """
    source = files.series.get(name)
    if source is None:
        refuse_left_out(files, name)
        refuse_missing(files, name)
        return name
    return next((key for key, value in files.sources.items() if value == source), name)


def dicom_info(files: StudyFiles, source: VolumeSource | None = None) -> dict[str, str]:
    """What viewers read about a study or an image: its UIDs, and no data of the patient.

    Args:
        files: the study; the answer is empty if it is no DICOM study.
        source: the image; None for the whole study.
    """
    if not files.study_uid:
        return {}
    place = f"{DICOMWEB_ROOT}/studies/{files.study_uid}"
    info = {"StudyInstanceUID": files.study_uid, "Modality": "MR", "RetrieveURL": place}
    series = series_of(files, source) if source else ""
    if series:
        info |= {"SeriesInstanceUID": series, "RetrieveURL": f"{place}/series/{series}"}
    return info


def series_of(files: StudyFiles, source: VolumeSource) -> str:
    """The Series Instance UID of an image; "" if it is no DICOM series."""
    return next((uid for uid, value in files.series.items() if value == source), "")
