"""Read archives of the Medical Segmentation Decathlon (MSD) and of nnU-Net.

MSD stores the sequences of a case as channels of one 4-D file (imagesTr/BRATS_001.nii.gz). nnU-Net
stores one file per channel (imagesTr/BRATS_001_0000.nii.gz). The file dataset.json names the
channels, under `modality` or `channel_names`.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from zeus_app.studies.candidates import source_of
from zeus_app.targets.naming import Names
from zeus_app.types import RejectedStudy, StudyCandidate, VolumeSource
from zeus_app.volumes.sources import NiftiChannelSource, is_volume, stem

_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
_MAX_BYTES = 64 * 1024 * 1024  # of dataset.json; it may list every image
_IMAGES = {"imagesTr": "labelsTr", "imagesTs": "labelsTs"}


def is_msd(folder: Path) -> bool:
    """Whether the folder is an archive of MSD or nnU-Net."""
    return (folder / "dataset.json").is_file() and any((folder / n).is_dir() for n in _IMAGES)


def read_msd(folder: Path, name: str, names: Names) -> list[StudyCandidate | RejectedStudy]:
    """Make a study of every case in imagesTr and imagesTs. `name`, if any, precedes the ids."""
    description = folder / "dataset.json"
    try:
        channels = _channels(description, names)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        reason = (
            f"{description} names no channels ({error}). Expected: "
            '"modality" or "channel_names": {"0": "FLAIR", ...}'
        )
        return [RejectedStudy(name or folder.name, folder, (description,), reason)]
    if not channels:
        reason = (
            f"no channel in {description} is a sequence of the target. Name them like the target's"
            " sequences or aliases"
        )
        return [RejectedStudy(name or folder.name, folder, (description,), reason)]
    studies: list[StudyCandidate | RejectedStudy] = []
    for images, labels in _IMAGES.items():
        files = sorted(p for p in (folder / images).glob("*") if is_volume(p))
        for case, sources in _cases(files, channels).items():
            full_name = f"{name}_{case}" if name else case
            label = _label(folder / labels, case)
            if sources:
                studies.append(
                    StudyCandidate(
                        full_name,
                        folder,
                        sources,
                        label=label,
                        patient=full_name,
                        evidence=dict.fromkeys(sources, f"a channel in {description.name}"),
                        masks=(label,) if label else (),
                    )
                )
            else:
                reason = f"none of its channels is among {', '.join(channels.values())}"
                studies.append(RejectedStudy(full_name, folder, (folder / images,), reason))
    return studies


def _channels(description: Path, names: Names) -> dict[int, str]:
    """Channel number -> sequence, for channels that are sequences of the target."""
    with description.open("rb") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError(f"more than {_MAX_BYTES} bytes")
    content = json.loads(text)
    named: Mapping[str, object] = content.get("channel_names") or content["modality"]
    channels: dict[int, str] = {}
    for number, channel in named.items():
        sequence = names.sequence(names.read(str(channel)))
        if sequence:
            if sequence in channels.values():
                raise ValueError(f"two channels are {sequence}")
            if not number.isdecimal():
                raise ValueError(f"channel {number!r}")
            channels[int(number)] = sequence
    return channels


def _cases(files: list[Path], channels: Mapping[int, str]) -> dict[str, dict[str, VolumeSource]]:
    """Case -> its sources. If every file name ends in a channel number, one file per channel."""
    parts = {path: _CHANNEL.match(stem(path)) for path in files}
    cases: dict[str, dict[str, VolumeSource]] = defaultdict(dict)
    numbered = all(parts.values())
    for path, part in parts.items():
        if not numbered or part is None:
            cases[stem(path)] = {
                sequence: NiftiChannelSource(path, channel)
                for channel, sequence in channels.items()
            }
            continue
        sources = cases[part["case"]]
        if int(part["channel"]) in channels:
            sources[channels[int(part["channel"])]] = source_of(path)
    return cases


def _label(folder: Path, case: str) -> Path | None:
    """The label of a case. That of case `p1.2` is none of case `p1`."""
    fitting = folder.glob(f"{_escaped(case)}.*")
    return next((p for p in fitting if case in (stem(p), stem(p).removesuffix(".seg"))), None)


def _escaped(text: str) -> str:
    """A glob pattern that matches exactly this text."""
    return re.sub(r"([*?\[])", r"[\1]", text)
