"""Profiles: sets of frozen towers. One YAML file a profile."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

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
        hidden: width of f_vt's inner layer.
    """

    kind: str
    dim: int
    hidden: int


class LanguageTower(_Entry):
    """F_LLM. `hidden` is its embedding size, known here so that nothing is loaded to be counted."""

    kind: str
    weights: str
    hidden: int


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
