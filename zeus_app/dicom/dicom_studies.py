"""Find studies in folders of DICOM files.

Series with one StudyInstanceUID are one study. In the layout of the CHAOS challenge
(MR/<id>/T1DUAL, MR/<id>/T2SPIR) the folder <id> is the study. The sequence of a series comes from
facts in its headers (ADC map, diffusion weighting, phase), else from its description, else from its
folder's name. Of several series for one sequence the axial one is used.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from os.path import commonpath
from pathlib import Path

from zeus_app.dicom.series import SliceHeader, is_axial, read_header, stack_slices
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.targets.naming import Names, split_name, words
from zeus_app.types import RejectedStudy, StudyCandidate

SOURCE_FOLDERS = words("dicom dicoms dicom_anon dcm raw orig original source")
_CHAOS = frozenset({"t1dual", "t2spir"})
_ANONYMOUS = words("anonymous anonymized anonymised anon unknown none")  # Patient IDs of many
_HIGH_B_S_PER_MM2 = 500.0
_CALCULATED = re.compile(r"calc\w*[\s_-]*b[\s_-]*val", re.IGNORECASE)


@dataclass(frozen=True)
class Series:
    """The images of one series.

    Attributes:
        headers: headers of its images, at least one.
        folders: names of the folders between the study's folder and its files.
    """

    headers: tuple[SliceHeader, ...]
    folders: str

    @property
    def b_values(self) -> set[float]:
        """Its b-values, in s/mm²."""
        return {header.b_value for header in self.headers if header.b_value is not None}

    @property
    def kinds(self) -> set[str]:
        """The values of its Image Type."""
        return set(self.headers[0].image_type)

    def __str__(self) -> str:
        """Number, description, size and plane, for messages."""
        first = self.headers[0]
        plane = "axial" if is_axial(first) else "not axial"
        name = f"{first.series_number} {first.description}".strip() or first.path.parent.name
        return f"'{name}' ({len(self.headers)} images, {plane})"


def read_dicom_studies(
    root: Path, files: Iterable[Path], names: Names
) -> list[StudyCandidate | RejectedStudy]:
    """Group DICOM files below `root` into studies."""
    headers: list[SliceHeader] = []
    errors: dict[Path, list[str]] = defaultdict(list)
    for path in files:
        try:
            headers.append(read_header(path))
        except InputError as error:
            errors[path.parent].append(str(error))
    groups: dict[str, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        groups[_study_key(header)].append(header)
    studies: list[StudyCandidate | RejectedStudy] = []
    folders = [_folder(root, group, names) for group in groups.values()]
    for folder, group in zip(folders, groups.values(), strict=True):
        name, former_name = _name(root, folder, group[0])
        if folders.count(folder) > 1 and folder != root:
            name = f"{name}_{group[0].study_date}"
        study = _study(name, folder, group, errors, names)
        studies.append(replace(study, former_name=former_name))
    for folder in sorted(set(errors) - {header.path.parent for header in headers}):
        name = "_".join(folder.relative_to(root).parts) or root.name
        studies.append(RejectedStudy(name, folder, (folder,), errors[folder][0]))
    return studies


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
    return f"study-{sha256(header.study_uid.encode()).hexdigest()[:12]}", header.patient_id


def _chaos_folder(path: Path) -> Path | None:
    """The study's folder in the layout of the CHAOS challenge; None in other layouts."""
    return next((p.parent for p in path.parents if p.name.lower() in _CHAOS), None)


def _patient(name: str, header: SliceHeader) -> str:
    """The patient of a study; empty if the Patient ID is that of many."""
    if _chaos_folder(header.path):
        return name  # each folder is a patient; its anonymised Patient IDs mean nothing
    return "" if header.patient_id.lower() in _ANONYMOUS else header.patient_id


def _study_key(header: SliceHeader) -> str:
    chaos = _chaos_folder(header.path)
    return str(chaos or header.patient_id + header.study_uid or header.path.parent)


def _folder(root: Path, headers: Sequence[SliceHeader], names: Names) -> Path:
    """The study's folder, above folders named `dicom` and above the folder of one series."""
    if chaos := _chaos_folder(headers[0].path):
        return chaos
    folder = Path(commonpath([str(header.path.parent) for header in headers]))
    while folder != root and (
        folder.name.lower() in SOURCE_FOLDERS or names.hits(split_name(folder.name))
    ):
        folder = folder.parent
    return folder


def _study(
    name: str,
    folder: Path,
    headers: list[SliceHeader],
    errors: Mapping[Path, list[str]],
    names: Names,
) -> StudyCandidate | RejectedStudy:
    """Choose a series for each sequence, or reject the study with the reason."""
    images = [header for header in headers if header.modality in {"MR", ""}]
    series = _series(images, folder)
    by_sequence: dict[str, list[Series]] = defaultdict(list)
    for one_series in series:
        sequence = _sequence(one_series, series, names)
        if sequence:
            by_sequence[sequence].append(one_series)
    reasons, sources = [], {}
    for sequence, candidates in by_sequence.items():
        best = _preferred(candidates)
        reason = _reason_against(best, errors)
        if reason:
            reasons.append(f"{sequence}: {reason}")
            continue
        slices = best[0].headers
        paths = tuple(header.path for header in slices)
        sources[sequence] = DicomSeriesSource(paths, stack_slices(slices).grid)
    if not by_sequence:
        reasons.append(f"no series is a sequence of the target: {_listed(series)}")
    if reasons:
        chosen = [s.headers[0].path.parent for each in by_sequence.values() for s in each]
        files = tuple(dict.fromkeys(chosen)) or (folder,)
        return RejectedStudy(name, folder, files, " ".join(reasons))
    return StudyCandidate(name, folder, sources, patient=_patient(name, headers[0]))


def _reason_against(best: list[Series], errors: Mapping[Path, list[str]]) -> str | None:
    """Why the preferred series of a sequence cannot be used; None if they can."""
    if len(best) > 1:
        return (
            f"several series: {', '.join(map(str, best))}. Keep one of them, or list the study in"
            " cases.json"
        )
    unreadable = errors.get(best[0].headers[0].path.parent, [])
    return _problem(best[0]) or "; ".join(unreadable) or None


def _series(headers: Sequence[SliceHeader], folder: Path) -> list[Series]:
    """Group images by series. In the CHAOS layout also by folder: both phases are one series."""
    groups: dict[tuple[str, str], list[SliceHeader]] = defaultdict(list)
    for header in headers:
        folder_key = str(header.path.parent) if _chaos_folder(header.path) else ""
        groups[header.series_uid, folder_key].append(header)
    return [
        Series(tuple(group), " ".join(group[0].path.parent.relative_to(folder).parts))
        for group in groups.values()
    ]


def _sequence(series: Series, all_series: Sequence[Series], names: Names) -> str | None:
    """The target's sequence that a series holds; None if there is none."""
    fact = _fact(series, all_series)
    if fact == "":
        return None
    first = series.headers[0]
    texts = [fact, first.description, series.folders]
    if _chaos_folder(first.path):
        texts = [series.folders, fact, first.description]
    for text in texts:
        hits = {hit.sequence for hit in names.hits(split_name((text or "").replace("*", "star")))}
        if len(hits) == 1:
            return hits.pop()
    return None


def _fact(series: Series, all_series: Sequence[Series]) -> str | None:
    """The alias that the headers state; "" for diffusion images of no use; None if none."""
    if "ADC" in series.kinds:
        return "adc"
    if "IN_PHASE" in series.kinds:
        return "inphase"
    if series.kinds & {"OUT_PHASE", "OPP_PHASE", "OPPOSED_PHASE"}:
        return "outphase"
    if not _is_diffusion(series):
        return None
    highest = max((_single_b(other) for other in all_series if _is_diffusion(other)), default=0.0)
    if _single_b(series) == highest >= _HIGH_B_S_PER_MM2:
        return "hbv"
    return ""


def _is_diffusion(series: Series) -> bool:
    weighted = "DIFFUSION" in series.kinds or any(series.b_values)
    return "ADC" not in series.kinds and (weighted or bool(_calculated(series)))


def _calculated(series: Series) -> bool:
    return _CALCULATED.search(series.headers[0].description) is not None


def _single_b(series: Series) -> float:
    """The only b-value; infinite for a calculated image without one; 0 for several or none."""
    if len(series.b_values) == 1:
        return next(iter(series.b_values))
    return float("inf") if _calculated(series) and not series.b_values else 0.0


def _preferred(candidates: list[Series]) -> list[Series]:
    """The candidates that are volumes, if any; of these the axial ones, if any."""
    volumes = [series for series in candidates if _problem(series) is None] or candidates
    return [series for series in volumes if is_axial(series.headers[0])] or volumes


def _problem(series: Series) -> str | None:
    """Why the series is not a volume; None if it is."""
    try:
        stack_slices(series.headers)
    except InputError as error:
        return str(error)
    return None


def _listed(series: Sequence[Series]) -> str:
    return ", ".join(map(str, series)) or "there is no MR series"
