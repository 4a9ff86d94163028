"""dataset.json, which describes an archive of MSD or nnU-Net.

MSD and nnU-Net v1 write `"modality": {"0": "T2"}` and `"labels": {"1": "PZ"}`; nnU-Net v2 writes
`"channel_names": {"0": "T2"}`, `"labels": {"PZ": 1}` and `"file_ending": ".nii.gz"`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from zeus_app.errors import InputError
from zeus_app.settings.file_names import readable
from zeus_app.targets import Target
from zeus_app.targets.naming import safe_id

NAME = "dataset.json"
_MAX_BYTES = 64 * 1024 * 1024  # it may list every image
_BACKGROUND = "background"


@dataclass(frozen=True)
class Description:
    """The content of dataset.json that Zeus uses.

    Attributes:
        path: the file.
        name: name of the dataset; if the file has none, that of the folder.
        channels: number of a channel -> its name, as written.
        labels: value -> name of the label, without the background.
        regions: names of labels that unite several values; nnU-Net calls them regions.
        file_ending: ending of all images and masks; empty if the file does not say it.
        training, test: file names of images that the file lists; empty if it lists none.
        count: number of training cases that it states; None without a statement.
    """

    path: Path
    name: str
    channels: Mapping[int, str]
    labels: Mapping[int, str]
    regions: tuple[str, ...]
    file_ending: str
    training: tuple[str, ...]
    test: tuple[str, ...]
    count: int | None


def read_description(folder: Path) -> Description:
    """Read the dataset.json of an archive.

    Raises:
        InputError: the file is damaged, or names no channels or no labels.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        content = json.loads(text)
        return _description(path, content)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{path} describes no dataset ({type(error).__name__}: {error})",
            expected='"modality" or "channel_names" such as {"0": "T2"}, and "labels"',
            remedy="download the archive again, or repair the file by hand",
        ) from error


def _description(path: Path, content: Mapping[str, Any]) -> Description:
    channels = content.get("channel_names") or content["modality"]
    labels, regions = _labels(content["labels"])
    count = content.get("numTraining")
    return Description(
        path=path,
        name=str(content.get("name") or path.parent.name),
        channels={int(number): str(name) for number, name in channels.items()},
        labels=labels,
        regions=regions,
        file_ending=str(content.get("file_ending", "")),
        training=_images(content.get("training", ())),
        test=_images(content.get("test", ())),
        count=count if isinstance(count, int) else None,
    )


def _labels(written: Mapping[str, Any]) -> tuple[dict[int, str], tuple[str, ...]]:
    """Value -> name, of either version, and the names of regions."""
    labels: dict[int, str] = {}
    regions: list[str] = []
    for key, value in written.items():
        if isinstance(value, list):
            regions.append(key)
        elif isinstance(value, str):
            labels[int(key)] = value
        else:
            labels[int(value)] = key
    return {n: name for n, name in labels.items() if n and name != _BACKGROUND}, tuple(regions)


def _images(entries: Iterable[Any]) -> tuple[str, ...]:
    """File names of `{"image": "./imagesTr/a.nii.gz"}` or of `"./imagesTs/b.nii.gz"`.

    nnU-Net v2 writes a number or a dictionary instead of a list in some datasets: no names then.
    """
    if not isinstance(entries, list | tuple):
        return ()
    paths = [entry["image"] if isinstance(entry, dict) else entry for entry in entries]
    return tuple(PurePosixPath(str(path)).name for path in paths)


def described_target(description: Description) -> Target:
    """A target made of dataset.json, for a dataset that no shipped target fits.

    Raises:
        InputError: it has regions, values above 255 or names that no target may have, so that the
            user must write a target.
    """
    labels = [{"name": name, "value": value} for value, name in sorted(description.labels.items())]
    names = dict.fromkeys(name.replace("/", "-") for name in description.channels.values())
    sequences = [
        {"name": name, "prompt_name": f"MRI-{name}", "aliases": (name.lower(),)} for name in names
    ]
    try:
        if description.regions:
            raise ValueError(f"regions {', '.join(description.regions)}")
        return Target.model_validate(
            {
                "name": safe_id(description.name),
                "instance": description.name,
                "labels": labels,
                "sequences": sequences,
            }
        )
    except ValueError as error:
        raise InputError(
            f"{description.path}, of which no target can be made: {readable(error)}",
            expected="labels with one value from 1 to 255 each, and channels with plain names",
            remedy="write a target's YAML with these labels, and name it with --target",
        ) from error
