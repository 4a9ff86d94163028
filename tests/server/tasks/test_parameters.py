"""Only known, typed and bounded parameters reach a task; what stock clients add is dropped."""

from collections.abc import Mapping
from typing import Any

import pytest

from zeus_app.errors import InputError
from zeus_app.server.tasks.parameters import (
    BATCH,
    INFERENCE,
    MAX_POINTS,
    SCORING,
    STRATEGY,
    TRAINING,
    Parameter,
    click_parameters,
    read_parameters,
)
from zeus_app.targets import load_target

CLICKS = click_parameters(load_target("phantom"))  # lesion and cyst
ALL = {"training": TRAINING, "batch": {**INFERENCE, **BATCH}, "scoring": SCORING,
       "strategy": STRATEGY, "inference": INFERENCE, "clicks": CLICKS}  # fmt: skip
Declared = Mapping[str, Parameter]


@pytest.mark.parametrize("declared", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "name",
    ["bundle_path", "PYTHONPATH", "zeus_resolved_image", "_image_id", "__class__", "x" * 100_000],
    ids=lambda name: str(name)[:20],
)
def test_an_unknown_parameter_is_refused_by_every_task(declared: Declared, name: str) -> None:
    for value in ("/tmp/x", None):
        with pytest.raises(InputError, match="unknown task parameter") as caught:
            read_parameters({name: value}, declared, task="task")
        assert caught.value.status == 400


@pytest.mark.parametrize("declared", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "name", ["gpus", "local_rank", "tracking_uri", "name", "run_id", "multi_gpu", "device"]
)
def test_what_stock_forms_say_about_processes_is_dropped_by_every_task(
    declared: Declared, name: str
) -> None:
    for value in ("all", 5, float("nan"), "x" * 200_000):
        assert read_parameters({name: value}, declared, task="task") == {}


def test_the_closest_name_is_told() -> None:
    with pytest.raises(InputError, match="did you mean 'max_workers'"):
        read_parameters({"max_worker": 1}, BATCH, task="batch inference")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lesoin", "lesion"),
        ("Lesion", "lesion"),
        ("lesions", "lesion"),
        ("cysts", "cyst"),
        ("tumor", "cyst"),  # the least unlike of the labels
        ("forground", "foreground"),
        ("backround", "background"),
    ],
)
def test_points_of_an_unknown_label_are_refused_with_the_nearest_name(
    name: str, meant: str
) -> None:
    sent = {"foreground": [], name: [[1, 2, 3]]}
    with pytest.raises(InputError, match=rf"unknown label '{name}'.*did you mean '{meant}'") as no:
        read_parameters(sent, CLICKS, task="inference")
    assert no.value.status == 400


def test_other_unknown_names_and_other_tasks_are_refused_as_parameters() -> None:
    for value in ([], "x", [1, 2, 3], {"a": 1}, None):
        with pytest.raises(InputError, match="unknown inference parameter 'tumor'"):
            read_parameters({"tumor": value}, CLICKS, task="inference")
    with pytest.raises(InputError, match="unknown training parameter 'tumor'"):
        read_parameters({"tumor": [[1, 2, 3]]}, TRAINING, task="training")


SLICER_DEEPGROW = {
    "label": "lesion", "foreground": [[1, 2, 3]], "background": [], "slice": 3,
    "roi": [1, 2, 3, 4, 5, 6], "reset_state": True, "sequences": "", "most_slices": 64,
    "result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False,
}  # fmt: skip
OHIF_PROMPT = {"restore_label_idx": False, "label_prompt": [1, 2]}


def test_slicer_s_deepgrow_arrives_whole_and_ohif_s_other_prompts_are_dropped() -> None:
    sent = {**SLICER_DEEPGROW, **OHIF_PROMPT, "client_id": None}
    assert read_parameters(sent, CLICKS, task="inference") == SLICER_DEEPGROW


def test_deepedit_s_points_under_the_names_of_labels_arrive() -> None:
    sent = {"lesion": [[1, 2, 3]], "cyst": [], "background": [], "label": ["lesion", "cyst"]}
    assert read_parameters(sent, CLICKS, task="inference") == sent


def test_the_form_of_monai_label_s_trainers_gives_the_settings_that_zeus_has() -> None:
    form = {"model": "zeus", "name": "train_01", "pretrained": True, "device": "cuda",
            "max_epochs": "50", "early_stop_patience": -1, "val_split": 0.2, "gpus": "all",
            "train_batch_size": 1, "val_batch_size": 1, "multi_gpu": True, "dataset": "Cache",
            "dataloader": "ThreadDataLoader", "tracking": "mlflow", "tracking_uri": "http://x",
            "tracking_experiment_name": "", "client_id": "slicer"}  # fmt: skip
    assert read_parameters(form, TRAINING, task="training") == {
        "max_epochs": "50", "early_stop_patience": -1, "val_split": 0.2, "train_batch_size": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "name", "value"),
    [
        (BATCH, "max_workers", "many"),
        (BATCH, "max_workers", 65),
        (BATCH, "max_workers", -1),
        (BATCH, "max_workers", [1]),
        (BATCH, "max_batch_size", "1e3"),
        (BATCH, "max_batch_size", 10**400),
        (STRATEGY, "label_tag", 5),
        (STRATEGY, "label_tag", []),
        (STRATEGY, "label_tag", "../x"),
        (STRATEGY, "client_id", {"a": 1}),
        (STRATEGY, "client_id", "x" * 257),
        (INFERENCE, "instructions", "x"),
        (INFERENCE, "scope", ["key"]),
        (INFERENCE, "save_label", "perhaps"),
        (CLICKS, "foreground", {"a": 1}),
        (CLICKS, "foreground", [[1, 2, 3]] * (MAX_POINTS + 1)),
        (CLICKS, "lesion", 3),
        (CLICKS, "user", ["anna"]),
        (CLICKS, "slice", 10**18),
        (CLICKS, "slice", True),
        (CLICKS, "most_slices", False),
        (CLICKS, "slice", float("inf")),
        (TRAINING, "exclude", "x" * 20_000),
        (TRAINING, "epochs", [3]),
        (TRAINING, "epochs", 10**18),
    ],
)
def test_a_value_of_another_type_or_size_is_refused_with_an_example(
    declared: Declared, name: str, value: object
) -> None:
    with pytest.raises(InputError, match=rf'send for example {{"{name}": ') as caught:
        read_parameters({name: value}, declared, task="task")
    assert len(str(caught.value)) < 400


def test_a_number_sent_as_text_is_a_number() -> None:
    sent = {"max_workers": "2", "max_batch_size": 3}
    assert read_parameters(sent, BATCH, task="batch inference") == {
        "max_workers": 2, "max_batch_size": 3,
    }  # fmt: skip


def test_null_is_as_if_nothing_was_sent() -> None:
    sent: dict[str, Any] = {"label_tag": None}
    assert read_parameters(sent, STRATEGY, task="strategy") == {}
