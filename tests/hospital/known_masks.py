"""A plugin whose model knows the phantoms: automatic inference answers with the true mask.

Clicks are those of the fake model: each marks one voxel.
"""

from dataclasses import replace

from tests.server.fakes.fake_model import FakeSegmenter, build_clicks
from zeus_app.commands.hospital.run import HospitalPaths
from zeus_app.commands.hospital.sample_dicom import sample_uid
from zeus_app.labels.files import read_label
from zeus_app.pipeline.plugins import ModelPlugin
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.progress import Report, silent
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder
from zeus_app.studies.align import to_grid
from zeus_app.studies.opened import OpenedStudy
from zeus_app.targets import target_of
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.types import Guidance, Segmentation, Volume


class KnownMasks(FakeSegmenter):
    def segment(
        self, study: OpenedStudy, *, guidance: Guidance | None = None, report: Report = silent
    ) -> Segmentation:
        files = (HospitalPaths().phantoms / "labels").iterdir()
        (file,) = [f for f in files if sample_uid(f.name.removesuffix(".nii.gz")) == study.id]
        mask = to_grid(read_label(file), study.source_grid, order=0, fill=0)
        blank = super().segment(study, guidance=guidance, report=report)
        label_map = Volume(mask.array.astype("uint8"), study.source_grid.affine_ras)
        return replace(blank, label_map=label_map)


def build_segmenter(config: ZeusConfig, state: StateFolder) -> Segmenter:
    return KnownMasks(target_of(config), Checkpoints(state.checkpoints))


MODELS = {"zeus": ModelPlugin(segmenter=build_segmenter, clicks=build_clicks)}
