"""Profiles: sets of frozen towers. One YAML file a profile."""

from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from zeus_app.errors import InputError
from zeus_app.registry import lookup


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


def shipped_profiles() -> dict[str, Path]:
    """Name -> YAML of the profiles that come with Zeus."""
    folder = Path(str(files(__name__)))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_profile(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or a user's own by the path of its YAML.

    Raises:
        UnknownNameError: no such profile.
        InputError: the YAML does not describe a profile; the message names the field.
    """
    own = Path(name_or_path)
    is_file = own.suffix in {".yaml", ".yml"}
    path = own if is_file else lookup("profile", name_or_path, shipped_profiles())
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InputError(
            f"profile file {path}: {error}",
            expected="a YAML with image_encoder, vision, llm, text_encoder and prompt_style",
            remedy="compare it with zeus_app/profiles/reference-small.yaml",
        ) from error
