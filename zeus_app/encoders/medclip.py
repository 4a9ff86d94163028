"""MedCLIP (Wang et al., 2022): Swin-T or ResNet-50 for pictures, Bio_ClinicalBERT for texts.

RyanWangZf/MedCLIP publishes one file, pytorch_model.bin, for each image backbone. Keys, layers and
preprocessing are those of that repository's modeling_medclip.py and dataset.py.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from zeus_app.encoders.parameters import (
    State,
    check_vocabulary,
    digest_of,
    fill,
    load_pretrained,
    read_config,
    read_state,
    split,
)
from zeus_app.encoders.tower import BERT_BASE, PictureInput, TextTower, VisionTower
from zeus_app.errors import InputError

Backbone = Literal["swin", "resnet50"]

MEAN = 0.5862785803043838
STD = 0.27950088968644304
RESNET_PX = 224
LONGEST_TOKENS = 77
EMBEDDING = 512

# config.json of microsoft/swin-tiny-patch4-window7-224
SWIN_TINY: dict[str, Any] = {
    "image_size": 224,
    "patch_size": 4,
    "window_size": 7,
    "embed_dim": 96,
    "depths": [2, 2, 6, 2],
    "num_heads": [3, 6, 12, 24],
    "mlp_ratio": 4.0,
    "layer_norm_eps": 1e-5,
}
# config.json of emilyalsentzer/Bio_ClinicalBERT: BERT-base with the cased vocabulary
CLINICAL_BERT: dict[str, Any] = {"vocab_size": 28_996, **BERT_BASE}


class MedClipVision(VisionTower):
    """MedCLIP's image encoder: 512 numbers after its projection, or a 7×7 grid before it."""

    def __init__(
        self, weights: Path, *, device: torch.device | str = "cpu", grid: bool = False
    ) -> None:
        """Load the image encoder. The keys show whether it is a Swin or a ResNet-50.

        Args:
            weights: MedCLIP's pytorch_model.bin. A swin_config.json beside it may configure another
                Swin than Swin-T.
            device: where it runs.
            grid: give (N, 49, 768) of Swin-T or (N, 49, 2048) of ResNet-50, before the projection
                and row by row, instead of (N, 1, 512).

        Raises:
            InputError: the file holds no MedCLIP image encoder.
        """
        (state,) = split(read_state(weights, "vision_model."), weights, "vision_model.")
        backbone: Backbone = "resnet50" if "model.fc.weight" in state else "swin"
        network: _Swin | _ResNet
        if backbone == "resnet50":
            network = _ResNet(_load_resnet(state, weights), grid=grid)
        else:
            network = _Swin(*_load_swin(state, weights), grid=grid)
        super().__init__(
            network,
            name=f"medclip-{backbone}-{digest_of(weights)}{'-grid' if grid else ''}",
            dim=network.projection.in_features if grid else EMBEDDING,
            inputs=PictureInput(network.px, (MEAN, MEAN, MEAN), (STD, STD, STD)),
            device=device,
        )

    @staticmethod
    def skeleton(*, backbone: Backbone = "swin", grid: bool = False) -> nn.Module:
        """The network without weights, on the meta device.

        Swin-T has 27,912,570 parameters with its projection, ResNet-50 24,556,608.
        """
        with torch.device("meta"):
            if backbone == "resnet50":
                return _ResNet(_resnet50(), grid=grid)
            from transformers import SwinConfig, SwinModel

            swin = SwinModel(SwinConfig(**SWIN_TINY))
            return _Swin(swin, _projection(swin.config.hidden_size), grid=grid)


class MedClipText(TextTower):
    """MedCLIP's text encoder: 512 numbers per text.

    They are the projected mean of Bio_ClinicalBERT's hidden states 1, 2 and last, over all tokens.
    """

    def __init__(self, weights: Path, *, device: torch.device | str = "cpu") -> None:
        """Load the text encoder.

        Args:
            weights: MedCLIP's pytorch_model.bin, with vocab.txt of emilyalsentzer/Bio_ClinicalBERT
                beside it. A bert_config.json may configure another BERT.
            device: where it runs.

        Raises:
            InputError: the file holds no MedCLIP text encoder, or vocab.txt is missing.
        """
        from transformers import BertConfig, BertModel

        tokenizer = _tokenizer(weights.with_name("vocab.txt"))
        config = read_config(BertConfig, weights.with_name("bert_config.json"), CLINICAL_BERT)
        check_vocabulary(tokenizer.vocab_size, config, weights.parent)
        state = read_state(weights, "text_model.")
        model, head = split(state, weights, "text_model.model.", "text_model.projection_head.")
        super().__init__(
            _ClinicalBert(
                load_pretrained(BertModel, config, model, weights),
                fill(_projection(config.hidden_size), head, weights),
            ),
            name=f"medclip-text-{digest_of(weights)}",
            dim=EMBEDDING,
            tokenise=lambda text: list(
                tokenizer(text, truncation=True, max_length=LONGEST_TOKENS).input_ids
            ),
            device=device,
        )

    @staticmethod
    def skeleton() -> nn.Module:
        """The network without weights, on the meta device: 108,703,488 parameters."""
        from transformers import BertConfig, BertModel

        with torch.device("meta"):
            bert = BertModel(BertConfig(**CLINICAL_BERT))
            return _ClinicalBert(bert, _projection(bert.config.hidden_size))


class _Swin(nn.Module):
    """(N, 3, px, px) -> (N, 1, 512), or (N, 49, 768) as a grid."""

    def __init__(self, swin: Any, projection: nn.Linear, *, grid: bool) -> None:
        super().__init__()
        self.swin = swin
        self.px = int(swin.config.image_size)
        self.projection = projection
        self.grid = grid

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        out = self.swin(inputs)
        if self.grid:
            tokens: torch.Tensor = out.last_hidden_state
            return tokens
        projected: torch.Tensor = self.projection(out.pooler_output)[:, None]
        return projected


class _ResNet(nn.Module):
    """(N, 3, 224, 224) -> (N, 1, 512), or (N, 49, 2048) as a grid."""

    def __init__(self, resnet: Any, *, grid: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*list(resnet.children())[:-2])  # without pooling and fc
        self.px = RESNET_PX
        self.projection: nn.Linear = resnet.fc
        self.grid = grid

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.layers(inputs).flatten(2).transpose(1, 2)  # (N, 49, 2048)
        if self.grid:
            return tokens
        projected: torch.Tensor = self.projection(tokens.mean(1, keepdim=True))
        return projected


class _ClinicalBert(nn.Module):
    """(N, tokens) -> (N, 512)."""

    def __init__(self, bert: Any, projection: nn.Linear) -> None:
        super().__init__()
        self.bert = bert
        self.projection = projection

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states = self.bert(ids, output_hidden_states=True).hidden_states
        three = torch.stack([states[1], states[2], states[-1]])  # (3, N, tokens, hidden)
        vectors: torch.Tensor = self.projection(three.mean(2).mean(0))
        return vectors


def _load_swin(state: State, weights: Path) -> tuple[Any, nn.Linear]:
    from transformers import SwinConfig, SwinModel

    config = read_config(SwinConfig, weights.with_name("swin_config.json"), SWIN_TINY)
    model, head = split(state, weights, "model.", "projection_head.")
    swin = load_pretrained(SwinModel, config, model, weights)
    return swin, fill(_projection(config.hidden_size), head, weights)


def _load_resnet(state: State, weights: Path) -> Any:
    (model,) = split(state, weights, "model.")
    return fill(_resnet50(), model, weights)


def _resnet50() -> Any:
    # Imported here because torchvision takes seconds and most profiles have no ResNet.
    from torchvision.models import resnet50

    network: Any = resnet50(weights=None)
    network.fc = _projection(network.fc.in_features)
    return network


def _projection(width: int) -> nn.Linear:
    return nn.Linear(width, EMBEDDING, bias=False)


def _tokenizer(vocabulary: Path) -> Any:
    """Bio_ClinicalBERT's WordPiece tokenizer, as in MedCLIP's training.

    The vocabulary is cased, but its repository has no tokenizer_config.json. MedCLIP's
    AutoTokenizer therefore lowered the case of every text, and so does this one.
    """
    from transformers import BertTokenizer

    try:
        words = vocabulary.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(
            f"the tokenizer's {vocabulary} cannot be read: {error}",
            expected="vocab.txt of emilyalsentzer/Bio_ClinicalBERT; MedCLIP's archive has none",
            remedy=f"put that file into {vocabulary.parent}",
        ) from error
    return BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)
