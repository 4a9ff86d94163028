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

Ids, patients, sequences and paths are taken as they are written: the id 010 is not 8.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from zeus_app.dicom.series import is_dicom
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.settings.bounded_yaml import Written, read_bounded
from zeus_app.settings.file_names import is_utf8
from zeus_app.studies.candidates import source_of
from zeus_app.targets.naming import Names
from zeus_app.types import RejectedStudy, StudyCandidate, VolumeSource
from zeus_app.volumes.sources import NiftiChannelSource

LIST_NAMES = ("cases.json", "cases.yaml", "cases.yml")
MAX_BYTES = 32 * 1024 * 1024
_MAX_VALUES = 1_000_000  # of YAML; those of a study of four sequences are fourteen
_MAX_ID = 255  # characters


def case_list(root: Path) -> Path | None:
    """The list in the studies folder, or None."""
    return next((root / name for name in LIST_NAMES if os.path.isfile(root / name)), None)


def read_case_list(path: Path, names: Names) -> list[StudyCandidate | RejectedStudy]:
    """Make a study of every entry. A wrong entry becomes a rejected study; the others remain."""
    try:
        cases = _content(path)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        return [RejectedStudy(path.stem, path.parent, (path,), f"{path} cannot be read: {error}")]
    if not isinstance(cases, list):
        reason = f"{path} is not a list. Expected: a list of {{id, sequences: {{name: path}}}}"
        return [RejectedStudy(path.stem, path.parent, (path,), reason)]
    return [_case(case, f"case-{i + 1}", path, names) for i, case in enumerate(cases)]


def _content(path: Path) -> Any:
    """What the file holds. A .json file may be YAML too, as older versions took it."""
    if path.suffix == ".json":
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        with suppress(json.JSONDecodeError):
            return json.loads(
                content.decode("utf-8"),
                parse_int=partial(_number, int),
                parse_float=partial(_number, float),
                parse_constant=partial(_number, float),
            )
    return read_bounded(path, max_bytes=MAX_BYTES, max_nodes=_MAX_VALUES, as_written=True)


def _number(kind: Callable[[str], float], text: str) -> Written:
    try:
        return Written(text, kind(text))
    except ValueError:  # more digits than Python reads
        return Written(text, text)


def _text(value: Any) -> str:
    """A value as it is written; empty for one that is left out."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _optional(value: Any) -> str:
    """The same; programs write null for a value that is left out."""
    return "" if isinstance(value, Written) and value.meaning is None else _text(value)


def _former_name(value: Any, name: str) -> str:
    """The id that an entry had until version 0.2.0, which took 010 for 8; empty for the same."""
    meaning = value.meaning if isinstance(value, Written) else value
    with suppress(ValueError):  # more digits than Python writes
        if meaning and str(meaning) != name:  # no id was 0, false or null
            return str(meaning)
    return ""


def _case(case: Any, fallback: str, path: Path, names: Names) -> StudyCandidate | RejectedStudy:
    name = fallback
    try:
        name = _id(case)
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
        label = _optional(case.get("label"))
    except (ValueError, TypeError, KeyError, OSError, RecursionError, InputError) as error:
        return RejectedStudy(name, path.parent, (path,), f"{path.name}, {name}: {error}")
    return StudyCandidate(
        name,
        path.parent,
        sources,
        label=path.parent / label if label else None,
        patient=_optional(case.get("patient")) or name,
        evidence=dict.fromkeys(sources, f"listed in {path.name}"),
        masks=(path.parent / label,) if label else (),
        former_names=tuple(filter(None, [_former_name(case["id"], name)])),
    )


def _id(case: Any) -> str:
    name = _text(case.get("id")) if isinstance(case, dict) else ""
    if name in ("", "~"):
        raise ValueError("an entry without id")
    if len(name) > _MAX_ID or not is_utf8(name):
        raise ValueError(f"the id {name[:_MAX_ID]!r}; expected at most {_MAX_ID} characters")
    return name


def _sequence(key: str, names: Names) -> str:
    if key in names.target.sequence_names:
        return key
    sequence = names.sequence(names.read(key))
    if not sequence:
        raise ValueError(f"{key!r} is not a sequence of the target ({names.listed})")
    return sequence


def _source(value: Any, base: Path) -> VolumeSource:
    """The source for a path, for {path, channel}, or for a folder with one DICOM series."""
    if isinstance(value, dict):
        channel = str(value.get("channel"))
        if not value.get("path") or not channel.isdecimal():
            raise ValueError(f"{value}; expected {{path: FILE, channel: N}}, N counted from 0")
        return NiftiChannelSource(base / str(value["path"]), int(channel))
    path = base / str(value)
    if path.is_dir():
        files = tuple(sorted(p for p in path.iterdir() if p.is_file() and is_dicom(p)))
        if not files:
            raise ValueError(f"{path} holds no DICOM files")
        return DicomSeriesSource(files)
    if not path.is_file():
        raise ValueError(f"{path} is no file" if path.exists() else f"{path} does not exist")
    return source_of(path)
