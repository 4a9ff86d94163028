"""BLIP-2 (Li et al., 2023): its frozen ViT and Q-Former, from any transformers Blip2.

The language model in the same repository is not read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.encoders.parameters import (
    digest_of,
    load_pretrained,
    read_config,
    read_json,
    read_state,
    split,
    unfit,
)
from zeus_app.encoders.tower import PictureInput, VisionTower

# config.json of Salesforce/blip2-opt-2.7b without its language model: EVA-CLIP ViT-g and a Q-Former
# with the sizes of BERT-base
OPT_2_7B: dict[str, Any] = {
    "num_query_tokens": 32,
    "vision_config": {
        "hidden_size": 1408,
        "intermediate_size": 6144,
        "num_hidden_layers": 39,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    },
    "qformer_config": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "cross_attention_frequency": 2,
        "encoder_hidden_size": 1408,
    },
}


class Blip2QueryEncoder(VisionTower):
    """BLIP-2's features of a picture: the 32 query outputs that its language model reads."""

    def __init__(self, weights: Path, *, device: torch.device | str = "cpu") -> None:
        """Load the ViT and the Q-Former.

        Args:
            weights: the repository's folder, its model.safetensors, or the .index.json of several
                files, with config.json beside it. The normalisation is that of
                preprocessor_config.json, or CLIP's if there is no such file.
            device: where it runs. The published network takes 4.4 GB in float32.

        Raises:
            InputError: the folder holds no transformers BLIP-2.
        """
        from transformers import Blip2Config, Blip2QFormerModel, Blip2VisionModel

        folder = weights if weights.is_dir() else weights.parent
        config = read_config(Blip2Config, folder / "config.json")
        state = read_state(weights, "vision_model.", "qformer.", "query_tokens")
        vision, qformer, queries = split(
            state, weights, "vision_model.", "qformer.", "query_tokens"
        )
        network = _QueryEncoder(
            load_pretrained(Blip2VisionModel, config.vision_config, vision, weights),
            load_pretrained(Blip2QFormerModel, config.qformer_config, qformer, weights),
            _checked(queries, config, weights),
        )
        settings = folder / "preprocessor_config.json"
        super().__init__(
            network,
            name=f"blip2-{digest_of(weights)}",
            dim=config.qformer_config.hidden_size,
            inputs=PictureInput.from_settings(
                config.vision_config.image_size,
                read_json(settings) if settings.is_file() else {},
                mean="image_mean",
                std="image_std",
            ),
            device=device,
        )

    @staticmethod
    def skeleton(config: Mapping[str, Any] = OPT_2_7B) -> nn.Module:
        """The network without weights, on the meta device: 1,091,114,496 parameters as published.

        Args:
            config: content of a Blip2Model's config.json.
        """
        from transformers import Blip2Config, Blip2QFormerModel, Blip2VisionModel

        blip2 = Blip2Config(**config)
        with torch.device("meta"):
            return _QueryEncoder(
                Blip2VisionModel(blip2.vision_config),
                Blip2QFormerModel(blip2.qformer_config),
                torch.empty(1, blip2.num_query_tokens, blip2.qformer_config.hidden_size),
            )


class _QueryEncoder(nn.Module):
    """(N, 3, px, px) -> (N, 32, 768)."""

    def __init__(self, vision: Any, qformer: Any, queries: torch.Tensor) -> None:
        super().__init__()
        self.vision = vision
        self.qformer = qformer
        self.queries = nn.Parameter(queries)  # (1, 32, 768)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        patches = self.vision(inputs).last_hidden_state  # (N, 1 + patches, 1408)
        out: torch.Tensor = self.qformer(
            query_embeds=self.queries.expand(len(inputs), -1, -1), encoder_hidden_states=patches
        ).last_hidden_state
        return out


def _checked(queries: Mapping[str, torch.Tensor], config: Any, weights: Path) -> torch.Tensor:
    expected = (1, config.num_query_tokens, config.qformer_config.hidden_size)
    tokens = queries.get("")
    if tokens is None or tokens.shape != expected:
        shape = None if tokens is None else tuple(tokens.shape)
        raise unfit(weights, f"holds query_tokens of shape {shape}, not {expected}")
    return tokens.float()
