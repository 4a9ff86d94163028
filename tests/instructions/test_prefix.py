"""Keys and values of shared prefixes: computed once, never changed, never part of a gradient."""

from typing import Any

import pytest
import torch

from tests.instructions.tiny import byte_level_tokenizer, llama_tokenizer, tiny_model
from zeus_app.instructions.prefix import CACHED_PREFIXES, PrefixStates

KINDS = {"llama": llama_tokenizer, "qwen2": byte_level_tokenizer, "qwen3": byte_level_tokenizer}
IDS = (5, 9, 2, 7)


class Counted:
    """A causal LLM that counts the calls of its decoder."""

    def __init__(self, kind: str) -> None:
        self.model = tiny_model(kind, KINDS[kind]())
        self.calls = 0
        self.model.get_decoder().register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.calls += 1


@pytest.fixture(params=KINDS)
def llm(request: pytest.FixtureRequest) -> Counted:
    return Counted(request.param)


def keys(cache: Any) -> list[torch.Tensor]:
    return [layer.keys for layer in cache.layers]


def test_the_same_prefix_is_computed_once_for_any_number_of_rows(llm: Counted) -> None:
    prefixes = PrefixStates(llm.model, learning=False)
    two, three = prefixes.expanded(IDS, 2), prefixes.expanded(IDS, 3)
    assert llm.calls == 1
    for fewer, more in zip(keys(two), keys(three), strict=True):
        assert (len(fewer), len(more)) == (2, 3)
        assert torch.equal(fewer[0], more[2])


def test_each_prefix_has_its_own_states(llm: Counted) -> None:
    prefixes = PrefixStates(llm.model, learning=False)
    first, other = prefixes.expanded(IDS, 1), prefixes.expanded(IDS[::-1], 1)
    assert llm.calls == 2
    assert not torch.equal(keys(first)[0], keys(other)[0])


def test_the_prefix_that_was_used_longest_ago_is_computed_again(llm: Counted) -> None:
    prefixes = PrefixStates(llm.model, learning=False)
    prefixes.expanded(IDS, 1)
    for token in range(CACHED_PREFIXES):
        prefixes.expanded((token,), 1)
    assert llm.calls == CACHED_PREFIXES + 1
    prefixes.expanded((CACHED_PREFIXES - 1,), 1)
    assert llm.calls == CACHED_PREFIXES + 1
    prefixes.expanded(IDS, 1)
    assert llm.calls == CACHED_PREFIXES + 2


def test_no_gradient_reaches_a_cached_prefix(llm: Counted) -> None:
    cached = PrefixStates(llm.model, learning=False).expanded(IDS, 1)
    assert not any(tensor.requires_grad for tensor in keys(cached))


def test_while_the_llm_itself_learns_every_call_computes_its_prefix_with_gradients(
    llm: Counted,
) -> None:
    prefixes = PrefixStates(llm.model, learning=True)
    prefixes.expanded(IDS, 1)
    assert any(tensor.requires_grad for tensor in keys(prefixes.expanded(IDS, 1)))
    assert llm.calls == 2


def test_a_sliding_window_counts_padding_so_its_prefixes_are_not_shared() -> None:
    sliding = tiny_model("mistral", byte_level_tokenizer(), sliding_window=16)
    full = tiny_model("llama", llama_tokenizer())
    assert not PrefixStates(sliding, learning=False).usable
    assert PrefixStates(full, learning=False).usable
