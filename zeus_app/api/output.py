"""The files of one segmented study: mask, JSON and preview. The JSON is complete when all are."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError
from zeus_app.labels.files import EXTENSIONS, extension_of, write_label
from zeus_app.settings.file_names import readable
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.storage.state import folder_name
from zeus_app.types import Volume


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

    def refuse_foreign(self) -> None:
        """Refuse to replace a file that `write` did not write: it may be an image.

        Raises:
            InputError: names the file.
        """
        if self._is_ours(self._read()):
            return
        for path in (self.mask, self.preview, self.description):
            if path.exists():
                raise InputError(
                    f"{readable(path)} is there, and `zeus segment` did not write it, or its JSON"
                    " is gone",
                    expected="a folder without other files of this name",
                    remedy="choose another folder with -o, or move the file away",
                )

    def write(self, mask: Volume, preview: bytes, description: Mapping[str, Any], *,
              names: Mapping[str, int]) -> None:  # fmt: skip
        """Write all three files, each completely or not at all. Earlier ones of them are replaced.

        Until the last one is written, the JSON says that the study is not done.

        Args:
            mask: uint8 label map.
            preview: a PNG.
            description: the content of the JSON.
            names: label name -> value.

        Raises:
            InputError: see `refuse_foreign`; or the format cannot hold the mask's grid.
        """
        self.refuse_foreign()
        earlier = self._read().get("mask")
        if earlier in {self._with(ending).name for ending in EXTENSIONS} - {self.mask.name}:
            (self.folder / str(earlier)).unlink(missing_ok=True)
        self._describe({"fingerprint": "", "notes": ["not finished"]})
        write_atomically(self.mask, lambda path: write_label(path, mask, names=names))
        write_atomically(self.preview, lambda path: path.write_bytes(preview))
        self._describe(description)

    def _describe(self, content: Mapping[str, Any]) -> None:
        files = {"mask": self.mask.name, "preview": self.preview.name}
        text = json.dumps({**files, **content}, indent=1, allow_nan=False)
        write_text_atomically(self.description, text + "\n")

    @staticmethod
    def _is_ours(written: Mapping[str, Any]) -> bool:
        return {"mask", "preview", "fingerprint"} <= written.keys()

    def _with(self, ending: str) -> Path:
        return self.folder / f"{folder_name(self.study_id)}{ending}"

    def _read(self) -> dict[str, Any]:
        """The JSON that is there; empty if there is none, or if it is damaged or foreign."""
        with suppress(OSError, ValueError, RecursionError):
            written = json.loads(self.description.read_bytes())
            return written if isinstance(written, dict) else {}
        return {}


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
