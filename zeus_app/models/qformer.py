"""f_vt as in BLIP-2: learned queries attend to the image features and become the LLM's tokens."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class QFormerProjector(nn.Module):
    """Table 3's "QFormer": a Q-Former trained from random parameters, then one linear layer.

    The Q-Former is transformers' `Blip2QFormerModel` in BERT-base's sizes, with cross-attention to
    the features in every second layer. For MedCLIP and a 7B LLM it has 100,054,528 parameters,
    twelve times as many as the paper trains. It differs from transformers' defaults in two ways.
    The queries start at random values, because queries that start at zero stay equal. There is no
    dropout, because the same picture must give the same instruction.

    Args:
        vision_dim: length of an image feature.
        llm_dim: the LLM's hidden size.
        queries: number of image tokens.
        sizes: fields of `Blip2QFormerConfig` that differ from BERT-base's.
    """

    def __init__(
        self,
        vision_dim: int,
        llm_dim: int,
        *,
        queries: int = 32,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        # Imported here because transformers takes seconds and only this projector needs it.
        from transformers import Blip2QFormerConfig, Blip2QFormerModel

        config: Any = Blip2QFormerConfig(
            encoder_hidden_size=vision_dim,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            **(sizes or {}),
        )
        width, spread = config.hidden_size, config.initializer_range
        self.queries = nn.Parameter(torch.randn(1, queries, width) * spread)
        self.qformer: nn.Module = Blip2QFormerModel(config)
        self.to_llm = nn.Linear(width, llm_dim)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, T, vision_dim) -> (N, queries, llm_dim); every query attends to all T features."""
        queries = self.queries.expand(len(features), -1, -1)
        outputs = self.qformer(query_embeds=queries, encoder_hidden_states=features)
        tokens: torch.Tensor = self.to_llm(outputs.last_hidden_state)
        return tokens
