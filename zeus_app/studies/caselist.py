"""Read an explicit list of studies, for studies folders of any other layout.

The file cases.json, cases.yaml or cases.yml lies in the studies folder. Its paths are relative to
it:

    - id: anna
      sequences:
        T2: scans/17.nii.gz
        ADC: {path: scans/18.nii.gz, channel: 2}    # a channel of a 4-D file
        HBV: series/0042/                           # a folder with one DICOM series
      label: masks/anna.nii.gz                      # optional; used by `zeus import-labels` only
      patient: anna                                 # optional; for patients with several studies
"""

from pathlib import Path
from typing import Any

import yaml

from zeus_app.dicom.series import is_dicom
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.candidates import source_of
from zeus_app.targets.naming import Names, split_name
from zeus_app.types import RejectedStudy, StudyCandidate, VolumeSource
from zeus_app.volumes.sources import NiftiChannelSource

LIST_NAMES = ("cases.json", "cases.yaml", "cases.yml")


def case_list(root: Path) -> Path | None:
    """The list in the studies folder, or None."""
    return next((root / name for name in LIST_NAMES if (root / name).is_file()), None)


def read_case_list(path: Path, names: Names) -> list[StudyCandidate | RejectedStudy]:
    """Make a study of every entry. A wrong entry becomes a rejected study; the others remain."""
    try:
        cases = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [RejectedStudy(path.stem, path.parent, (path,), f"{path} cannot be read: {error}")]
    if not isinstance(cases, list):
        reason = f"{path} is not a list. Expected: a list of {{id, sequences: {{name: path}}}}"
        return [RejectedStudy(path.stem, path.parent, (path,), reason)]
    return [_case(case, f"case-{i + 1}", path, names) for i, case in enumerate(cases)]


def _case(case: Any, fallback: str, path: Path, names: Names) -> StudyCandidate | RejectedStudy:
    name = str(case["id"]) if isinstance(case, dict) and case.get("id") else fallback
    try:
        if not isinstance(case, dict) or not case.get("id"):
            raise ValueError("an entry without id")
        unknown = set(case) - {"id", "sequences", "label", "patient"}
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(map(str, unknown)))}")
        paths = case.get("sequences")
        if not isinstance(paths, dict) or not paths:
            raise ValueError("no sequences; expected {name: path}, for example {T2: t2.nii.gz}")
        sources: dict[str, VolumeSource] = {}
        for key, value in paths.items():
            sequence = _sequence(str(key), names)
            if sequence in sources:
                raise ValueError(f"two entries for {sequence}")
            sources[sequence] = _source(value, path.parent)
        label = path.parent / str(case["label"]) if case.get("label") else None
    except (ValueError, TypeError, KeyError, InputError) as error:
        return RejectedStudy(name, path.parent, (path,), f"{path.name}, {name}: {error}")
    patient = str(case.get("patient") or name)
    return StudyCandidate(name, path.parent, sources, label=label, patient=patient)


def _sequence(key: str, names: Names) -> str:
    hits = names.hits(split_name(key))
    if key in names.sequences.values():
        return key
    if len(hits) != 1:
        raise ValueError(f"{key!r} is not a sequence of the target ({names.listed})")
    return hits[0].sequence


def _source(value: Any, base: Path) -> VolumeSource:
    """The source for a path, for {path, channel}, or for a folder with one DICOM series."""
    if isinstance(value, dict):
        channel = str(value.get("channel"))
        if not value.get("path") or not channel.isdecimal():
            raise ValueError(f"{value}; expected {{path: FILE, channel: N}}, N counted from 0")
        return NiftiChannelSource(base / str(value["path"]), int(channel))
    path = base / str(value)
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if path.is_dir():
        files = tuple(sorted(p for p in path.iterdir() if is_dicom(p)))
        if not files:
            raise ValueError(f"{path} holds no DICOM files")
        return DicomSeriesSource(files)
    return source_of(path)
