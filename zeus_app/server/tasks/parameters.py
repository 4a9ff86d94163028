"""The parameters of each task: all that a client may send, with types and bounds.

A request reaches a task, and MONAI Label's code, with these parameters alone. MONAI Label acts on
more than it documents: it puts `bundle_path` on the PYTHONPATH of a task's process, and `gpus` into
its environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.instructions.typed_text import TEXT
from zeus_app.labels.segments import LABEL_INFO
from zeus_app.labels.versions import TAG_PATTERN
from zeus_app.server.tasks.chosen_sequences import SEQUENCES
from zeus_app.server.tasks.options import MOST_SLICES, OVERWRITE
from zeus_app.settings.config import TrainConfig
from zeus_app.settings.registry import LEAST_LIKENESS, closest, lookup
from zeus_app.targets import Target

T = TypeVar("T")

MAX_POINTS = 10_000
"""Most points in one list of a request."""
_MAX_WORD, _MAX_WORDS, _MAX_SETTING = 256, 100, 16_384
_MAX_PATH = 4096
_MAX_NUMBER = 2**32 - 1


@dataclass(frozen=True)
class Parameter:
    """What a parameter may be.

    Attributes:
        adapter: checks a value.
        expected: what is valid, in words.
        example: a valid value, as JSON.
    """

    adapter: TypeAdapter[Any]
    expected: str
    example: str

    def read(self, name: str, value: object) -> Any:
        """The value in the parameter's type. Raises InputError."""
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            raise InputError(
                f"{name} {str(value)[:80]!r}",
                expected=self.expected,
                remedy=f'send for example {{"{name}": {self.example}}}',
            ) from error


def _refuse_bool(value: object) -> object:
    """Refuse true and false, which pydantic would turn into 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    return value


_Word = Annotated[str, StringConstraints(max_length=_MAX_WORD)]
_Number = Annotated[
    int | float, Field(ge=-_MAX_NUMBER, le=_MAX_NUMBER), BeforeValidator(_refuse_bool)
]
_Words = Annotated[list[_Word], Field(max_length=_MAX_WORDS)]
WORD = Parameter(TypeAdapter(_Word), f"a text of at most {_MAX_WORD} characters", '"T2"')
WORDS = Parameter(
    TypeAdapter(_Word | _Words), f"a text, or a list of at most {_MAX_WORDS} texts", '["T2"]'
)
FLAG = Parameter(TypeAdapter(bool | Literal[""]), "true or false", "true")
NUMBER = Parameter(TypeAdapter(_Number | Literal[""]), "a number", "12")
POINTS = Parameter(
    TypeAdapter(_Word | Annotated[list[Any], Field(max_length=MAX_POINTS)]),
    f"a list of at most {MAX_POINTS} points [i, j, k]",
    "[[12, 40, 7]]",
)
TEXTS = Parameter(
    TypeAdapter(dict[_Word, Any]), "a mapping of sequence/label to text", '{"lesion": "bright"}'
)
IMAGES = Parameter(
    TypeAdapter(dict[_Word, Annotated[str, StringConstraints(max_length=_MAX_PATH)]]),
    "a mapping of sequence to the name of a listed image",
    '{"FLAIR": "FLAIR_2.nii.gz"}',
)
TYPED = Parameter(
    TypeAdapter(Annotated[str, StringConstraints(max_length=_MAX_SETTING)]),
    f"label: words; label: words, of at most {_MAX_SETTING} characters",
    '"lesion: bright"',
)
CHOICE = Parameter(
    TypeAdapter(_Number | _Word | Annotated[list[_Number | _Word], Field(max_length=_MAX_WORDS)]),
    "a number, or a list of choices, the chosen one first",
    "12",
)
TAG = Parameter(
    TypeAdapter(Annotated[str, StringConstraints(pattern=f"^({TAG_PATTERN})?$")]),
    "letters, digits, '-', '_' and '.', beginning with a letter or digit",
    '"final"',
)
SETTING = Parameter(
    TypeAdapter(
        bool | _Number | Annotated[str, StringConstraints(max_length=_MAX_SETTING)]
    ),
    f"a number up to {_MAX_NUMBER}, true, false, or a text of at most {_MAX_SETTING} characters",
    "12",
)  # fmt: skip

STOCK_TRAINING_NAMES = {
    "max_epochs": "epochs",
    "early_stop_patience": "early_stop",
    "val_split": "validation_fraction",
    "train_batch_size": "batch_slices",
}
"""Parameter of MONAI Label's own trainers -> the setting of Zeus with the same meaning."""

DROPPED = frozenset({
    # Sent with every request: client.py names itself; the address names the rest.
    "client_id", "image", "images", "method", "model", "strategy",
    # 3D Slicer and OHIF, about the file of an answer. Zeus decides these itself. Clicks read
    # label_info where a label file comes with them.
    "restore_label_idx", "label_info",
    # OHIF's prompts for models that Zeus does not have (VISTA-3D).
    "label_prompt", "point_labels", "points",
    # The forms of MONAI Label's own models and trainers, about devices and processes.
    "amp", "device", "gpus", "local_rank", "logging", "multi_gpu", "dataloader", "dataset",
    "enqueue", "name", "pretrained", "run_id", "tracking", "tracking_experiment_name",
    "tracking_uri", "val_batch_size",
})  # fmt: skip
"""Parameters that stock clients send and Zeus does not use. They are dropped without a word."""

INFERENCE: Mapping[str, Parameter] = {
    "result_extension": WORD,
    "result_dtype": WORD,
    "result_compress": FLAG,
    "scope": WORD,
    "instructions": TEXTS,
    "label_tag": TAG,
    "save_label": FLAG,
    "user": WORD,
    "use_images": IMAGES,
}
"""Parameters of every inference."""

SEGMENTATION: Mapping[str, Parameter] = {**INFERENCE, TEXT: TYPED, SEQUENCES: WORDS}
"""Parameters of the inferences that run a network. A typed text and a choice are options."""

_CLICKS: Mapping[str, Parameter] = {
    "foreground": POINTS,
    "background": POINTS,
    "roi": POINTS,
    "label": WORDS,
    "slice": NUMBER,
    MOST_SLICES: CHOICE,
    OVERWRITE: FLAG,
    "mode": WORD,
    **dict.fromkeys(("refine", "undo", "reset", "reset_state", "scribbles"), FLAG),
    "initial_mask": WORD,
    "prior": WORD,
    "selected_label_name": WORD,
    LABEL_INFO: Parameter(TypeAdapter(Any), "a list of segments", "[]"),
    "client_id": WORD,
}

BATCH: Mapping[str, Parameter] = {
    "max_workers": Parameter(
        TypeAdapter(Annotated[int, Field(ge=0, le=64)]), "a whole number from 0 to 64", "1"
    ),
    "max_batch_size": Parameter(
        TypeAdapter(Annotated[int, Field(ge=0, le=1_000_000)]),
        "a whole number from 0 (all studies) to 1000000",
        "10",
    ),
}
"""Parameters of a batch inference, besides those of its model."""

TRAINING: Mapping[str, Parameter] = dict.fromkeys(
    (*TrainConfig.model_fields, *STOCK_TRAINING_NAMES), SETTING
)
"""Parameters of a training. `TrainConfig` checks the type and bounds of each."""

SCORING: Mapping[str, Parameter] = {}
STRATEGY: Mapping[str, Parameter] = {"label_tag": TAG, "client_id": WORD, "sequence": WORD}


def click_parameters(target: Target) -> dict[str, Parameter]:
    """The parameters of clicks: deepedit clients send points under the name of each label."""
    return {**dict.fromkeys(target.label_names, POINTS), **SEGMENTATION, **_CLICKS}


def read_parameters(
    sent: Mapping[str, Any], declared: Mapping[str, Parameter], *, task: str
) -> dict[str, Any]:
    """The declared parameters of a request. `null` counts as not sent.

    Args:
        sent: the client's parameters, strict JSON.
        declared: the task's parameters.
        task: noun for the message: "training", "inference".

    Raises:
        InputError: a parameter is unknown, or a value has another type or is too large. The
            message names the closest parameter; for a list of points, the closest label.
    """
    known: dict[str, Any] = {}
    for name, value in sent.items():
        if name in DROPPED and name not in declared:
            continue
        if name not in declared and _is_list_of_points(value):
            _refuse_points(name, declared)
        parameter = lookup_parameter(f"{task} parameter", name, declared)
        if value is not None:
            known[name] = parameter.read(name, value)
    return known


def _is_list_of_points(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(point, list) for point in value)


def _refuse_points(name: str, declared: Mapping[str, Parameter]) -> None:
    """Refuse points under a name that is no label, if the task takes points. Raises InputError.

    Deepedit clients send points under the name of each label, so the name is a label misspelt.
    """
    names = [known for known, parameter in declared.items() if parameter is POINTS]
    labels = [known for known in names if known not in _CLICKS]
    if labels:
        name = name[:_MAX_WORD]
        meant = closest(name, names, least=LEAST_LIKENESS) or closest(name, labels)
        raise InputError(
            f"points of an unknown label {name!r}",
            expected=f"points under {', '.join((*labels, 'foreground', 'background'))}",
            remedy=f"did you mean {meant!r}",
        )


def lookup_parameter(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Look a parameter up. An unknown one is bad input (400); a 404 looks like a missing page."""
    try:
        return lookup(kind, name[:_MAX_WORD], table)
    except UnknownNameError as error:
        raise InputError(error.came, expected=error.expected, remedy=error.remedy) from error
