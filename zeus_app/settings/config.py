"""All settings of Zeus: `ZeusConfig` for servers and commands, `TrainConfig` for trainings."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from zeus_app.errors import InputError
from zeus_app.settings.clicks import ClickSettings
from zeus_app.settings.file_names import check_utf8
from zeus_app.settings.llm4seg import Llm4SegSettings
from zeus_app.settings.pacs import PacsSettings, refuse_secrets
from zeus_app.settings.registry import lookup

Fusion = Literal["early", "hybrid", "late"]
Union = Literal["auto", "max", "mean", "vote", "weighted", "features"]
Decoder = Literal["auto", "readout", "sam", "both"]
EncoderRuntime = Literal[
    "auto", "torch", "torch-compiled", "torch-bf16", "onnx", "openvino", "openvino-bf16"
]

_NEW_FIELDS = frozenset(
    {"balance_first", "clip_gradient", "intensity", "pixels_alone", "sequence_dropout"}
)
"""Fields of `TrainConfig` that version 0.2.0 did not have, and whose default changes nothing."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_conf(cls, conf: Mapping[str, object]) -> Self:
        """Read settings from strings: `--conf KEY VALUE`, or request parameters.

        Raises:
            UnknownNameError: a key is no setting. The message names the closest setting.
            InputError: a value is invalid, or the settings hold credentials.
        """
        refuse_secrets(conf)
        for key in conf:
            lookup("setting", key, cls.model_fields)
        try:
            return cls.model_validate(dict(conf))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            field = cls.model_fields[name]
            raise InputError(
                f"setting {name}={conf[name]!r}: {first['msg']}",
                expected=field.description or str(field.annotation),
                remedy=f"send a valid value, for example {name}={_example(field)}",
            ) from error


def _example(field: FieldInfo) -> str:
    """A valid value of a setting: its default, or 60 for a setting without one."""
    return str(field.default) if field.default not in (None, "") else "60"


class ZeusConfig(ClickSettings, Llm4SegSettings, PacsSettings, _Settings):
    """Settings of a server or command: target, towers, model, fusion, resources, state, PACS."""

    target: str = Field(
        "phantom", description="name of a shipped target, or path of a target's YAML file"
    )
    sequences: str = Field(
        "", description="comma-separated names of the target's sequences to use; empty: all"
    )
    profile: str = Field(
        "reference-small",
        description="set of frozen towers: name of a shipped profile, or path of a YAML file",
    )
    model: str = Field(
        "zeus",
        description="zeus, or a network to compare with, such as unet; zeus describe --models"
        " lists all",
    )
    fusion: Fusion = Field(
        "hybrid",
        description="hybrid: one mask decoder for all sequences; late: one decoder per sequence;"
        " early: all sequences as channels of one image (not for zeus). Networks other than zeus:"
        " hybrid has an encoder per sequence and one decoder, late a network per sequence",
    )
    decoder: Decoder = Field(
        "auto",
        description="what makes masks from embeddings (zeus only): readout, a small network of ours"
        " that learns in minutes; both, the read-out, whose masks SAM's frozen decoder draws again"
        " for the labels that gain by it; sam, SAM's mask decoder, which is the paper's; auto:"
        " both, or sam where the state folder holds only versions that were trained with it",
    )
    union: Union = Field(
        "auto",
        description="how the sequences are united: max, mean or vote (majority) of their masks;"
        " weighted, by learned weights for each label and sequence; features, one mask from the"
        " features of all sequences (read-out with hybrid fusion only); auto: features where they"
        " are possible, else max",
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="probability above which a voxel belongs to a label"
    )
    instruction: Literal["text", "embedding", "both"] = Field(
        "text",
        description="form of the instructions: text (words), embedding (the LLM's last layer,"
        " differentiable), or both",
    )
    scope: Literal["auto", "none", "target", "series", "key", "all"] = Field(
        "auto",
        description="what gets an instruction of its own: none (no LLM; the label's name is the"
        " instruction), target (each label in each sequence; the LLM sees no picture), series (each"
        " series of a study), key (three slices) or all slices; auto: that of the served version,"
        " else the profile's, else series on a CPU and all on a GPU",
    )
    instruction_tokens: int = Field(
        64, ge=1, le=512, description="maximum length of an instruction, in tokens"
    )
    device: str = Field("auto", description="cpu, cuda, cuda:N, or auto (cuda if there is a GPU)")
    llm_device: str = Field("", description="device of the LLM; empty: the same as device")
    encoder_runtime: EncoderRuntime = Field(
        "auto",
        description="runtime of the image encoder: torch, torch-compiled, torch-bf16, onnx,"
        " openvino, openvino-bf16; auto: on a CPU the fastest, measured at the first start; on a"
        " GPU torch-bf16. Each runtime has its own cached embeddings and its own checkpoints",
    )
    compile: bool = Field(
        False, description="compile the mask decoder with torch.compile; takes minutes at the start"
    )
    batch_slices: int = Field(
        0,
        ge=0,
        description="slices per batch of an inference; 0: 8 on a GPU; on a CPU 2 in the decoder and"
        " 1 in the image encoder, because a click waits for the end of a batch",
    )
    encoder_batch: int = Field(
        0,
        ge=0,
        description="pictures per call of the image encoder; 0: as batch_slices. On a CPU 2 take"
        " less time together beside other programs, and 0.5 GiB; zeus segment takes 2",
    )
    state: Path | None = Field(
        None,
        description="folder for labels, checkpoints, splits and caches; default: a folder named"
        " after the studies folder, in ~/.local/share/zeus",
    )
    cache_gib: float = Field(20.0, gt=0, description="size limit of the embedding cache, in GiB")
    open_mib: int = Field(
        1024,
        ge=0,
        description="MiB of opened studies in memory; their label maps may take as much again",
    )
    waiting: int = Field(
        8,
        ge=1,
        description="maximum number of waiting inferences, and of waiting clicks; further requests"
        " are answered with 503",
    )
    prepare: bool = Field(
        True, description="encode a study in the background when a client opens it"
    )
    learn: Literal["off", "on", "ask"] = Field(
        "off",
        description="learning after each submitted final label, in a process beside the server:"
        " off (none), on (the new version is served unless a quick check finds it worse) or ask"
        " (the new version is stored and waits for POST /zeus/checkpoints/VERSION/serve)",
    )
    learn_s: float = Field(
        10, gt=0, description="duration of the steps after each label, in seconds"
    )
    dicom_results: Literal["ask", "labels", "all"] = Field(
        "ask",
        description="which masks of DICOM studies become a DICOM SEG and SR by themselves: ask"
        " (none; a client asks with POST /zeus/results/STUDY), labels (each final label) or all"
        " (each prediction too)",
    )
    keep_empty_frames: bool = Field(
        False, description="whether a DICOM SEG has the slices on which a label has no voxel"
    )
    refer_to_all_series: bool = Field(
        False,
        description="whether a DICOM SEG refers to all series that the mask was made from, not only"
        " to the one whose grid it has; OHIF 3.13 may then show it on another one, where it looks"
        " empty",
    )
    max_upload_mib: int = Field(
        1024, gt=0, description="largest body of a request, and largest unpacked archive, in MiB"
    )
    max_voxels: int = Field(
        64_000_000,
        gt=0,
        description="most voxels of an upload; four volumes of 256×256×192 have 50 million",
    )
    allowed_origins: str = Field(
        "",
        pattern=r"^(\s*https?://[A-Za-z0-9.:_\[\]-]+\s*(,|$))*$",
        description="comma-separated origins of web pages that may use the server, for example"
        " https://viewer.hospital.example; empty: only the server's own pages",
    )
    allowed_hosts: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.:_\[\], -]*$",
        description="comma-separated names or addresses under which a reverse proxy is reached, for"
        " example zeus.hospital.example; localhost and the server's own address are always allowed",
    )
    insecure: bool = Field(
        False, description="allow other machines to use the server although it has no login"
    )
    seed: int = Field(0, description="seed of the random number generators")

    @property
    def chosen_decoder(self) -> str:
        """The decoder, with "auto" resolved for a new state folder."""
        return "both" if self.decoder == "auto" else self.decoder

    @property
    def chosen_union(self) -> str:
        """The union, with "auto" resolved."""
        if self.union != "auto":
            return self.union
        has_read_out = self.model == "zeus" and self.chosen_decoder != "sam"
        return "features" if has_read_out and self.fusion == "hybrid" else "max"

    @property
    def chosen_sequences(self) -> tuple[str, ...]:
        """Names of the sequences to use; empty for all of the target's."""
        return _words(self.sequences)

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins of the web pages that may use the server, besides its own."""
        return _words(self.allowed_origins)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names under which clients reach the server, besides its own address."""
        return _words(self.allowed_hosts)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


class TrainConfig(_Settings):
    """Settings of a training. The fields' defaults are the paper's values, section 4.1.

    `settings.recipes` has the values that a request without parameters gets.
    """

    recipe: Literal["default", "paper"] = Field(
        "paper",
        description="values of the parameters that the request does not name: default (chosen by"
        " measurement for each model) or paper; a request that names no recipe takes default",
    )
    epochs: int = Field(300, ge=1, description="number of passes over the training slices")
    learning_rate: float = Field(
        1e-3, gt=0, description="Adam's learning rate at the beginning, without unit"
    )
    poly_power: float = Field(
        0.9, ge=0, description="the learning rate decays as (1 - progress)^poly_power"
    )
    warm_up: float = Field(
        0, ge=0, lt=1, description="share of the training in which the learning rate rises from 0"
    )
    weight_decay: float = Field(5e-4, ge=0, description="Adam's L2 penalty, without unit")
    batch_slices: int = Field(
        10, ge=1, description="slices per optimiser step, each with all its sequences"
    )
    early_stop: int = Field(
        75, ge=1, description="epochs without a lower training loss after which the training ends"
    )
    sequence_loss_first: float = Field(
        1.0, ge=0, description="weight of each sequence's own loss at the beginning of the training"
    )
    sequence_loss: float = Field(
        0.1, ge=0, description="weight of each sequence's own loss at the end; it falls linearly"
    )
    balance: float = Field(
        0,
        ge=0,
        lt=1,
        description="minimum share of the BCE's weight for the voxels of a label; 0.05 suits"
        " lesions of a few voxels, but tends to over-segment",
    )
    balance_first: float = Field(
        0,
        ge=0,
        lt=1,
        description="the same share at the beginning, for labels whose structures are below 8×8"
        " pixels; it falls linearly to a quarter, or to `balance` if that is larger",
    )
    clip_gradient: float = Field(
        0,
        ge=0,
        description="largest norm of a step's gradient; a larger gradient is scaled down; 0 for no"
        " limit",
    )
    time_budget_s: float | None = Field(
        None,
        gt=0,
        description="maximum duration of the training in seconds, with the last validation,"
        " without the preparation of studies; the learning rate decays fully within it",
    )
    validation_fraction: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share of patients held back for validation; 0: train on all patients",
    )
    validate_every: int = Field(
        1, ge=1, description="epochs between two validations; the last epoch is always validated"
    )
    foreground: float = Field(
        0.7,
        ge=0,
        le=1,
        description="share of training slices that are drawn among those with a label; 0: slices"
        " are drawn without regard to labels",
    )
    augment: float = Field(
        0,
        ge=0,
        description="strength of random rotation, scaling and shifting; 1: up to 9 degrees, 15 %"
        " and 1/20 of the picture's edge; 0: none",
    )
    pixels_alone: float = Field(
        0,
        ge=0,
        lt=1,
        description="share of training slices whose embeddings are hidden from the read-out, for"
        " labels whose structures are below 8×8 pixels",
    )
    sequence_dropout: float = Field(
        0,
        ge=0,
        le=1,
        description="share of training slices from which some sequences are hidden, so that the"
        " model learns to do without any of them",
    )
    intensity: float = Field(
        0,
        ge=0,
        description="strength of random brightness, contrast and gamma, for models that read"
        " pixels; 1: up to 1/10 of the window, 25 % and 3/2; 0: none",
    )
    projection_share: float = Field(
        0,
        ge=0,
        lt=1,
        description="share of the training in which f_vt is trained first, through the LLM's last"
        " layer; then the LLM writes the texts with it. 0: f_vt keeps its initial weights in text"
        " mode",
    )
    exclude: str = Field(
        "", description="comma-separated ids of studies that this training does not use"
    )
    start: Literal["scratch", "served"] = Field(
        "scratch",
        description="initial weights: scratch (the pretrained parts) or served (the served"
        " checkpoint)",
    )
    resume: bool = Field(
        True, description="continue an interrupted training of the same settings and studies"
    )
    seed: int = Field(0, description="seed of the split by patient and of the order of slices")

    @property
    def excluded(self) -> tuple[str, ...]:
        """Ids of the studies that the training does not use."""
        return tuple(name.strip() for name in self.exclude.split(",") if name.strip())

    @property
    def identity(self) -> dict[str, Any]:
        """The values that decide what a training does, for the hash that lets it resume.

        The recipe's name decides nothing beside its values. A field of `_NEW_FIELDS` counts when it
        differs from its default, so that trainings of older versions resume.
        """
        values = self.model_dump(mode="json", exclude={"recipe"})
        neutral = {name: type(self).model_fields[name].default for name in _NEW_FIELDS}
        return {
            name: value
            for name, value in values.items()
            if name not in neutral or value != neutral[name]
        }


def default_state_folder(studies: Path) -> Path:
    """The default state folder. It is outside the studies folder, which may be read-only.

    Raises:
        InputError: the path of the studies folder is no UTF-8.
    """
    check_utf8(studies.resolve())
    home = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    path = str(studies.resolve())
    name = path.strip("/").replace("/", "-") or "root"
    path_hash = hashlib.sha256(path.encode()).hexdigest()[:8]  # /data/a-b and /data/a/b differ
    return home / "zeus" / f"{name}-{path_hash}"
