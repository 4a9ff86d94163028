"""A plugin whose image encoder is slow by a clock of its own: no picture takes real time.

Clicks run the code of Zeus with fakes for the two networks. The background encodes into the same
cache, and waits while `preparation-held` lies in the control folder (see `fake_model.py`).
"""

from collections.abc import Callable, Collection

import torch

from tests.memory_cache import MemoryCache
from tests.prompts.fake_clock import FakeClock
from tests.prompts.test_segmenter import FillsBoxes, TwoTissues
from tests.server.fakes.fake_model import FakeSegmenter, control, hold
from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.pipeline.plugins import ModelPlugin
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.progress import Report, silent
from zeus_app.prompts.segmenter import ClickSegmenter
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder
from zeus_app.targets import target_of
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.types import FloatArray, SliceStack

PICTURE_S = 100.0  # so long that the real seconds of reading a study do not count
CLOCK = FakeClock()


class SlowEncoder(TwoTissues):
    def encode(self, pictures: FloatArray) -> FloatArray:
        CLOCK.now_s += PICTURE_S * len(pictures)
        return super().encode(pictures)


IMAGES = CachedImageEncoder(SlowEncoder(), MemoryCache(), batch=1)


class EncodingSegmenter(FakeSegmenter):
    def prepare(
        self,
        stack: SliceStack,
        *,
        report: Report = silent,
        first: Callable[[], Collection[int]] = tuple,
    ) -> None:
        hold("encoding", report, until=lambda: not control("preparation-held"))
        IMAGES.encode_missing(list(stack.pixels[stack.tissue]), report=report)


def build_segmenter(config: ZeusConfig, state: StateFolder) -> Segmenter:
    return EncodingSegmenter(target_of(config), Checkpoints(state.checkpoints))


def build_clicks(config: ZeusConfig, state: StateFolder) -> ClickSegmenter:
    return ClickSegmenter(
        images=IMAGES,
        decoder=FillsBoxes(),
        threshold=config.threshold,
        device=torch.device("cpu"),
        clock=CLOCK,
    )


MODELS = {"zeus": ModelPlugin(segmenter=build_segmenter, clicks=build_clicks)}
