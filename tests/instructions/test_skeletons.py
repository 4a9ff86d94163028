"""LLMs counted without weights have the parameters that their model pages give."""

import pytest

from zeus_app.instructions.loading import skeleton
from zeus_app.weights import WEIGHTS

PUBLISHED = {
    "smollm2-135m": 134_515_008,
    "smollm2-135m-safetensors": 134_515_008,
    "vicuna-7b-v1.5": 6_738_415_616,
    "vicuna-13b-v1.5": 13_015_864_320,
    "vicuna-rad-7b": 6_738_415_616,
    "llama-2-7b-chat": 6_738_415_616,
    "llama-3.2-1b-instruct": 1_235_814_400,
    "llama-3.2-3b-instruct": 3_212_749_824,
    "llama-3.1-8b-instruct": 8_030_261_248,
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "qwen2.5-0.5b-instruct": 494_032_768,
    "qwen2.5-1.5b-instruct": 1_543_714_304,
    "qwen2.5-7b-instruct": 7_615_616_512,
    "qwen3-0.6b": 596_049_920,
}


def test_every_architecture_is_checked() -> None:
    llms = {name for name, weight in WEIGHTS.items() if weight.role.startswith("LLM")}
    assert llms == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_skeleton_has_the_published_number_of_parameters(name: str) -> None:
    llm = skeleton(WEIGHTS[name].architecture or {})
    assert sum(parameter.numel() for parameter in llm.parameters()) == PUBLISHED[name]
