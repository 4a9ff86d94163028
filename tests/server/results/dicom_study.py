"""A DICOM study of two sequences with labels, and the results of a server that has it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom

from tests.dicom.mr_series import AXIAL, marks, write_mr_series
from zeus_app.errors import PacsError
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.results.results import DicomResults
from zeus_app.server.results.sending import ResultPacs
from zeus_app.types import LPS_TO_RAS, Instruction, LabelArray, Segmentation, Volume

T2 = replace(AXIAL, description="t2_tra", series_number=3)
FLAIR = replace(
    AXIAL, description="flair_tra", shape=(7, 6, 9), spacing_mm=(2.5, 1.5), series_number=4
)
T2_AFFINE_RAS = LPS_TO_RAS @ T2.affine_lps
STUDY_UID = T2.study_uid
LESION, CYST = 1, 2
VOXEL_ML = 1.25 * 0.75 * 3.0 / 1000


def write_study(folder: Path) -> None:
    """T2, and FLAIR of half the resolution in plane."""
    write_mr_series(folder / "t2", T2, marks(T2.shape, (LESION, CYST)))
    flair = np.zeros(FLAIR.shape, int)
    flair[2:5, 2:4, 3:6] = 1
    write_mr_series(folder / "flair", FLAIR, flair)


def labels(*values: int) -> LabelArray:
    """A lesion and a cyst without symmetry, on the grid of T2; only the given values."""
    array = marks(T2.shape, (LESION, CYST))
    return np.where(np.isin(array, values), array, 0).astype(np.uint8)


def label_file(path: Path, array: LabelArray) -> Path:
    """A label on the grid of T2, as a client submits it."""
    nibabel.save(nibabel.Nifti1Image(array, T2_AFFINE_RAS), path)
    return path


class DicomServer:
    """The parts of a server with one DICOM study, without its routes.

    Args:
        folder: for studies and state.
        pacs: takes the results.
        conf: settings.

    Attributes:
        ctx: its context.
        study: the id of the study.
        results: the results, with the given PACS.
    """

    def __init__(self, folder: Path, pacs: ResultPacs | None = None, **conf: str) -> None:
        if not (folder / "studies").exists():
            write_study(folder / "studies" / "anna")
        settings = {"state": str(folder / "state"), "target": "phantom", **conf}
        self.ctx: ServerContext = open_context(str(folder / "studies"), settings)
        (self.study,) = self.ctx.datastore.catalogue.studies
        self._folder = folder
        self.results = DicomResults(
            self.ctx.config, self.ctx.target, self.ctx.state,
            datastore=self.ctx.datastore, clicks=self.ctx.click_history, pacs=lambda: pacs,
        )  # fmt: skip

    def submit(self, label: LabelArray, tag: str = "final", **info: object) -> None:
        """Submit a label on the grid of T2."""
        path = label_file(self._folder / "label.nii.gz", label)
        self.ctx.datastore.save_label(self.study, str(path), tag, info)

    def predict(
        self,
        label: LabelArray,
        checkpoint: str = "v0001",
        texts: Iterable[Instruction] = (),
    ) -> None:
        """Save a prediction of T2 and FLAIR."""
        segmentation = Segmentation(
            self.study, Volume(label, T2_AFFINE_RAS), {}, (), (), (), {}, {}, {},
            checkpoint,
        )  # fmt: skip
        instructions = [
            {"sequence": text.sequence, "label": text.label, "slice": text.slice_index,
             "text": text.text, "model": text.model, "notice": text.notice}
            for text in texts
        ]  # fmt: skip
        params = {"checkpoint": checkpoint, "used": ["T2", "FLAIR"], "instructions": instructions}
        self.ctx.datastore.predictions.save(segmentation, params)

    def objects(self, tag: str = "") -> tuple[pydicom.Dataset, pydicom.Dataset]:
        """Make a result; its SEG and SR as they are stored."""
        made = self.results.make(self.study, tag).result
        files = [self.results.file(self.study, one.sop_uid) for one in made.objects]
        segmentation, report = map(pydicom.dcmread, files)
        return segmentation, report


class Archive:
    """A PACS without a network.

    Attributes:
        arrived: SOP Instance UIDs of what was sent, each as often as it came.
        kept: those that it has.
        fault: why it stores nothing; empty if it does.
    """

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.kept: set[str] = set()
        self.fault = ""

    def store(self, data: pydicom.Dataset) -> None:
        self.arrived.append(data.SOPInstanceUID)
        if self.fault:
            raise PacsError(self.fault, expected="a PACS that stores", remedy="try again")
        self.kept.add(data.SOPInstanceUID)

    def has_instance(self, study_uid: str, series_uid: str, sop_uid: str) -> bool:
        assert study_uid == STUDY_UID
        return sop_uid in self.kept
