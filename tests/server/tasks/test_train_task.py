"""What the training task refuses before it begins, and what it skips."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trainers.zeus import ZeusTrain
from zeus_app.errors import InputError
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.tasks.guidance import INSTRUCTIONS
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target
from zeus_app.types import StudyFiles


class Labelled:
    """A datastore of one labelled study. Its label was drawn when the target had FLAIR too."""

    catalogue = SimpleNamespace(
        resolve=lambda study: SimpleNamespace(files=StudyFiles(study, {}, patient=study)),
        grid=lambda resolved: None,
    )

    def final_label(self, study: str) -> None: ...

    def list_images(self) -> list[str]:
        return ["alpha"]

    get_labeled_images = list_images

    def get_label_info(self, study: str, tag: str) -> dict[str, Any]:
        return {INSTRUCTIONS: {"FLAIR/lesion": "bright", "T2/lesion": "dark"}}


def task(**settings: str) -> ZeusTrain:
    ctx: Any = SimpleNamespace(
        config=ZeusConfig.from_conf(settings),
        target=load_target("phantom").only(("T2",)),
        datastore=Labelled(),
    )
    return ZeusTrain(ctx)


def test_a_stored_text_for_a_sequence_that_the_target_lacks_is_skipped() -> None:
    labelled = task().labelled_study("alpha", cast(StudyDatastore, Labelled()))
    assert labelled.guidance.texts == {("T2", "lesion"): "dark"}


def test_a_training_in_which_lora_would_learn_nothing_is_refused_before_it_begins(
    tmp_path: Path,
) -> None:
    profile = tmp_path / "lora.yaml"
    profile.write_text("{extends: reference-small, name: lora, llm: {lora_rank: 2}}")
    with pytest.raises(InputError, match="no gradient reaches it"):
        task(profile=str(profile)).check({})
    task(profile=str(profile)).check({"projection_share": 0.5})
    task(profile=str(profile), instruction="embedding").check({})
    task(profile=str(profile), model="unet").check({})
