"""The state that commit 2ea7737 wrote still opens. `old_state/make_state.py` made it.

It holds three studies, alpha, bravo and charlie, and everything that a server writes about them.
"""

import json
import shutil
import zipfile
from pathlib import Path
from typing import NoReturn

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.server.conftest import BRIGHT, LESION, SHAPE
from tests.training.conftest import TinyModel, tiny_case, tiny_setup
from zeus_app.build import trainable_net
from zeus_app.encoders.sam_parts import decoder_skeleton
from zeus_app.labels.files import read_label
from zeus_app.profiles import load_profile
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.interactive.initial_masks import scribbles_on
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.storage.cache import Cache
from zeus_app.targets import load_target
from zeus_app.training.cases import TrainingCases
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.loop import Trainer
from zeus_app.training.splits import split_studies
from zeus_app.types import LabelArray, LabelledStudy
from zeus_app.volumes.sources import read_voxels

OLD_STATE = Path(__file__).parent / "old_state"
ARCHIVE = OLD_STATE / "state_of_2ea7737.zip"
LARGEST_BYTES = 200 * 1024
LESION_MASK = np.zeros(SHAPE, np.uint8)
LESION_MASK[LESION] = 1


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders `studies` and `state`."""
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def context(unpacked: Path) -> ServerContext:
    conf = {"target": "phantom", "state": str(unpacked / "state")}
    return open_context(str(unpacked / "studies"), conf)


@pytest.fixture
def tiny_folder(unpacked: Path, tmp_path: Path) -> Path:
    """Checkpoints of the tiny model: one version, and one training killed in its third epoch."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(unpacked / "state" / "phantom" / "tiny-zeus-hybrid" / "checkpoints", folder)
    return folder


def voxels(path: Path | str) -> LabelArray:
    return np.asarray(nib.load(path).dataobj, np.uint8)


def test_the_old_state_stays_small() -> None:
    assert sum(path.stat().st_size for path in OLD_STATE.iterdir()) <= LARGEST_BYTES


def test_both_versions_of_a_label_are_there(context: ServerContext) -> None:
    first, second = context.datastore.history.versions("alpha", "final")
    assert (first.number, second.number) == (1, 2)
    assert np.argwhere(voxels(first.path)).tolist() == [[5, 5, 2]]
    assert (voxels(second.path) == LESION_MASK).all()


def test_the_newest_version_is_served_with_its_note(context: ServerContext) -> None:
    store = context.datastore
    assert (voxels(store.get_label_uri("alpha", "final")) == LESION_MASK).all()
    assert store.get_label_info("alpha", "final")["reader"] == "ann"


def test_a_removed_label_stays_removed_and_can_be_restored(context: ServerContext) -> None:
    history = context.datastore.history
    assert [version.removed for version in history.versions("bravo", "final")] == [False, True]
    assert context.datastore.get_labeled_images() == ["alpha"]
    assert history.newest("bravo", "final") is None
    copy = history.restore("bravo", "final", 1)
    assert copy.number == 3
    assert (voxels(copy.path) == LESION_MASK).all()
    history.remove("bravo", "final")


def test_the_served_checkpoint_holds_its_score_studies_and_weights(context: ServerContext) -> None:
    served = context.checkpoints.served()
    assert served is not None
    assert (served.version, served.score, served.studies) == ("v0001", 0.5, ("alpha", "bravo"))
    weights = context.checkpoints.load("v0001", trained_with={})
    assert float(weights["threshold"]) == BRIGHT


def test_a_prediction_holds_its_mask_and_texts(context: ServerContext) -> None:
    prediction = context.datastore.predictions.newest("charlie")
    assert prediction is not None
    assert prediction.checkpoint == "v0001"
    assert (voxels(prediction.path) == LESION_MASK).all()
    texts = [text["text"] for text in prediction.params["instructions"] if text["model"] == "user"]
    assert texts == ["the bright spot"]
    assert (voxels(context.datastore.predictions.mask("charlie", "FLAIR")) == LESION_MASK).all()


def test_a_prediction_of_the_untrained_model_is_known_as_one(context: ServerContext) -> None:
    prediction = context.datastore.predictions.newest("alpha")
    assert prediction is not None
    assert prediction.checkpoint == "untrained"
    assert not voxels(prediction.path).any()


def test_the_steps_of_two_users_are_there(context: ServerContext) -> None:
    first, second = context.click_history.steps("ann", "alpha")
    assert first.labels["lesion"].foreground == ((5, 6, 2),)
    assert first.labels["lesion"].background == ()
    assert second.labels["lesion"].background == ((7, 6, 2),)
    assert (second.sequence, second.at) == ("T2", (7, 6, 2))
    (step,) = context.click_history.steps("bob", "alpha")
    assert step.labels["cyst"].box == ((5, 3, 2), (6, 4, 2))
    assert (step.sequence, step.at) == ("FLAIR", (5.5, 3.5, 2))


def test_uploaded_masks_and_scribbles_are_there(context: ServerContext) -> None:
    history = context.click_history
    initial = read_label(history.uploads_folder("ann", "alpha") / "prior.nii.gz")
    assert np.argwhere(initial.array).tolist() == [[5, 5, 2]]
    mask = read_voxels(history.uploads_folder("bob", "alpha") / "scribbles.nii.gz")
    assert scribbles_on(mask.grid, mask).foreground.tolist() == [[9, 9, 3]]


def test_notes_and_uploaded_images_are_there(context: ServerContext) -> None:
    store = context.datastore
    assert store.get_image_info("alpha")["info"]["quality"] == "good"
    assert store.list_images() == ["alpha", "bravo", "charlie", "dora"]
    assert store.get_image_info("dora")["sequences"] == ["T2"]
    assert store.problems == ()


def test_every_patient_stays_on_its_side_of_the_split(unpacked: Path, tmp_path: Path) -> None:
    path = shutil.copy(unpacked / "state" / "phantom" / "splits.json", tmp_path)

    def never() -> NoReturn:
        raise AssertionError("a split reads no study")

    studies = {
        name: LabelledStudy(name, never, never, never, patient=name.title(), sequences=())
        for name in ("alpha", "charlie", "dora", "emil")
    }
    split = split_studies(studies, Path(path), fraction=0.25, seed=7)
    assert split.validation == ("charlie",)
    assert json.loads(Path(path).read_text()) == {
        "Alpha": "train", "Bravo": "train", "Charlie": "validation", "Dora": "train",
        "Emil": "train",
    }  # fmt: skip


def test_the_embedding_cache_still_gives_what_it_held(unpacked: Path) -> None:
    cache = Cache(unpacked / "state" / "cache")
    array = cache.get("an array")
    assert array is not None
    assert array.dtype == np.float16
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert cache.get_text("a text") == "the bright spot"
    cache.close()


def test_a_real_checkpoint_s_settings_and_epochs_are_read(tiny_folder: Path) -> None:
    info = Checkpoints(tiny_folder).info("v0001")
    assert TrainConfig(**info.settings) == TrainConfig(epochs=2, seed=1)
    assert [epoch["number"] for epoch in info.epochs] == [1, 2]
    assert info.score == info.epochs[0]["score"]


def test_an_interrupted_training_goes_on_after_its_second_epoch(tiny_folder: Path) -> None:
    model = TinyModel()
    cases = TrainingCases(
        train=[tiny_case("a", seed=1), tiny_case("b", seed=2)], validation=[tiny_case("v0", seed=9)]
    )
    before = Checkpoints(tiny_folder).read(tiny_folder / "running.pt")["epochs"]
    result = Trainer(tiny_setup(tiny_folder, model), cases, TrainConfig(epochs=4, seed=2)).fit()
    assert len(before) == 2
    assert [vars(epoch) for epoch in result.epochs[:2]] == before
    assert len(result.epochs) == 4


def test_what_an_interrupted_training_reached_can_be_served(tiny_folder: Path) -> None:
    checkpoints = Checkpoints(tiny_folder)
    assert checkpoints.serve("running") == "v0002"
    served = checkpoints.served()
    assert served is not None
    assert served.settings["epochs"] == 4


@pytest.mark.parametrize("fusion", ["hybrid", "late"])
def test_trained_weights_of_the_old_code_fit_the_network(fusion: str) -> None:
    """Names and shapes of a checkpoint of 2ea7737: profile reference-small, target phantom."""
    path = OLD_STATE / "state_dict_of_2ea7737.json"
    config = ZeusConfig.from_conf({"decoder": "sam", "fusion": fusion})
    profile, target = load_profile(config.profile), load_target(config.target)
    with torch.device("meta"):
        net = trainable_net(config, profile, target=target, load_sam=decoder_skeleton)
    shapes = {name: list(value.shape) for name, value in net.state_dict().items()}
    assert shapes == json.loads(path.read_text())[fusion]
