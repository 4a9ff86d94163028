"""CLIP (Radford et al., 2021) from any repository of a transformers CLIPModel."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.encoders.parameters import (
    check_vocabulary,
    digest_of,
    load_pretrained,
    read_config,
    read_json,
    read_state,
    unfit,
)
from zeus_app.encoders.tower import PictureInput, TextTower, VisionTower

# config.json of openai/clip-vit-base-patch16
VIT_B16: dict[str, Any] = {
    "projection_dim": 512,
    "vision_config": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "image_size": 224,
        "patch_size": 16,
        "projection_dim": 512,
    },
    "text_config": {
        "vocab_size": 49_408,
        "hidden_size": 512,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "intermediate_size": 2048,
        "max_position_embeddings": 77,
        "projection_dim": 512,
    },
}


class ClipVision(VisionTower):
    """CLIP's image encoder: the projected image embedding, or the patch tokens before pooling."""

    def __init__(
        self, weights: Path, *, device: torch.device | str = "cpu", grid: bool = False
    ) -> None:
        """Load the image encoder.

        Args:
            weights: model.safetensors or pytorch_model.bin of a CLIPModel, config.json beside it.
                The normalisation is that of preprocessor_config.json, or CLIP's if there is none.
            device: where it runs.
            grid: give the last hidden state of every patch, row by row, instead of image_embeds,
                (N, 1, 512) for ViT-B. The grid has no class token and no last layer norm, which
                CLIP applies to the class token alone.

        Raises:
            InputError: the folder holds no transformers CLIP.
        """
        from transformers import CLIPVisionModelWithProjection

        config = _read_clip_config(weights).vision_config
        state = read_state(weights, "vision_model.", "visual_projection.")
        model = load_pretrained(CLIPVisionModelWithProjection, config, state, weights)
        settings = weights.with_name("preprocessor_config.json")
        super().__init__(
            _Vision(model, grid=grid),
            name=f"clip-{digest_of(weights)}{'-grid' if grid else ''}",
            dim=config.hidden_size if grid else config.projection_dim,
            inputs=PictureInput.from_settings(
                config.image_size,
                read_json(settings) if settings.is_file() else {},
                mean="image_mean",
                std="image_std",
            ),
            device=device,
        )

    @staticmethod
    def skeleton(config: Mapping[str, Any] = VIT_B16, *, grid: bool = False) -> nn.Module:
        """The network without weights, on the meta device: 86,192,640 parameters for ViT-B/16.

        Args:
            config: content of a CLIPModel's config.json.
            grid: as in `__init__`.
        """
        from transformers import CLIPConfig, CLIPVisionModelWithProjection

        with torch.device("meta"):
            model = CLIPVisionModelWithProjection(_shared_dim(CLIPConfig(**config)).vision_config)
        return _Vision(model, grid=grid)


class ClipText(TextTower):
    """CLIP's text encoder: text_embeds, the projected state of a text's last token."""

    def __init__(self, weights: Path, *, device: torch.device | str = "cpu") -> None:
        """Load the text encoder.

        Args:
            weights: model.safetensors or pytorch_model.bin of a CLIPModel, config.json and the
                tokenizer's files beside it. Texts are cut after 77 tokens.
            device: where it runs.

        Raises:
            InputError: the folder holds no transformers CLIP.
        """
        from transformers import CLIPTextModelWithProjection

        config = _read_clip_config(weights).text_config
        tokenizer = _tokenizer(weights)
        check_vocabulary(tokenizer.vocab_size, config, weights.parent)
        state = read_state(weights, "text_model.", "text_projection.")
        model = load_pretrained(CLIPTextModelWithProjection, config, state, weights)
        super().__init__(
            _Text(model),
            name=f"clip-text-{digest_of(weights)}",
            dim=config.projection_dim,
            tokenise=lambda text: list(
                tokenizer(
                    text, truncation=True, max_length=config.max_position_embeddings
                ).input_ids
            ),
            device=device,
        )

    @staticmethod
    def skeleton(config: Mapping[str, Any] = VIT_B16) -> nn.Module:
        """The network without weights, on the meta device: 63,428,096 parameters for ViT-B/16.

        Args:
            config: content of a CLIPModel's config.json.
        """
        from transformers import CLIPConfig, CLIPTextModelWithProjection

        with torch.device("meta"):
            return _Text(CLIPTextModelWithProjection(_shared_dim(CLIPConfig(**config)).text_config))


class _Vision(nn.Module):
    """(N, 3, px, px) -> (N, 1, projection), or (N, patches, hidden) as a grid."""

    def __init__(self, model: Any, *, grid: bool) -> None:
        super().__init__()
        self.model = model
        self.grid = grid

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        out = self.model(inputs)
        tokens: torch.Tensor = (
            out.last_hidden_state[:, 1:] if self.grid else out.image_embeds[:, None]
        )
        return tokens


class _Text(nn.Module):
    """(N, tokens) -> (N, projection)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.model(ids).text_embeds
        return vectors


def _read_clip_config(weights: Path) -> Any:
    from transformers import CLIPConfig

    return _shared_dim(read_config(CLIPConfig, weights.with_name("config.json")))


def _shared_dim(config: Any) -> Any:
    # CLIPModel reads the outer projection_dim; a single encoder reads its own.
    config.vision_config.projection_dim = config.projection_dim
    config.text_config.projection_dim = config.projection_dim
    return config


def _tokenizer(weights: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(weights.parent, local_files_only=True)
    except Exception as error:  # transformers raises many kinds
        raise unfit(weights.parent, f"holds no tokenizer: {error}") from error
