"""Profiles: sets of frozen towers. One YAML file a profile."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from zeus_app.settings import presets
from zeus_app.weights import WEIGHTS, Weight, is_path


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageEncoderConfig(_Entry):
    """F_enc: the image encoder, and the weights the mask decoder starts from.

    Attributes:
        kind: "lite_medsam", "sam", or "medsam", which is SAM with a normalisation of its own.
        weights: name of a weight or path of a file.
        size: of SAM: vit_b, vit_l or vit_h; the weights must be of it.
    """

    kind: str
    weights: str
    size: str = "vit_b"


class VisionTowerConfig(_Entry):
    """F_v: what the LLM is shown, and the projection f_vt behind it.

    Attributes:
        kind: "pooled" is the mean of F_enc's embedding over the picture; "none" where what writes
            the instructions looks at the slice itself, or at nothing.
        dim: length of a feature.
        weights: name of a weight or path of a file; none for "pooled" and "none".
        grid: a feature for each patch, before the tower's own projection, instead of one.
        projection: f_vt: the paper's MLP, BLIP-2's Q-Former, a fixed map that does not learn, or
            none where there is no feature to project.
        hidden: width of f_vt's inner layer, where it is an MLP.
    """

    kind: str
    dim: int = 0
    weights: str = ""
    grid: bool = False
    projection: Literal["mlp", "qformer", "fixed", "none"] = "mlp"
    hidden: int = 0


class LanguageModelConfig(_Entry):
    """F_LLM, or another writer of instructions.

    Attributes:
        kind: "causal" reads image tokens; "vision_chat" sees the slice; "endpoint" is a server.
        weights: name of a weight or path; the model's name on its server, for an endpoint.
        hidden: its embedding size, known here so that nothing is loaded to be counted.
        architecture: its config.json, for counting; empty where the weights' registry has it.
        precision: in which numbers it is held; auto is bfloat16 where the device is fast at it.
        prompt_style: "chat" is the form it was tuned with, "doctor" the paper's.
        question_first: the question before the image; cheaper, and not the paper's order.
        lora_rank: of the low-rank matrices that learn on its attention; 0 for none.
        url: of an endpoint.
        send_pictures: whether an endpoint is sent the slices themselves.
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
    """F_t: the instruction encoder; `dim` is the length of its vectors."""

    kind: str
    weights: str
    dim: int


def _named(entries: Any) -> Any:
    """Weights by name, each told its name."""
    if not isinstance(entries, dict) or not all(isinstance(one, dict) for one in entries.values()):
        return entries
    return {name: {"name": name, **entry} for name, entry in entries.items()}


class Profile(_Entry):
    """The frozen towers of one assembly.

    Attributes:
        scope: which slices get an instruction where the settings say "auto"; "auto": one a series
            on a CPU, which cannot write hundreds a study, and all on a GPU.
        weights: entries that no registry has yet.
    """

    name: str
    about: str = ""
    image_encoder: ImageEncoderConfig
    vision: VisionTowerConfig
    llm: LanguageModelConfig
    text_encoder: TextEncoderConfig
    scope: Literal["auto", "none", "series", "key", "all"] = "auto"
    weights: Annotated[dict[str, Weight], BeforeValidator(_named)] = {}


def load_profile(name_or_path: str) -> Profile:
    """Read a shipped profile by name, or a user's own by the path of its YAML.

    The weights that it brings are known from then on.

    Raises:
        UnknownNameError: no such profile.
        InputError: the YAML does not describe a profile; the message names the field.
    """
    profile = presets.load("profile", name_or_path, __name__, Profile)
    for name, weight in profile.weights.items():
        WEIGHTS[name] = weight.model_copy(update={"profile": name_or_path})
    return profile


def weights_of(profile: Profile) -> list[str]:
    """The weights that a profile's towers are made of, each once; files of one's own are not."""
    towers = (profile.image_encoder, profile.vision, profile.llm, profile.text_encoder)
    names = [tower.weights for tower in towers if tower.kind != "endpoint"]
    return [name for name in dict.fromkeys(names) if name and not is_path(name)]


def weights_named(name: str) -> list[str]:
    """What is meant on a command line: a weight, or all that a profile needs.

    Raises:
        InputError: the YAML does not describe a profile.
    """
    if name in presets.shipped(__name__) or name.endswith((".yaml", ".yml")):
        return weights_of(load_profile(name))
    return [name]
