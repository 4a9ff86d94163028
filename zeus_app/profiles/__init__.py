"""Profiles: named sets of frozen towers, one YAML file per profile."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from zeus_app.settings import presets
from zeus_app.weights import WEIGHTS, Weight, is_path


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageEncoderConfig(_Entry):
    """F_enc: the image encoder, with the weights that the mask decoder starts from.

    Attributes:
        kind: "lite_medsam", "sam", or "medsam" (SAM with another normalisation).
        weights: name of a weight or path of a file.
        size: of a SAM: vit_b, vit_l or vit_h; the weights must have it.
    """

    kind: str
    weights: str
    size: str = "vit_b"


class VisionTowerConfig(_Entry):
    """F_v: the features of a slice for the LLM, and the projection f_vt.

    Attributes:
        kind: "pooled" is the mean of F_enc's embedding over the picture. "none" is for a language
            model that sees the slice itself, or no slice at all.
        dim: numbers per feature.
        weights: name of a weight or path of a file; empty for "pooled" and "none".
        grid: one feature per patch, before the tower's own projection, instead of one per slice.
        projection: f_vt: "mlp" (the paper's), "qformer" (BLIP-2's), "fixed" (not trained), or
            "none" if there is no feature.
        hidden: width of the MLP's hidden layer.
    """

    kind: str
    dim: int = 0
    weights: str = ""
    grid: bool = False
    projection: Literal["mlp", "qformer", "fixed", "none"] = "mlp"
    hidden: int = 0


class LanguageModelConfig(_Entry):
    """F_LLM: the language model that generates instructions.

    Attributes:
        kind: "causal" reads image tokens; "vision_chat" sees the slice; "endpoint" is a server.
        weights: name of a weight or path; for an endpoint, the model's name on its server.
        hidden: its embedding size, for counting without weights.
        architecture: its config.json, for counting; empty if the registry of weights has it.
        precision: of its parameters; "auto" is bfloat16 if the device has it, else float32.
        prompt_style: "chat" is the model's own chat template, "doctor" the paper's prompt.
        question_first: put the question before the image. Faster, but not the paper's order.
        lora_rank: rank of the LoRA matrices that are trained on its attention; 0 for none.
        url: of an endpoint.
        send_pictures: send the slices to an endpoint.
    """

    kind: str
    weights: str
    hidden: int = 0
    architecture: dict[str, Any] = {}
    precision: Literal["auto", "float32", "bfloat16", "float16", "8bit", "4bit"] = "auto"
    prompt_style: Literal["chat", "doctor", "xraygpt", "vicuna", "plain"] = "chat"
    question_first: bool = False
    lora_rank: int = Field(0, ge=0)
    url: str = ""
    send_pictures: bool = False

    @model_validator(mode="after")
    def _sends_to_a_server_alone(self) -> Self:
        if self.send_pictures and self.kind != "endpoint":
            raise ValueError(f"send_pictures is for kind endpoint, and this is a {self.kind}")
        return self


class TextEncoderConfig(_Entry):
    """F_t: the instruction encoder; `dim` is the number of values in its vectors."""

    kind: str
    weights: str
    dim: int


def _named(entries: Any) -> Any:
    """Copy each weight's key into its field `name`."""
    if not isinstance(entries, dict):
        return entries
    if not all(isinstance(entry, dict) for entry in entries.values()):
        return entries
    return {name: {"name": name, **entry} for name, entry in entries.items()}


class Profile(_Entry):
    """A named set of frozen towers.

    Attributes:
        scope: what gets an instruction if the settings say "auto". "auto" here means one per series
            on a CPU, which is too slow for hundreds per study, and all slices on a GPU.
        weights: entries that the registry of weights does not have.
    """

    name: str
    about: str = ""
    image_encoder: ImageEncoderConfig
    vision: VisionTowerConfig
    llm: LanguageModelConfig
    text_encoder: TextEncoderConfig
    scope: Literal["auto", "none", "target", "series", "key", "all"] = "auto"
    weights: Annotated[dict[str, Weight], BeforeValidator(_named)] = {}


def load_profile(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or a user's own by the path of its YAML.

    The weights that the profile brings are added to the registry.

    Raises:
        UnknownNameError: no such profile.
        InputError: the YAML does not describe a profile; the message names the field.
    """
    profile = presets.load("profile", name_or_path, __name__, Profile)
    for name, weight in profile.weights.items():
        WEIGHTS[name] = weight.model_copy(update={"profile": name_or_path})
    return profile


def weights_of(profile: Profile) -> list[str]:
    """The names of the registered weights of a profile's towers, each once."""
    towers = (profile.image_encoder, profile.vision, profile.llm, profile.text_encoder)
    names = [tower.weights for tower in towers if tower.kind != "endpoint"]
    return [name for name in dict.fromkeys(names) if name and not is_path(name)]


def weights_named(name: str) -> list[str]:
    """The weights that a name on the command line means: one weight, or all of a profile.

    Raises:
        InputError: the YAML does not describe a profile.
    """
    if name in presets.shipped(__name__) or name.endswith((".yaml", ".yml")):
        return weights_of(load_profile(name))
    return [name]
