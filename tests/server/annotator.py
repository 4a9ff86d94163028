"""One user's 3D Slicer: the client that it ships, and what its module adds to requests."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from monailabel.client import MONAILabelClient

from tests.server.conftest import LESION, SHAPE, affine, save

Answer = dict[str, Any]
AS_SLICER_READS = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}


class Annotator:
    """One user's Slicer: the stock client, the sample that is open, and files on its disk."""

    def __init__(self, client: MONAILabelClient, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.sample: Answer = {}
        self.info: Answer = {}
        self.session = ""

    def infer(self, model: str, session: str | None = None, **params: Any) -> sitk.Image:
        """A mask as Slicer reads it; Slicer sends the parameters of its own reader along."""
        image = "" if session else "alpha"
        request = {**AS_SLICER_READS, **params}
        file, _ = self.client.infer(model, image, request, session_id=session)
        assert file.endswith(".nrrd")
        return sitk.ReadImage(file)

    def options(self, model: str, **entered: Any) -> Answer:
        """What Slicer sends of a model's options: `getParamsFromConfig` of its module.

        Slicer keeps the information of the server, and moves a chosen entry to the list's front.
        """
        config = self.info["models"][model]["config"]
        for key, value in entered.items():
            if isinstance(config[key], list):
                config[key].remove(value)
                config[key].insert(0, value)
            else:
                config[key] = value
        return {key: v[0] if isinstance(v, list) else v for key, v in config.items()}

    def marked(self, model: str, **params: Any) -> list[list[int]]:
        """The voxels of a mask, x first."""
        array = sitk.GetArrayFromImage(self.infer(model, **params)).transpose()
        voxels: list[list[int]] = np.argwhere(array).tolist()
        return voxels

    def label_file(self, ending: str, value: int = 1) -> str:
        """The lesion as a file that Slicer exports."""
        label = np.zeros(SHAPE, np.uint8)
        label[LESION] = value
        drawn = save(self.folder / "drawn.nii.gz", label, affine())
        path = self.folder / f"label{ending}"
        sitk.WriteImage(sitk.ReadImage(str(drawn)), str(path))
        return str(path)

    def segmentation_file(self, segment: str) -> str:
        """The same with a segment's name in the header."""
        image = sitk.ReadImage(self.label_file(".nii.gz"))
        for key, value in (("ID", "Segment_1"), ("Name", segment), ("LabelValue", "1")):
            image.SetMetaData(f"Segment0_{key}", value)
        sitk.WriteImage(image, str(self.folder / "label.seg.nrrd"))
        return str(self.folder / "label.seg.nrrd")

    def saved_voxels(self) -> int:
        """Voxels of value 1 of the label that the server holds."""
        file = self.client.download_label("alpha", "final")
        return int((sitk.GetArrayFromImage(sitk.ReadImage(file)) == 1).sum())
