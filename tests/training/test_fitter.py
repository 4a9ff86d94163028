"""What Segmenter.fit takes, refuses and leaves behind; the network is a U-Net, for it is quick."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.training.conftest import labelled_study
from zeus_app.build import build_segmenter
from zeus_app.errors import InputError
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.studies.opened import OpenedStudy, open_study
from zeus_app.targets import Target, load_target
from zeus_app.training.fitter import part_of
from zeus_app.types import Grid, Guidance, LabelledStudy, Study, Volume

SHAPE = (32, 32, 2)
AFFINE = np.diag([4.0, 4.0, 6.0, 1.0])
QUICK = TrainConfig(epochs=1, batch_slices=2, validation_fraction=0)


def read_study(seed: int) -> Study:
    noise = np.random.default_rng(seed).uniform(100, 200, SHAPE).astype(np.float32)
    noise[:8] = 0
    noise[12:20, 12:20] = 900
    return Study(f"s{seed}", {"T2": Volume(noise, AFFINE)})


def opened(seed: int) -> OpenedStudy:
    return open_study(read_study(seed), load_target("phantom"))


def read_label() -> Volume:
    label = np.zeros(SHAPE, np.uint8)
    label[12:20, 12:20] = 1
    return Volume(label, AFFINE)


def labelled(seed: int, patient: str = "") -> LabelledStudy:
    return labelled_study(
        f"s{seed}",
        patient or f"s{seed}",
        read_study=lambda: read_study(seed),
        read_label=read_label,
        grid=Grid(SHAPE, AFFINE),
    )


def unusable(name: str) -> LabelledStudy:
    def fail() -> Study:
        raise InputError("a volume of NaN", expected="numbers", remedy="export it again")

    return LabelledStudy(name, fail, read_label, lambda: Grid(SHAPE, AFFINE), name, ("T2",))


def hold_back(segmenter: Segmenter, patient: str, *others: str) -> None:
    sides = {patient: "validation", **dict.fromkeys(others, "train")}
    path = segmenter.training.split_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sides))


def a_segmenter(state: Path, target: str = "phantom") -> Segmenter:
    config = ZeusConfig.from_conf(
        {"target": target, "model": "unet", "fusion": "early", "device": "cpu", "state": str(state)}
    )
    return build_segmenter(config, state_folder(config, target="phantom", studies=state))


def test_an_unusable_study_is_skipped_and_the_checkpoint_says_why(tmp_path: Path) -> None:
    result = a_segmenter(tmp_path).fit([labelled(1), unusable("bad")], QUICK)
    assert result.checkpoint.studies == ("s1",)
    assert "a volume of NaN" in result.checkpoint.left_out["bad"]


def test_a_version_tells_the_time_of_preparation_apart_from_that_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0

    def slow() -> Study:
        nonlocal now_s
        now_s += 40
        return read_study(1)

    monkeypatch.setattr("time.monotonic", lambda: now_s)
    study = replace(labelled(1), read_study=slow)
    checkpoint = a_segmenter(tmp_path).fit([study], QUICK).checkpoint
    assert (checkpoint.prepare_seconds, checkpoint.seconds) == (40, 0)


def test_an_error_gives_the_reasons_when_no_study_is_usable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a volume of NaN"):
        a_segmenter(tmp_path).fit([unusable("bad")], QUICK)


def test_excluded_studies_are_not_trained_on(tmp_path: Path) -> None:
    recipe = QUICK.model_copy(update={"exclude": "s2, s3"})
    result = a_segmenter(tmp_path).fit([labelled(1), labelled(2), labelled(3)], recipe)
    assert result.checkpoint.studies == ("s1",)


def test_a_version_counts_the_studies_of_its_parent_as_trained_on(tmp_path: Path) -> None:
    segmenter = a_segmenter(tmp_path)
    segmenter.fit([labelled(1), labelled(2)], QUICK)
    on = QUICK.model_copy(update={"start": "served", "exclude": "s1"})
    second = segmenter.fit([labelled(1), labelled(2)], on).checkpoint
    assert second.parent == "v0001"
    assert second.studies == ("s1", "s2")


def test_patients_that_the_served_version_was_trained_on_cannot_validate_its_successor(
    tmp_path: Path,
) -> None:
    segmenter = a_segmenter(tmp_path)
    three = [labelled(1), labelled(2), labelled(3)]
    segmenter.fit(three, QUICK)
    on = QUICK.model_copy(update={"start": "served", "validation_fraction": 0.3})
    with pytest.raises(InputError, match="start=served, but v0001 was trained on"):
        segmenter.fit(three, on)


def test_a_patient_with_another_study_in_the_parent_cannot_validate_either(
    tmp_path: Path,
) -> None:
    segmenter = a_segmenter(tmp_path)
    segmenter.fit([labelled(1, "anna")], QUICK)
    hold_back(segmenter, "anna", "s3", "s4")
    on = QUICK.model_copy(update={"start": "served", "validation_fraction": 0.2})
    others = [labelled(3), labelled(4)]
    with pytest.raises(InputError, match="v0001 was trained on anna"):
        segmenter.fit([labelled(2, "anna"), *others], on)  # the label of s1 is gone


def test_without_validation_held_back_patients_are_trained_on(
    tmp_path: Path,
) -> None:
    segmenter = a_segmenter(tmp_path)
    hold_back(segmenter, "s1", "s2", "s3")
    first = segmenter.fit([labelled(1), labelled(2), labelled(3)], QUICK).checkpoint
    assert first.studies == ("s1", "s2", "s3")
    assert first.note == "last epoch; nothing was validated: validation_fraction is 0"


def test_a_version_says_that_too_few_patients_were_left_to_validate_on(tmp_path: Path) -> None:
    segmenter = a_segmenter(tmp_path)
    hold_back(segmenter, "s1", "s2", "s3")
    recipe = QUICK.model_copy(update={"validation_fraction": 0.2, "exclude": "s3"})
    checkpoint = segmenter.fit([labelled(1), labelled(2), labelled(3)], recipe).checkpoint
    assert (checkpoint.studies, checkpoint.validation) == (("s2",), ())
    assert checkpoint.note == "last epoch; nothing was validated: fewer than 3 patients"


def test_a_version_says_that_the_held_back_study_could_not_be_used(tmp_path: Path) -> None:
    segmenter = a_segmenter(tmp_path)
    hold_back(segmenter, "bad", "s2", "s3")
    recipe = QUICK.model_copy(update={"validation_fraction": 0.2})
    checkpoint = segmenter.fit([unusable("bad"), labelled(2), labelled(3)], recipe).checkpoint
    assert "no held-back study can be used (bad: a volume of NaN" in checkpoint.note


def test_a_training_that_fails_midway_leaves_the_served_weights_answering(tmp_path: Path) -> None:
    segmenter = a_segmenter(tmp_path)

    def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    before = segmenter.segment(opened(1)).label_map.array
    weights = {k: v.clone() for k, v in segmenter.model.trainable.state_dict().items()}
    with pytest.raises(RuntimeError):
        segmenter.fit([labelled(1), labelled(2)], QUICK, progress=fail)
    np.testing.assert_array_equal(segmenter.segment(opened(1)).label_map.array, before)
    for name, value in segmenter.model.trainable.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_embeddings_are_held_in_the_cache_from_the_first_to_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, events = a_segmenter(tmp_path), []

    @contextmanager
    def pin_embeddings() -> Iterator[None]:
        events.append("held")
        yield
        events.append("released")

    monkeypatch.setattr(segmenter.model, "pin_embeddings", pin_embeddings)
    segmenter.fit(
        [labelled(1)],
        QUICK,
        report=lambda *_: events.append("prepared"),
        progress=lambda *_: events.append("learned"),
    )
    assert list(dict.fromkeys(events)) == ["held", "prepared", "learned", "released"]
    assert events.count("held") == events.count("released") == 1


def test_a_checkpoint_of_other_labels_is_refused_and_says_which(tmp_path: Path) -> None:
    a_segmenter(tmp_path).fit([labelled(1)], QUICK)
    swapped = tmp_path / "swapped.yaml"
    swapped.write_text(yaml_with_labels_turned(load_target("phantom")), encoding="utf-8")
    with pytest.raises(InputError, match="labels: lesion 1, cyst 2 then, cyst 2, lesion 1 now"):
        a_segmenter(tmp_path, str(swapped)).segment(opened(1))


def yaml_with_labels_turned(target: Target) -> str:
    turned = target.model_copy(update={"labels": target.labels[::-1]})
    return yaml.safe_dump(turned.model_dump(mode="json"))


def test_a_u_net_refuses_instructions_it_could_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads no text"):
        a_segmenter(tmp_path).segment(opened(1), guidance=Guidance({("T2", "lesion"): "bright"}))


def test_a_model_without_a_projection_cannot_learn_one_first(tmp_path: Path) -> None:
    recipe = QUICK.model_copy(update={"projection_share": 0.5})
    with pytest.raises(InputError, match="projection_share for a NetworkModel"):
        a_segmenter(tmp_path).fit([labelled(1)], recipe)


def test_a_part_of_a_recipe_has_its_share_of_epochs_and_time() -> None:
    config = TrainConfig(epochs=10, time_budget_s=60, learning_rate=0.25)
    part = part_of(config, 0.3)
    assert (part.epochs, part.time_budget_s, part.learning_rate) == (3, 18, 0.25)
    assert part_of(TrainConfig(epochs=1), 0.1).epochs == 1
