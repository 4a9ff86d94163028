"""The shipped profile assembled from its true weights: every mode and fusion learns and answers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from torch import nn

from tests.encoders.tiny_sam import tiny_sam
from tests.instructions.tiny import byte_level_tokenizer, save, tiny_model
from zeus_app import build
from zeus_app.build import build_segmenter
from zeus_app.errors import InputError
from zeus_app.instructions.generate import Request
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.profiles import load_profile
from zeus_app.progress import silent
from zeus_app.protocols import InstructionModel
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.storage.cache import Cache
from zeus_app.storage.state import state_folder
from zeus_app.studies.opened import open_study
from zeus_app.towers import TOWERS, LazyModel, Tower
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.loop import Epoch
from zeus_app.types import MIB, FloatArray, Grid, Guidance, LabelledStudy, Study, Volume

SHAPE = (40, 40, 2)
AFFINE = np.diag([3.0, 3.0, 6.0, 1.0])
LESION = np.s_[12:20, 14:24, :]


def a_study() -> Study:
    """A round head, its lesion bright in T2, its cyst dark in FLAIR."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40), indexing="ij")
    inside = (x**2 + y**2 < 0.8)[..., None]
    t2, flair = (np.where(inside, rng.uniform(200, 300, SHAPE), 0) for _ in range(2))
    t2[LESION] = 900
    flair[24:30, 20:28] = 50
    volumes = {name: Volume(v.astype(np.float32), AFFINE) for name, v in
               (("T2", t2), ("FLAIR", flair))}  # fmt: skip
    return Study("alpha", volumes)


def a_label() -> Volume:
    label = np.zeros(SHAPE, np.uint8)
    label[LESION] = 1
    label[24:30, 20:28] = 2
    return Volume(label, AFFINE)


def assembled(state: Path, **settings: object) -> Segmenter:
    config = ZeusConfig.from_conf(
        {"target": "phantom", "device": "cpu", "state": str(state), "instruction_tokens": 4}
        | settings
    )
    return build_segmenter(config, state_folder(config, target="phantom", studies=state))


def trained_parts(segmenter: Segmenter) -> dict[str, npt.NDArray[Any]]:
    state = segmenter.model.trainable.state_dict()
    return {name: value.numpy().copy() for name, value in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "learning"),
    [
        ({"decoder": "sam", "fusion": "hybrid"}, {"aligner", "decoders.0"}),
        ({"decoder": "sam", "fusion": "late"}, {"aligner", "decoders.0", "decoders.1"}),
        ({"decoder": "sam", "fusion": "late", "scope": "all"},
         {"aligner", "decoders.0", "decoders.1"}),
        ({"decoder": "sam", "instruction": "embedding"}, {"aligner", "decoders.0", "projector"}),
        ({"decoder": "sam", "instruction": "both"}, {"aligner", "decoders.0", "projector"}),
        ({"decoder": "sam", "instruction": "embedding", "fusion": "late"},
         {"aligner", "decoders.0", "decoders.1", "projector"}),
        ({"decoder": "sam", "union": "weighted"}, {"aligner", "decoders.0", "union"}),
        ({"decoder": "both"}, {"aligner", "compression", "decoders.0"}),
        ({"decoder": "readout", "fusion": "late"},
         {"aligner", "compression", "decoders.0", "decoders.1"}),
        ({"decoder": "readout", "instruction": "both"},
         {"aligner", "compression", "decoders.0", "projector"}),
        ({"decoder": "readout", "union": "weighted"},
         {"aligner", "compression", "decoders.0", "union"}),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)  # fmt: skip
def test_each_mode_and_fusion_learns_what_it_should_and_answers(
    tmp_path: Path, settings: dict[str, str], learning: set[str]
) -> None:
    segmenter = assembled(tmp_path, **settings)
    before = trained_parts(segmenter)
    recipe = TrainConfig(epochs=2, batch_slices=2, validation_fraction=0)
    study = LabelledStudy(
        "alpha", a_study, a_label, lambda: Grid(SHAPE, AFFINE), "alpha", ("T2", "FLAIR")
    )
    result = segmenter.fit([study], recipe)
    assert len(result.epochs) == 2
    after = trained_parts(segmenter)
    moved = {name for name, value in after.items() if not np.array_equal(value, before[name])}
    modules = {
        ".".join(name.split(".")[: 2 if name.startswith("decoders") else 1]) for name in moved
    }
    assert modules - {"second_look"} == learning  # a choice, which may be to draw nothing again
    answer = segmenter.segment(open_study(a_study(), segmenter.target))
    assert answer.checkpoint == "v0001"
    assert answer.label_map.array.shape == SHAPE
    assert {text.sequence for text in answer.instructions} == {"T2", "FLAIR"}


@pytest.mark.slow
def test_clicks_are_answered_with_the_model_s_own_image_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = assembled(tmp_path)
    monkeypatch.delattr(build, "build_images")  # a second one is 290 MiB
    state = state_folder(segmenter.config, target="phantom", studies=tmp_path)
    assert build.build_clicks(segmenter.config, state, shared_with=segmenter) is not None


def own_profile(folder: Path, **towers: object) -> str:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "reference-small", "name": "own", **towers}))
    return str(path)


@pytest.mark.parametrize(
    ("towers", "message"),
    [
        ({"text_encoder": {"dim": 300}}, r"text_encoder\.dim 300(.|\n)*text_encoder\.dim 384"),
        ({"vision": {"dim": 128}}, r"vision\.dim 128(.|\n)*vision\.dim 256"),
    ],
)
def test_a_width_that_is_not_the_towers_is_refused_when_it_is_built(
    tmp_path: Path, towers: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        assembled(tmp_path, profile=own_profile(tmp_path, **towers), encoder_runtime="torch")


def test_a_width_that_is_not_the_llms_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    tiny = save(tmp_path / "tiny", tiny_model("qwen2", tokenizer), tokenizer)  # 32 wide
    profile = load_profile(own_profile(tmp_path, llm={"weights": str(tiny), "hidden": 512}))
    cache = Cache(tmp_path / "cache", size_limit_bytes=MIB)
    generator = build.instruction_generator(ZeusConfig(), profile, torch.device("cpu"), cache)
    question = [Request(0, 0, 0, "what is it")]
    with pytest.raises(InputError, match=r"llm\.hidden 512(.|\n)*llm\.hidden 32"):
        generator.generate(question, torch.zeros(1, 1, 512), report=silent)


def test_a_sam_of_another_size_than_the_profile_counts_is_refused(tmp_path: Path) -> None:
    torch.save(tiny_sam().state_dict(), tmp_path / "tiny.pth")
    tower = {"kind": "sam", "weights": str(tmp_path / "tiny.pth"), "size": "vit_h"}
    profile = load_profile(own_profile(tmp_path, image_encoder=tower))
    with pytest.raises(InputError, match="vit_h, which the profile names"):
        build.image_encoder(ZeusConfig(encoder_runtime="torch"), profile, torch.device("cpu"))


def test_f_vt_is_the_same_whatever_was_drawn_while_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first start measures runtimes, later ones do not; both must write the same texts."""
    later = trained_parts(assembled(tmp_path, encoder_runtime="torch"))
    load = build.image_encoder

    def measuring(*arguments: Any) -> Any:
        torch.rand(5)
        return load(*arguments)

    monkeypatch.setattr(build, "image_encoder", measuring)
    first = trained_parts(assembled(tmp_path, encoder_runtime="torch"))
    for name in later:
        np.testing.assert_array_equal(first[name], later[name])


@pytest.mark.parametrize(("of_config", "of_profile", "device", "scopes"), [
    ("auto", "auto", "cpu", ("series", "series")), ("auto", "auto", "cuda", ("all", "all")),
    ("auto", "key", "cpu", ("key", "key")), ("series", "all", "cuda", ("series", "")),
    ("auto", "target", "cpu", ("target", "series")), ("auto", "target", "cuda", ("target", "all")),
    ("target", "all", "cpu", ("target", "")),
])  # fmt: skip
def test_the_settings_scope_counts_before_the_profiles_and_that_before_the_devices(
    of_config: Any, of_profile: Any, device: str, scopes: tuple[str, str]
) -> None:
    profile = load_profile("reference-small").model_copy(update={"scope": of_profile})
    assert build.text_scopes(ZeusConfig(scope=of_config), profile, torch.device(device)) == scopes


def test_a_profile_without_pictures_has_them_where_the_model_needs_them() -> None:
    profile, cpu = load_profile("reference-small"), torch.device("cpu")
    assert build.text_scopes(ZeusConfig(instruction="both"), profile, cpu) == ("series", "series")
    llm = profile.llm.model_copy(update={"kind": "vision_chat"})
    seeing = profile.model_copy(update={"llm": llm})
    assert build.text_scopes(ZeusConfig(), seeing, cpu) == ("series", "series")
    with pytest.raises(InputError, match="sees the slices"):
        build.text_scopes(ZeusConfig(scope="target"), seeing, cpu)


def test_a_study_of_a_shipped_target_is_segmented_without_the_llm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the LLM was loaded")

    monkeypatch.setattr("zeus_app.towers.FrozenLlm.__init__", refuse)
    segmenter = assembled(tmp_path, instruction_tokens="64", encoder_runtime="torch")
    answer = segmenter.segment(open_study(a_study(), segmenter.target))
    assert len(answer.instructions) == 4  # two labels in two sequences
    assert all(text.model.startswith("SmolLM2") and text.text for text in answer.instructions)
    assert {text.notice for text in answer.instructions} == {"machine-made, not for diagnosis"}


@pytest.mark.parametrize("mode", ["embedding", "both"])
def test_scope_none_is_refused_where_the_llms_last_layer_is_read(tmp_path: Path, mode: str) -> None:
    with pytest.raises(InputError, match=f"scope none in {mode} mode"):
        assembled(tmp_path, instruction=mode, scope="none")
    segmenter = assembled(tmp_path, instruction=mode, encoder_runtime="torch")
    with pytest.raises(InputError, match=f"scope none in {mode} mode"):
        segmenter.segment(open_study(a_study(), segmenter.target), guidance=Guidance(scope="none"))


class Echo:
    """An LLM server that counts its prompts."""

    def __init__(self) -> None:
        self.asked = 0

    def generate(
        self, pictures: FloatArray, prompts: Sequence[str], **settings: object
    ) -> list[str]:
        self.asked += len(prompts)
        return list(prompts)


def lazy(server: Echo, entry: object, context: object) -> LazyModel:
    return LazyModel("local-model", lambda: cast(InstructionModel, server))


def test_a_text_of_one_server_is_not_taken_for_another_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, device = Cache(tmp_path / "cache", size_limit_bytes=MIB), torch.device("cpu")
    servers = []
    for url in ("http://one/v1", "http://two/v1", "http://two/v1"):
        llm = {"kind": "endpoint", "weights": "local-model", "url": url}
        profile = load_profile(own_profile(tmp_path, llm=llm))
        servers.append(Echo())
        endpoint = Tower(load=partial(lazy, servers[-1]), skeleton=lambda entry: nn.Identity())
        monkeypatch.setitem(cast(dict[str, Tower], TOWERS["language model"]), "endpoint", endpoint)
        generator = build.instruction_generator(ZeusConfig(), profile, device, cache)
        nothing = np.zeros((1, 0, 0), np.float32)
        generator.generate([Request(0, 0, 0, "what is it")], nothing, report=silent)
    assert [server.asked for server in servers] == [1, 1, 0]


class Killed(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "first"), [(0, ["projector"]), (2, ["projector", "lora"])])
def test_the_projection_and_lora_learn_first_and_the_texts_are_then_written_with_them(
    tmp_path: Path, rank: int, first: list[str]
) -> None:
    segmenter = assembled(tmp_path, profile=own_profile(tmp_path, llm={"lora_rank": rank}))
    before = trained_parts(segmenter)
    study = LabelledStudy(
        "alpha", a_study, a_label, lambda: Grid(SHAPE, AFFINE), "alpha", ("T2", "FLAIR")
    )
    recipe = TrainConfig(epochs=4, batch_slices=2, validation_fraction=0, projection_share=0.5)

    def kill_in_the_second_part(epoch: Epoch, done: int, total: int) -> None:
        if segmenter.checkpoints.resume_path.exists():
            raise Killed

    with pytest.raises(Killed):
        segmenter.fit([study], recipe, progress=kill_in_the_second_part)
    result = segmenter.fit([study], recipe)
    projections = Checkpoints(segmenter.checkpoints.folder / "projection")
    (projection,) = projections.versions()  # training continued it and trained no second one
    assert (projection.epoch, len(result.epochs)) == (2, 2)

    learnt = projections.load(projection.version, trained_with={})
    segmenter.reload()
    after = trained_parts(segmenter)
    for part in first:
        names = [name for name in after if name.startswith(f"{part}.")]
        for name in names:
            np.testing.assert_array_equal(after[name], learnt[name].numpy())
        assert any(not np.array_equal(after[name], before[name]) for name in names)
    assert [
        text.model
        for text in segmenter.segment(open_study(a_study(), segmenter.target)).instructions
    ] == [segmenter.model.tower_ids["LLM"]] * 4
