"""A plugin without weights. Its clicks run the code of Zeus, with fakes for the two networks."""

from tests.memory_cache import MemoryCache
from tests.prompts.test_segmenter import FillsBoxes, TwoTissues, segmenter_of
from tests.server.fakes.fake_model import build_segmenter
from zeus_app.pipeline.plugins import ModelPlugin
from zeus_app.prompts.segmenter import ClickSegmenter
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder


def build_clicks(config: ZeusConfig, state: StateFolder) -> ClickSegmenter:
    return segmenter_of(TwoTissues(), FillsBoxes(), MemoryCache())


MODELS = {"zeus": ModelPlugin(segmenter=build_segmenter, clicks=build_clicks)}
