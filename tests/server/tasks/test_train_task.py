"""What the training task refuses before it begins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainers.zeus import ZeusTrain
from zeus_app.errors import InputError
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import load_target


class Labelled:
    """A datastore of one labelled study."""

    def list_images(self) -> list[str]:
        return ["alpha"]

    get_labeled_images = list_images


def task(**settings: str) -> ZeusTrain:
    ctx: Any = SimpleNamespace(
        config=ZeusConfig.from_conf(settings),
        target=load_target("phantom").only(("T2",)),
        datastore=Labelled(),
    )
    return ZeusTrain(ctx)


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
