"""BiomedCLIP (Zhang et al., 2023): ViT-B/16 and PubMedBERT, in open_clip's format.

Published as microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224. The networks are open_clip's
own adapters around timm's ViT and transformers' BERT. open_clip would download the configuration of
the BERT; here it comes from bert_config.json beside the weights, or from constants.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from zeus_app.encoders.parameters import (
    check_vocabulary,
    digest_of,
    fill,
    read_config,
    read_json,
    read_state,
    split,
    unfit,
)
from zeus_app.encoders.tower import BERT_BASE, PictureInput, TextTower, VisionTower

# open_clip_config.json of the published repository
MODEL: dict[str, Any] = {
    "embed_dim": 512,
    "vision_cfg": {
        "timm_model_name": "vit_base_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 224,
    },
    "text_cfg": {
        "hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 256,
    },
}
# config.json of microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract: BERT-base, uncased
BIOMED_BERT: dict[str, Any] = {"vocab_size": 30_522, **BERT_BASE}


class BiomedClipVision(VisionTower):
    """BiomedCLIP's image encoder: one feature of 512 numbers, or the 14×14 patch tokens."""

    def __init__(
        self, weights: Path, *, device: torch.device | str = "cpu", grid: bool = False
    ) -> None:
        """Load the image encoder.

        Args:
            weights: open_clip_pytorch_model.bin, with open_clip_config.json beside it.
            device: where it runs.
            grid: give (N, 196, 768) instead of (N, 1, 512): the normalised last hidden state of
                every patch, row by row, without the class token.

        Raises:
            InputError: the folder holds no open_clip model with a timm image encoder.
        """
        path = weights.with_name("open_clip_config.json")
        settings = read_json(path)
        visual = _vision(settings.get("model_cfg", {}), path)
        (state,) = split(read_state(weights, "visual."), weights, "visual.")
        fill(visual, state, weights)
        super().__init__(
            _Vision(visual, grid=grid),
            name=f"biomedclip-{digest_of(weights)}{'-grid' if grid else ''}",
            dim=visual.trunk.num_features if grid else settings["model_cfg"]["embed_dim"],
            inputs=PictureInput.from_settings(
                visual.image_size[0], settings.get("preprocess_cfg", {}), mean="mean", std="std"
            ),
            device=device,
        )

    @staticmethod
    def skeleton(*, grid: bool = False) -> nn.Module:
        """The network without weights, on the meta device: 86,191,872 parameters."""
        with torch.device("meta"):
            return _Vision(_vision(MODEL, Path("open_clip_config.json")), grid=grid)


class BiomedClipText(TextTower):
    """BiomedCLIP's text encoder: the projected state of the first token, 512 numbers."""

    def __init__(self, weights: Path, *, device: torch.device | str = "cpu") -> None:
        """Load the text encoder.

        Args:
            weights: open_clip_pytorch_model.bin, with open_clip_config.json and the tokenizer's
                files beside it. Texts are cut after 256 tokens.
            device: where it runs.

        Raises:
            InputError: the folder holds no open_clip model with a BERT text encoder.
        """
        from transformers import BertConfig

        path = weights.with_name("open_clip_config.json")
        model = read_json(path).get("model_cfg", {})
        bert = read_config(BertConfig, weights.with_name("bert_config.json"), BIOMED_BERT)
        tokenizer = _tokenizer(weights.parent, model.get("text_cfg", {}).get("context_length", 77))
        check_vocabulary(tokenizer.tokenizer.vocab_size, bert, weights.parent)
        text = _text(model, bert, path)
        (state,) = split(read_state(weights, "text."), weights, "text.")
        fill(text, state, weights)
        super().__init__(
            text,
            name=f"biomedclip-text-{digest_of(weights)}",
            dim=text.output_dim,
            tokenise=lambda words: [
                token for token in tokenizer(words)[0].tolist() if token != bert.pad_token_id
            ],
            device=device,
        )

    @staticmethod
    def skeleton() -> nn.Module:
        """The network without weights, on the meta device: 109,710,848 parameters."""
        from transformers import BertConfig

        with torch.device("meta"):
            text: nn.Module = _text(MODEL, BertConfig(**BIOMED_BERT), Path("open_clip_config.json"))
        return text


class _Vision(nn.Module):
    """(N, 3, px, px) -> (N, 1, 512), or (N, 196, 768) as a grid."""

    def __init__(self, visual: Any, *, grid: bool) -> None:
        super().__init__()
        self.visual = visual
        self.grid = grid

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        trunk = self.visual.trunk
        tokens: torch.Tensor = (
            trunk.forward_features(inputs)[:, trunk.num_prefix_tokens :]
            if self.grid
            else self.visual(inputs)[:, None]
        )
        return tokens


def _vision(model: dict[str, Any], path: Path) -> Any:
    # Imported here because open_clip takes seconds and few profiles use BiomedCLIP.
    from open_clip.model import CLIPVisionCfg
    from open_clip.timm_model import TimmModel

    try:
        cfg = CLIPVisionCfg(**model["vision_cfg"])
        return TimmModel(
            cfg.timm_model_name,
            embed_dim=model["embed_dim"],
            image_size=cfg.image_size,
            pool=cfg.timm_pool,
            proj=cfg.timm_proj,
            proj_bias=cfg.timm_proj_bias,
        )
    except Exception as error:  # timm and open_clip raise several kinds for a wrong setting
        raise unfit(path, f"does not configure a timm image encoder: {error}") from error


def _text(model: dict[str, Any], bert: Any, path: Path) -> Any:
    from open_clip.hf_model import HFTextEncoder
    from open_clip.model import CLIPTextCfg

    try:
        cfg = CLIPTextCfg(**model["text_cfg"])
        text = HFTextEncoder(
            "",  # the name for a download, which a given config makes needless
            output_dim=model["embed_dim"],
            config=bert,
            pooler_type=cfg.hf_pooler_type,
            proj_type=cfg.hf_proj_type,
        )
    except Exception as error:  # a wrong setting raises KeyError, TypeError and others
        raise unfit(path, f"does not configure a transformers text encoder: {error}") from error
    # With a given config, open_clip keeps BERT's pooling layer. The checkpoint has none.
    text.transformer.pooler = None
    return text


def _tokenizer(folder: Path, max_tokens: int) -> Any:
    from open_clip.tokenizer import HFTokenizer

    try:
        return HFTokenizer(str(folder), context_length=max_tokens, local_files_only=True)
    except Exception as error:  # transformers raises many kinds
        raise unfit(folder, f"holds no tokenizer: {error}") from error
