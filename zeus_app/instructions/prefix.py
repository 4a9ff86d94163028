"""What an LLM makes of the tokens before the image, worked out once and used for every picture."""

import copy
from collections import OrderedDict
from typing import Any

import torch

from zeus_app.errors import InputError

KEPT = 16
"""Texts whose states are kept: more than a target has questions (sequences x labels); of a 7B LLM
in half precision one of 100 tokens takes 50 MB."""

Ids = tuple[int, ...]


class PrefixStates:
    """Keys and values of shared first tokens, for an LLM of full attention alone.

    What is kept is never changed: each call gets shallow copies of the layers, which replace their
    tensors instead of writing into them.

    Args:
        model: a causal LLM of transformers.
        learning: the LLM's own parameters learn (LoRA): then nothing outlives a call, and gradients
            pass through.

    Raises:
        InputError: no layer of the LLM is attention, whose keys and values could be kept.
    """

    def __init__(self, model: Any, *, learning: bool) -> None:
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        self._decoder = model.get_decoder()
        self._learning = learning
        self._kept: OrderedDict[Ids, Any] = OrderedDict()
        layers = DynamicCache(config=model.config).layers
        if not any(isinstance(layer, DynamicLayer) for layer in layers):
            raise InputError(
                f"an LLM of type {model.config.model_type}, which keeps no keys and values",
                expected="an LLM with layers of attention",
                remedy="choose another LLM in the profile",
            )
        # Recurrent layers change their state in place, and a sliding window counts the padding that
        # follows a kept text in a batch; both are left to read everything again.
        self.usable = all(type(layer) is DynamicLayer for layer in layers)

    def expanded(self, ids: Ids, rows: int) -> Any:
        """A fresh cache for `rows` sequences that all begin with `ids`, their tensors shared."""
        cache = copy.copy(self._of(ids))
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        for layer in cache.layers:
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
        return cache

    def _of(self, ids: Ids) -> Any:
        if self._learning:
            return self._compute(ids)
        if ids not in self._kept:
            # Not inference mode, though nothing is learnt: what is made in it may not be saved for
            # a gradient, and a later call may want one.
            with torch.inference_mode(False), torch.no_grad():
                self._kept[ids] = self._compute(ids)
        self._kept.move_to_end(ids)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[ids]

    def _compute(self, ids: Ids) -> Any:
        tokens = torch.tensor([ids], device=self._decoder.device)
        return self._decoder(input_ids=tokens, use_cache=True).past_key_values
