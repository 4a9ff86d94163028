"""The files of one segmented study: mask, JSON and preview. The JSON comes last."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zeus_app.api.prompting import grid_of
from zeus_app.labels.files import EXTENSIONS, extension_of, write_label
from zeus_app.profiles import load_profile
from zeus_app.reporting.answer import answer_params
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.storage.state import folder_name
from zeus_app.studies.align import to_grid
from zeus_app.studies.opened import OpenedStudy
from zeus_app.targets import Target
from zeus_app.training.checkpoint import CheckpointInfo
from zeus_app.types import MACHINE_MADE, Grid, Segmentation, StudyFiles, Volume

_DECIDING = ("fusion", "model", "decoder", "union", "threshold", "instruction", "scope",
             "instruction_tokens", "encoder_runtime", "seed")  # fmt: skip
"""Settings that change a mask, besides target and profile."""
_SOFTWARE = {"zeus": "zeus-mri", "torch": "torch", "openvino": "openvino"}


@dataclass(frozen=True)
class Choices:
    """What a user chooses for all studies of a run.

    Attributes:
        sequence: the sequence whose grid the masks lie on; "" for each study's reference.
        sequences: names of the sequences to use; empty: all.
        texts: your own instructions: "FLAIR/lesion", "FLAIR" or "lesion" -> text.
        scope: which slices get a text; "" as configured.
        extension: ending of the masks, one of `labels.files.EXTENSIONS`.
    """

    sequence: str = ""
    sequences: tuple[str, ...] = ()
    texts: Mapping[str, str] | None = None
    scope: str = ""
    extension: str = ".nii.gz"


@dataclass(frozen=True)
class StudyOutput:
    """Where the files of one study lie: `<study>.nii.gz`, `<study>.json`, `<study>.png`.

    Attributes:
        folder: the output folder.
        study_id: the study's id.
        extension: ending of the mask.
    """

    folder: Path
    study_id: str
    extension: str

    @property
    def mask(self) -> Path:
        """The label map."""
        return self._with(self.extension)

    @property
    def description(self) -> Path:
        """The JSON."""
        return self._with(".json")

    @property
    def preview(self) -> Path:
        """The picture of the slice with most of the labels."""
        return self._with(".png")

    @property
    def example_click(self) -> Path:
        """The picture of an example click, where no model is trained."""
        return self._with("_example_click.png")

    def is_done(self, fingerprint: str) -> bool:
        """Whether these files were made of the same images, with the same settings and weights."""
        written = self._read()
        files = (self.mask, self.preview)
        return written.get("fingerprint") == fingerprint and all(p.is_file() for p in files)

    def remove_description(self) -> None:
        """Remove the JSON before another mask is written, and a mask of another format."""
        earlier = str(self._read().get("mask", ""))
        is_ours = earlier in {self._with(ending).name for ending in EXTENSIONS}
        self.description.unlink(missing_ok=True)
        if is_ours and earlier != self.mask.name:
            (self.folder / earlier).unlink(missing_ok=True)

    def write(self, mask: Volume, preview: bytes, description: Mapping[str, Any], *,
              names: Mapping[str, int]) -> None:  # fmt: skip
        """Write all three files, each completely or not at all.

        Args:
            mask: uint8 label map.
            preview: a PNG.
            description: the content of the JSON.
            names: label name -> value.

        Raises:
            InputError: the format cannot hold the mask's grid.
        """
        self.remove_description()
        write_atomically(self.mask, lambda path: write_label(path, mask, names=names))
        write_atomically(self.preview, lambda path: path.write_bytes(preview))
        files = {"mask": self.mask.name, "preview": self.preview.name}
        text = json.dumps({**files, **description}, indent=1, allow_nan=False)
        write_text_atomically(self.description, text + "\n")

    def _with(self, ending: str) -> Path:
        return self.folder / f"{folder_name(self.study_id)}{ending}"

    def _read(self) -> dict[str, Any]:
        """The JSON that is there; empty if there is none, or if it is damaged or foreign."""
        with suppress(OSError, ValueError, RecursionError):
            written = json.loads(self.description.read_bytes())
            return written if isinstance(written, dict) else {}
        return {}


def mask_on(segmentation: Segmentation, study: OpenedStudy, sequence: str) -> Volume:
    """The union on the grid of a sequence as stored; of the study's reference for "".

    Raises:
        InputError: the study does not have the sequence.
    """
    grid = grid_of(study, sequence)
    if sequence in ("", study.reference):
        return segmentation.label_map
    return to_grid(segmentation.label_map, grid, order=0, fill=0.0)


def describe(
    segmentation: Segmentation,
    config: ZeusConfig,
    target: Target,
    *,
    grid: Grid,
    grid_of: str,
    images: Mapping[str, str],
    checkpoint: CheckpointInfo | None,
    fingerprint: str,
) -> dict[str, Any]:
    """What the JSON beside a mask says.

    Args:
        segmentation: the result.
        config: the settings.
        target: the labels and sequences.
        grid: the grid of the mask.
        grid_of: name of the sequence whose grid it is.
        images: sequence name -> its image, for readers.
        checkpoint: the version of the weights; None for an untrained model.
        fingerprint: of images, settings and weights, see `fingerprint`.
    """
    return {
        "notice": MACHINE_MADE,
        **answer_params(segmentation, config, target),
        "images": dict(images),
        "grid_of": grid_of,
        "grid": {
            "shape": list(grid.shape),
            "spacing_mm": [round(mm, 6) for mm in grid.spacing_mm],
            "affine_ras": grid.affine_ras.tolist(),
        },
        "trained_with": dict(checkpoint.fitted_to) if checkpoint else {},
        "checkpoint_created": checkpoint.created if checkpoint else "",
        "software": {"python": platform.python_version(), **_versions()},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprint": fingerprint,
    }


def fingerprint(
    files: StudyFiles,
    config: ZeusConfig,
    target: Target,
    *,
    checkpoint: CheckpointInfo | None,
    choices: Choices,
) -> str:
    """Identifies what a mask is made of: image files, settings, and weights.

    Image files count by path, size and time. The version of Zeus does not count.
    """
    made_of = {
        "study": files.id,
        "images": {name: _stamps(source.files) for name, source in files.sources.items()},
        "target": target.model_dump(mode="json"),
        "profile": load_profile(config.profile).model_dump(mode="json"),
        "settings": config.model_dump(mode="json", include=set(_DECIDING)),
        "choices": asdict(choices),
        "checkpoint": [checkpoint.version, checkpoint.created] if checkpoint else [],
    }
    text = json.dumps(made_of, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def check_extension(name: str) -> str:
    """The ending of masks for a format: "nifti" or "nrrd", or an ending such as ".seg.nrrd".

    Raises:
        InputError: Zeus does not write this format.
    """
    endings = {"nifti": ".nii.gz", "nrrd": ".nrrd"}
    return endings.get(name.lower()) or extension_of(f"mask.{name.lstrip('.')}")


def save_mask(mask: Volume, path: str | Path, *, names: Mapping[str, int] | None = None) -> None:
    """Write a label map, completely or not at all.

    Args:
        mask: (X, Y, Z) uint8 with its affine in RAS mm, such as `Segmentation.label_map`.
        path: ends in .nii.gz, .nii, .nrrd or .seg.nrrd.
        names: label name -> value. A .seg.nrrd keeps them.

    Raises:
        InputError: the ending is none of these, or the format cannot hold the mask's grid.
    """
    extension_of(Path(path).name)
    write_atomically(Path(path), lambda to: write_label(to, mask, names=names or {}))


def _stamps(paths: Sequence[Path]) -> list[list[object]]:
    stats = [path.stat() for path in paths]
    return [[str(p), s.st_size, s.st_mtime_ns] for p, s in zip(paths, stats, strict=True)]


def _versions() -> dict[str, str]:
    found = {}
    for name, package in _SOFTWARE.items():
        with suppress(PackageNotFoundError):
            found[name] = version(package)
    return found
