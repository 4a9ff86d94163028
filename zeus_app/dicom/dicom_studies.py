"""Find studies in folders of DICOM files.

Series with one StudyInstanceUID are one study. In the layout of the CHAOS challenge
(MR/<id>/T1DUAL, MR/<id>/T2SPIR) the folder <id> is the study. `series_kind.py` says which sequence
a series is, `ranking.py` which of several series is used.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from os.path import commonpath
from pathlib import Path
from types import MappingProxyType

from zeus_app.dicom.objects import is_mr_image, others
from zeus_app.dicom.series import SliceHeader, read_headers, without_copies
from zeus_app.dicom.series_kind import Series, SeriesKind, chaos_folder, kind_of, series_of
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.recognition.ranking import Choice, ImageCandidate
from zeus_app.recognition.words import word_set
from zeus_app.targets.naming import Names
from zeus_app.types import RejectedStudy, StudyCandidate, VolumeSource

SOURCE_FOLDERS = word_set("dicom dicoms dicom_anon dcm raw orig original source")
ANONYMOUS_IDS = word_set("anonymous anonymized anonymised anon unknown none")
"""Patient IDs of many."""
_NO_ERRORS: Mapping[Path, Sequence[str]] = MappingProxyType({})
SourceMaker = Callable[[Series], VolumeSource]
"""Makes the source of the voxels of a series that is a volume: see `file_source`."""


def file_source(series: Series) -> DicomSeriesSource:
    """The source of a series whose files lie on the disk."""
    return DicomSeriesSource(series.files, series.known_grid, series.frames)


def read_dicom_studies(
    root: Path, files: Iterable[Path], names: Names
) -> list[StudyCandidate | RejectedStudy]:
    """Group DICOM files below `root` into studies."""
    headers, errors = _read_headers(files)
    groups: dict[str, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        groups[_study_key(header)].append(header)
    folders = [_folder(root, group, names) for group in groups.values()]
    named = [
        _name(root, folder, group[0])
        for folder, group in zip(folders, groups.values(), strict=True)
    ]
    unique = _told_apart([name for name, _ in named], list(groups.values()))
    studies: list[StudyCandidate | RejectedStudy] = []
    for name, (_, former), folder, group in zip(
        unique, named, folders, groups.values(), strict=True
    ):
        study = study_of(name, folder, group, names, errors=errors)
        studies.append(replace(study, former_names=(former,) if former else ()))
    for folder in sorted(set(errors) - {header.path.parent for header in headers}):
        name = "_".join(folder.relative_to(root).parts) or root.name
        studies.append(RejectedStudy(name, folder, (folder,), errors[folder][0]))
    return studies


def _read_headers(
    files: Iterable[Path],
) -> tuple[list[SliceHeader], dict[Path, list[str]]]:
    """The headers, and folder -> what is wrong with other files in it."""
    headers: list[SliceHeader] = []
    errors: dict[Path, list[str]] = defaultdict(list)
    for path in files:
        try:
            headers += read_headers(path)
        except InputError as error:
            errors[path.parent].append(str(error))
    named = {header.path.parent for header in headers if header.series_uid}
    whole = [h for h in headers if h.series_uid or h.path.parent not in named]
    for header in headers:
        if header not in whole:
            errors[header.path.parent].append(f"{header.path} is cut: it names no series")
    return without_copies(whole), errors


def _told_apart(names: Sequence[str], groups: Sequence[Sequence[SliceHeader]]) -> list[str]:
    """The names of studies; those of several studies in one folder with the date or a number.

    The number is a hash of the Study Instance UID, which says nothing about the patient.
    """
    dated = [
        f"{name}_{group[0].study_date or 'undated'}" if names.count(name) > 1 else name
        for name, group in zip(names, groups, strict=True)
    ]
    return [
        f"{name}_{_short_hash(group[0].study_uid)}" if dated.count(name) > 1 else name
        for name, group in zip(dated, groups, strict=True)
    ]


def _short_hash(study_uid: str) -> str:
    return sha256(study_uid.encode()).hexdigest()[:12]


def _name(root: Path, folder: Path, header: SliceHeader) -> tuple[str, str]:
    """The name of a study, and the Patient ID that was its name until version 0.2.0, or "".

    Files that lie in the studies folder itself have no folder to be named after. Their study is
    named after a hash of the Study Instance UID, which says nothing about the patient.
    """
    if named := "_".join(folder.relative_to(root).parts):
        return named, ""
    if not header.patient_id:
        return root.name, ""
    if not header.study_uid:
        return root.name, header.patient_id
    return f"study-{_short_hash(header.study_uid)}", header.patient_id


def _patient(name: str, header: SliceHeader) -> str:
    """The patient of a study; empty if the Patient ID is that of many."""
    if chaos_folder(header.path):
        return name  # each folder is a patient; its anonymised Patient IDs mean nothing
    return "" if header.patient_id.lower() in ANONYMOUS_IDS else header.patient_id


def _study_key(header: SliceHeader) -> str:
    chaos = chaos_folder(header.path)
    return str(chaos or header.patient_id + header.study_uid or header.path.parent)


def _folder(root: Path, headers: Sequence[SliceHeader], names: Names) -> Path:
    """The study's folder, above folders named `dicom` and above the folder of one series."""
    if chaos := chaos_folder(headers[0].path):
        return chaos
    folder = Path(commonpath([str(header.path.parent) for header in headers]))
    while folder != root and (
        folder.name.lower() in SOURCE_FOLDERS or names.sequences(names.read(folder.name))
    ):
        folder = folder.parent
    return folder


def study_of(
    name: str,
    folder: Path,
    headers: Sequence[SliceHeader],
    names: Names,
    *,
    make_source: SourceMaker = file_source,
    errors: Mapping[Path, Sequence[str]] = _NO_ERRORS,
) -> StudyCandidate | RejectedStudy:
    """Choose a series for each sequence of one study, or reject the study with the reason.

    Args:
        name: the study's name.
        folder: the study's folder. All paths of `headers` lie below it; they need not exist.
        headers: headers of all images of the study, at least one, each image once.
        names: says which names mean which sequence of the target.
        make_source: makes the source of a series' voxels.
        errors: folder -> what is wrong with other files in it.
    """
    all_series = series_of([header for header in headers if is_mr_image(header)], folder)
    kinds = {series: kind_of(series, names) for series in all_series}
    problems = {s: s.problem for s in all_series if s.problem} | _damaged(all_series, errors)
    sources = {s: make_source(s) for s in all_series if s not in problems}
    choice = Choice()
    for sequence in names.target.sequence_names:
        found = [s for s in sources if kinds[s].sequence == sequence]
        choice.add(sequence, [_candidate(s, kinds[s], sources[s]) for s in found])
    for series, kind in kinds.items():
        if not kind.sequence:
            choice.leave_out(series.files, f"{series} {kind.reason}", sources.get(series))
        elif series in problems:
            choice.leave_out(series.files, f"{kind.sequence}: {series}: {problems[series]}")
    for path in {series.folder for series in all_series} & errors.keys():
        choice.leave_out([path], "; ".join(errors[path]))
    for what, paths in others(headers).items():
        choice.leave_out(paths, what)
    _note_spaces(choice, sources, names)
    volumes = _volumes(sources, choice)
    return _candidate_study(name, folder, headers[0], choice, series=all_series, volumes=volumes)


def _damaged(
    all_series: Sequence[Series], errors: Mapping[Path, Sequence[str]]
) -> dict[Series, str]:
    """The series that lack an image which cannot be read, with the reason.

    In a folder of several series nobody knows whose the image is. A series that lacks a slice
    between others is found by its gap.
    """
    folders = [series.folder for series in all_series]
    return {
        series: "; ".join(errors[series.folder])
        for series in all_series
        if series.folder in errors and folders.count(series.folder) == 1
    }


def _note_spaces(choice: Choice, sources: Mapping[Series, VolumeSource], names: Names) -> None:
    """Tell which sequences have another frame of reference than the reference sequence.

    Zeus aligns by position, as it does for NIfTI, which has no frames of reference. A scanner gives
    a new one when the patient may have moved.
    """
    spaces = {
        sequence: series.headers[0].frame_of_reference
        for series, source in sources.items()
        for sequence, chosen in choice.sources.items()
        if chosen is source
    }
    reference = names.target.reference_of(tuple(spaces)) if spaces else ""
    for sequence, space in spaces.items():
        if space and spaces[reference] and space != spaces[reference]:
            choice.evidence[sequence] += (
                f"; another frame of reference than {reference}: the patient may have moved"
                " between the two, so compare their positions"
            )


def _volumes(sources: Mapping[Series, VolumeSource], choice: Choice) -> dict[str, VolumeSource]:
    """Series Instance UID -> source of each series that is a volume.

    Of a series of several volumes, the one that is a sequence of the study, else the first.
    """
    used = [series for series in sources if sources[series] in choice.sources.values()]
    volumes: dict[str, VolumeSource] = {}
    for series in (*used, *sources):
        if series.uid:
            volumes.setdefault(series.uid, sources[series])
    return volumes


def _candidate(series: Series, kind: SeriesKind, source: VolumeSource) -> ImageCandidate:
    return ImageCandidate(
        name=str(series),
        source=source,
        evidence=f"{series}: {kind.evidence}",
        traits=kind.traits,
        extra=kind.extra,
        b_value=kind.b_value,
    )


def _candidate_study(
    name: str,
    folder: Path,
    header: SliceHeader,
    choice: Choice,
    *,
    series: Sequence[Series],
    volumes: Mapping[str, VolumeSource],
) -> StudyCandidate | RejectedStudy:
    if choice.sources:
        return StudyCandidate(
            name,
            folder,
            choice.sources,
            patient=_patient(name, header),
            evidence=choice.evidence,
            unused=tuple(choice.unused),
            study_uid=header.study_uid,
            series=volumes,
        )
    reasons = [unused.reason for unused in choice.unused]
    listed = ", ".join(map(str, series)) or "there is no MR series"
    reason = f"no series is a sequence of the target: {listed}. {' '.join(reasons)}".strip()
    files = tuple(dict.fromkeys(one.folder for one in series)) or (folder,)
    return RejectedStudy(name, folder, files, reason)
