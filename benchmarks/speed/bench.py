"""Shared by the parts of the benchmark: synthetic studies, the model in this process, a server."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from benchmarks.speed.synthetic_study import SyntheticStudy, make_study
from zeus_app.build import build_segmenter, image_encoder
from zeus_app.devices import choose_device
from zeus_app.encoders.lite_medsam import LiteMedSamEncoder
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.profiles import load_profile
from zeus_app.protocols import ImageEncoder
from zeus_app.server.lifecycle.server_process import ServerProcess
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.studies.align import align_for
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import load_target
from zeus_app.types import FloatArray, SliceStack
from zeus_app.weights import locate

TARGET = "brain_tumour"
PROFILE = "reference-small"


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        short, long: repetitions of measurements under a minute, and of longer ones.
        clicks: number of timed clicks.
        slices: tissue slices of the study. The volume has six more slices, which are empty.
        epoch_slices: tissue slices of the study of the epoch.
        step_slices: slices per training step.
        gets: requests for /info while the server is busy.
        dense: voxels and slices of the dense study.
        few: number of studies with few slices that follow it.
    """

    short: int = 5
    long: int = 3
    clicks: int = 15
    slices: int = 24
    epoch_slices: int = 10
    step_slices: int = 4
    gets: int = 200
    dense: tuple[int, int, int] = (240, 240, 155)
    few: int = 10


SMOKE = Sizes(
    short=1, long=1, clicks=1, slices=2, epoch_slices=1, step_slices=1, gets=20,
    dense=(96, 96, 4), few=2,
)  # fmt: skip


class Bench:
    """Studies, networks and a server, each made at its first use.

    Args:
        folder: for studies and state.
        sizes: how much is measured.
        console: prints the progress.
    """

    def __init__(self, folder: Path, sizes: Sizes, console: Console) -> None:
        self.folder, self.sizes, self.console = folder, sizes, console
        self.target = load_target(TARGET)
        self.weights = locate(load_profile(PROFILE).image_encoder.weights)
        self._open = ExitStack()
        self._made: dict[str, SyntheticStudy] = {}
        self._server: ServerProcess | None = None

    def close(self) -> None:
        """End the server."""
        self._open.close()
        self._server = None

    def study(self, name: str, *, slices: int | None = None) -> SyntheticStudy:
        """The study of this name. No two studies share a picture."""
        if name not in self._made:
            slices = slices or self.sizes.slices
            self._made[name] = make_study(
                self.folder, name, shape=(240, 240, slices + 6), slices=slices, seed=len(self._made)
            )
        return self._made[name]

    def stack(self, study: SyntheticStudy) -> SliceStack:
        """The slice stack of a study, as the server makes it."""
        studies = find_studies(self.folder / "studies", self.target).studies
        aligned = align_for(read_study(studies[study.name]), self.target)
        return slice_stack(aligned, self.target.sequence_names)

    def pictures(self, stack: SliceStack, slice_index: int | None = None) -> FloatArray:
        """(N, 256, 256) pictures with tissue, of one slice or of all."""
        pictures: FloatArray = (
            stack.pixels[stack.tissue]
            if slice_index is None
            else stack.pixels[stack.tissue[:, slice_index], slice_index]
        )
        return pictures

    def segmenter(self, instruction: str = "text") -> Segmenter:
        """The model in this process, with its own state folder."""
        config = ZeusConfig.model_validate(
            {
                "target": TARGET,
                "decoder": "sam",
                "instruction": instruction,
                "state": self.folder / "learn",
            }
        )
        return build_segmenter(
            config, state_folder(config, target=TARGET, studies=self.folder / "studies")
        )

    @cached_property
    def ours(self) -> ImageEncoder:
        """The image encoder, loaded as `build_zeus` loads it."""
        return image_encoder(ZeusConfig(), load_profile(PROFILE), choose_device("auto"))

    @cached_property
    def eager(self) -> LiteMedSamEncoder:
        """The same weights in plain PyTorch, float32."""
        return LiteMedSamEncoder(self.weights, runtime="torch")

    def serving(self, *studies: str) -> ServerProcess:
        """The shared server, which lists these studies."""
        for name in studies:
            self.study(name)
        if self._server is None:
            self._server = self._open.enter_context(self.new_server("serve"))
        self._server.get("/zeus/studies", refresh="true")
        return self._server

    def new_server(self, name: str) -> ServerProcess:
        """A context manager: a server with its own state folder."""
        studies = self.folder / "studies"
        studies.mkdir(parents=True, exist_ok=True)
        conf = {"target": TARGET, "profile": PROFILE, "state": str(self.folder / name)}
        return ServerProcess(studies, conf, log=self.folder / f"{name}.log")

    @property
    def server_cache(self) -> Path:
        """Where the shared server keeps embeddings and texts."""
        return self.folder / "serve" / "cache"
