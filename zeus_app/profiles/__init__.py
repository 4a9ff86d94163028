"""Profiles: sets of frozen towers. One YAML file a profile."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from zeus_app import named_yaml


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageTower(_Entry):
    """F_enc: the image encoder, and the weights the mask decoder starts from."""

    kind: str
    weights: str


class VisionTower(_Entry):
    """F_v: what the LLM is shown, and the width of the projection f_vt.

    Attributes:
        kind: "pooled" is the mean of F_enc's embedding over the picture.
        dim: length of the feature.
        hidden: width of f_vt's inner layer, where it is an MLP.
        projection: f_vt: the paper's MLP, BLIP-2's Q-Former, or a fixed map that does not learn.
    """

    kind: str
    dim: int
    hidden: int
    projection: Literal["mlp", "qformer", "fixed"] = "mlp"


class LanguageTower(_Entry):
    """F_LLM.

    Attributes:
        hidden: its embedding size, known here so that nothing is loaded to be counted.
        architecture: its config.json, for counting; empty where the weights' name says it.
        precision: in which numbers it is held; auto is bfloat16 where the device is fast at it.
        lora_rank: of the low-rank matrices that learn on its attention; 0 for none.
    """

    kind: str
    weights: str
    hidden: int
    architecture: dict[str, Any] = {}
    precision: Literal["auto", "float32", "bfloat16", "float16", "8bit", "4bit"] = "auto"
    lora_rank: int = Field(0, ge=0)


class TextTower(_Entry):
    """F_t: the instruction encoder; `dim` is the length of its vectors."""

    kind: str
    weights: str
    dim: int


class Profile(_Entry):
    """The frozen towers of one assembly."""

    name: str
    image_encoder: ImageTower
    vision: VisionTower
    llm: LanguageTower
    text_encoder: TextTower
    prompt_style: Literal["chat", "doctor"]


def load_profile(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or a user's own by the path of its YAML.

    Raises:
        UnknownNameError: no such profile.
        InputError: the YAML does not describe a profile; the message names the field.
    """
    return named_yaml.load("profile", name_or_path, __name__, Profile)
