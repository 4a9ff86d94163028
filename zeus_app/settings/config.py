"""Every setting of Zeus in two frozen values: what is assembled, and how it is trained."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zeus_app.errors import InputError
from zeus_app.settings.registry import lookup

Fusion = Literal["early", "hybrid", "late"]
Union = Literal["max", "mean", "vote"]
EncoderRuntime = Literal[
    "auto", "torch", "torch-compiled", "torch-bf16", "onnx", "openvino", "openvino-bf16"
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_conf(cls, conf: Mapping[str, object]) -> Self:
        """Read settings from strings, as `--conf KEY VALUE` and request parameters carry them.

        Raises:
            UnknownNameError: a key is no setting; the message names the closest.
            InputError: a value does not fit its field.
        """
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
                remedy=f"correct {name}",
            ) from error


class ZeusConfig(_Settings):
    """What is assembled: target, towers, model, fusion, and where its state lies."""

    target: str = Field("phantom", description="name of a shipped target, or path of a YAML")
    sequences: str = Field("", description="comma-separated subset of the target's; empty: all")
    profile: str = Field("reference-small", description="name of a set of frozen towers")
    model: str = Field("zeus", description="zeus, or a baseline: unet")
    fusion: Fusion = Field("hybrid", description="hybrid: one decoder; late: one a sequence")
    union: Union = Field("max", description="how sequences unite: max, mean or vote")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability above which a voxel counts")
    instruction: Literal["text", "embedding", "both"] = Field(
        "text",
        description="text: discrete words; embedding: the LLM's last layer, differentiable; both",
    )
    scope: Literal["auto", "none", "series", "key", "all"] = Field(
        "auto",
        description="which slices get an instruction of their own: none (no LLM, the label's name"
        " alone), one a series, three key slices, or all; auto: as the profile says, else series on"
        " a CPU, all on a GPU",
    )
    instruction_tokens: int = Field(64, ge=1, le=512, description="longest instruction, in tokens")
    device: str = Field("auto", description="cpu, cuda, cuda:N, or auto")
    llm_device: str = Field("", description="device of the LLM; empty: that of everything else")
    encoder_runtime: EncoderRuntime = Field(
        "auto",
        description="what runs the image encoder; auto: on a CPU the fastest, as measured at the"
        " first start, on a GPU torch-bf16. Another runtime is another tower: its embeddings are"
        " kept apart, and checkpoints do not pass from one to the other",
    )
    compile: bool = Field(False, description="torch.compile the mask decoder; minutes at first")
    batch_slices: int = Field(
        0,
        ge=0,
        description="slices in flight at once while inferring; 0: 8 on a GPU, on a CPU 2 while"
        " decoding and one picture while encoding, because a click waits for a batch",
    )
    state: Path | None = Field(None, description="folder for labels, checkpoints, splits, caches")
    cache_gib: float = Field(20.0, gt=0, description="size limit of the embedding cache, GiB")
    open_mib: int = Field(
        1024, ge=0, description="pictures of the studies in work kept in memory, MiB"
    )
    waiting: int = Field(
        8, ge=1, description="inferences that may wait for their turn; so many clicks besides"
    )
    prepare: bool = Field(
        True, description="encode a study in the background when a client opens it"
    )
    seed: int = Field(0, description="seed of every random draw")

    @property
    def chosen_sequences(self) -> tuple[str, ...]:
        """The sequences to look at; empty for all of the target's."""
        return tuple(name.strip() for name in self.sequences.split(",") if name.strip())


class TrainConfig(_Settings):
    """How the trainable parts learn. Defaults are the paper's, section 4.1."""

    epochs: int = Field(300, ge=1, description="passes over the training slices")
    learning_rate: float = Field(
        1e-3, gt=0, description="Adam's step size at the beginning, without unit"
    )
    poly_power: float = Field(
        0.9, ge=0, description="the step size decays as (1 - progress)^poly_power"
    )
    warm_up: float = Field(
        0, ge=0, lt=1, description="share of the training over which the step size rises from 0"
    )
    weight_decay: float = Field(
        5e-4, ge=0, description="Adam's l2 penalty on the weights, without unit"
    )
    batch_slices: int = Field(10, ge=1, description="slices a step, each with all its sequences")
    early_stop: int = Field(
        75, ge=1, description="epochs without a lower training loss that end the training"
    )
    sequence_loss_first: float = Field(
        1.0, ge=0, description="weight of each sequence's own loss when training begins"
    )
    sequence_loss: float = Field(
        0.1, ge=0, description="the same weight when training ends; it falls linearly"
    )
    balance: float = Field(
        0,
        ge=0,
        lt=1,
        description="least share of the BCE's weight that the voxels of a label have; for lesions"
        " of a few voxels 0.05, with which they are drawn rather too large",
    )
    time_budget_s: float | None = Field(
        None,
        gt=0,
        description="wall-clock seconds of the training itself, the last validation counted, what"
        " comes before not; the learning rate decays fully within them",
    )
    validation_fraction: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share of patients held back to validate on; 0: nobody, all are learnt from",
    )
    validate_every: int = Field(
        1,
        ge=1,
        description="epochs from one validation to the next; the last one is validated, too",
    )
    foreground: float = Field(
        0.7, ge=0, le=1, description="share of drawn slices that show a label; 0: as they come"
    )
    augment: float = Field(
        0,
        ge=0,
        description="how far slices are turned, scaled and shifted while they are learnt from; 1:"
        " up to 9 degrees, 15 % and a twentieth of the picture; 0: not at all",
    )
    projection_share: float = Field(
        0,
        ge=0,
        lt=1,
        description="share of the training in which f_vt learns first, through the LLM's last"
        " layer; the texts are then written with it. 0: f_vt stays as it began (text mode)",
    )
    exclude: str = Field("", description="comma-separated study ids to leave out of this training")
    start: Literal["scratch", "served"] = Field(
        "scratch", description="scratch: from the pretrained parts; served: from the served weights"
    )
    resume: bool = Field(True, description="go on from the last epoch of an interrupted training")
    seed: int = Field(0, description="seed of the split and of the order of slices")

    @property
    def excluded(self) -> tuple[str, ...]:
        """The studies to leave out."""
        return tuple(name.strip() for name in self.exclude.split(",") if name.strip())


def default_state_folder(studies: Path) -> Path:
    """Where state goes unless told: never inside the studies, which may be read-only."""
    home = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    path = str(studies.resolve())
    place = path.strip("/").replace("/", "-") or "root"
    mark = hashlib.sha256(path.encode()).hexdigest()[:8]  # /data/a-b is not /data/a/b
    return home / "zeus" / f"{place}-{mark}"
