"""Attention keys and values of the tokens before the image, computed once for all pictures."""

import copy
from collections import OrderedDict
from typing import Any

import torch

from zeus_app.errors import InputError

CACHED_PREFIXES = 16
"""Most prefixes in memory: more than a target has questions (sequences × labels). For a 7B LLM in
half precision, a prefix of 100 tokens takes 50 MB."""

Ids = tuple[int, ...]
"""Token ids."""


class PrefixStates:
    """Keys and values of shared first tokens (prefixes), for an LLM with full attention only.

    Cached states are never changed. Each call gets shallow copies of the layers, which replace
    their tensors instead of writing into them.

    Args:
        model: a causal LLM of transformers.
        learning: the LLM's own parameters are trained (LoRA). Then nothing is cached between calls,
            and gradients pass through.

    Attributes:
        usable: whether every layer is full attention. Recurrent layers change their state in place,
            and a sliding window counts padding, so their prefixes cannot be shared.

    Raises:
        InputError: no layer of the LLM is attention.
    """

    def __init__(self, model: Any, *, learning: bool) -> None:
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        self._decoder = model.get_decoder()
        self._learning = learning
        self._cached: OrderedDict[Ids, Any] = OrderedDict()
        layers = DynamicCache(config=model.config).layers
        if not any(isinstance(layer, DynamicLayer) for layer in layers):
            raise InputError(
                f"an LLM of type {model.config.model_type}, which has no layer of attention",
                expected="an LLM with layers of attention",
                remedy="choose another LLM in the profile, for example smollm2-135m",
            )
        self.usable = all(type(layer) is DynamicLayer for layer in layers)

    def expanded(self, ids: Ids, rows: int) -> Any:
        """A new cache for `rows` sequences that all begin with `ids`. Their tensors are shared."""
        cache = copy.copy(self._of(ids))
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        for layer in cache.layers:
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
        return cache

    def _of(self, ids: Ids) -> Any:
        if self._learning:
            return self._compute(ids)
        if ids not in self._cached:
            # Not inference mode: a later call may need gradients with respect to the image tokens,
            # and autograd cannot save tensors that were made in inference mode.
            with torch.inference_mode(False), torch.no_grad():
                self._cached[ids] = self._compute(ids)
        self._cached.move_to_end(ids)
        while len(self._cached) > CACHED_PREFIXES:
            self._cached.popitem(last=False)
        return self._cached[ids]

    def _compute(self, ids: Ids) -> Any:
        tokens = torch.tensor([ids], device=self._decoder.device)
        return self._decoder(input_ids=tokens, use_cache=True).past_key_values
