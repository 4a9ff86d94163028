"""A version whose files are damaged or foreign is skipped, logged and listed; others stay."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.training.test_checkpoint import TOWERS, a_result, weights
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints

Damage = Callable[[Path, Path], object]


class Evil:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("code of a file was run",)


@pytest.fixture
def three(tmp_path: Path) -> Checkpoints:
    """Versions v0001 to v0003; v0003 is served."""
    checkpoints = Checkpoints(tmp_path)
    for value in (1, 2, 3):
        checkpoints.publish(weights(value), a_result())
    return checkpoints


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def described_with(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Damage] = {
    "half a JSON": lambda text, _: half(text),
    "an empty JSON": lambda text, _: text.write_bytes(b""),
    "JSON of something else": lambda text, _: text.write_text('{"a": 1}'),
    "JSON that is a list": lambda text, _: text.write_text("[]"),
    "no text at all": lambda text, _: text.write_bytes(b"\xff\xfe\x00"),
    "JSON nested too deep": lambda text, _: text.write_text("[" * 100_000),
    "the JSON of another version": lambda text, _: described_with(text, version="v0001"),
    "a path for a version": lambda text, _: described_with(text, version="../../v0003"),
    "NaN for a score": lambda text, _: described_with(text, score=float("nan")),
    "a folder for a JSON": lambda text, _: as_folder(text),
    "half of the weights": lambda _, pt: half(pt),
    "empty weights": lambda _, pt: pt.write_bytes(b""),
    "no archive": lambda _, pt: pt.write_text("weights"),
    "a bare pickle": lambda _, pt: pt.write_bytes(pickle.dumps({"a": 1})),
    "a pickle that runs code": lambda _, pt: pt.write_bytes(pickle.dumps(Evil())),
    "foreign weights that run code": lambda _, pt: torch.save({"w": Evil()}, pt),
    "foreign weights without names": lambda _, pt: torch.save([torch.ones(2)], pt),
    "a folder for weights": lambda _, pt: as_folder(pt),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_version_is_skipped_and_told_and_the_newest_other_is_served(
    three: Checkpoints, damage: Damage
) -> None:
    damage(three.folder / "v0003.json", three.folder / "v0003.pt")
    assert [info.version for info in three.versions()] == ["v0001", "v0002"]
    (unusable,) = three.unusable()
    assert unusable.version == "v0003"
    assert unusable.reason.startswith("v0003.")
    assert str(three.folder) not in unusable.reason
    served = three.served()
    assert served is not None
    assert served.version == "v0002"
    assert three.load("v0002", trained_with=TOWERS)["layer.weight"][0, 0] == 2


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_training_after_it_publishes_under_a_number_that_was_never_used(
    three: Checkpoints, damage: Damage
) -> None:
    damage(three.folder / "v0003.json", three.folder / "v0003.pt")
    assert three.publish(weights(4), a_result()).version == "v0004"


def test_a_damaged_version_that_is_not_served_changes_nothing_else(three: Checkpoints) -> None:
    half(three.folder / "v0001.json")
    served = three.served()
    assert served is not None
    assert served.version == "v0003"


def test_a_damaged_version_is_unknown_to_a_client(three: Checkpoints) -> None:
    half(three.folder / "v0003.pt")
    with pytest.raises(UnknownNameError, match="v0001, v0002, untrained"):
        three.serve("v0003")


def test_when_no_version_can_be_used_the_untrained_model_is_served(three: Checkpoints) -> None:
    for path in three.folder.glob("v*.pt"):
        half(path)
    assert three.served() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 5}', b"\xff", b"[" * 10**5])
def test_a_damaged_note_of_the_served_version_means_the_newest(
    three: Checkpoints, content: bytes
) -> None:
    (three.folder / "served.json").write_bytes(content)
    served = three.served()
    assert served is not None
    assert served.version == "v0003"


def test_a_repaired_version_is_back_at_once(three: Checkpoints) -> None:
    path = three.folder / "v0003.json"
    whole = path.read_bytes()
    half(path)
    assert len(three.versions()) == 2
    path.write_bytes(whole)
    assert len(three.versions()) == 3
    assert three.unusable() == []


def test_each_damage_is_logged_once(three: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    half(three.folder / "v0003.json")
    for _ in range(3):
        three.versions()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert messages[0].startswith("Zeus: checkpoint v0003 is skipped: v0003.json ends early")


def test_files_with_other_names_are_no_versions(three: Checkpoints) -> None:
    for name in ("v0001 (copy).json", "v0001 (copy).pt", "v1.json", "vx.pt"):
        (three.folder / name).write_text("{")
    assert len(three.versions()) == 3
    assert three.unusable() == []
    assert three.publish(weights(4), a_result()).version == "v0004"


@pytest.mark.parametrize(
    "content", [b"", b"no archive", pickle.dumps({"a": 1}), pickle.dumps(Evil())]
)
def test_a_damaged_resume_file_counts_as_none(three: Checkpoints, content: bytes) -> None:
    three.resume_path.write_bytes(content)
    assert three.interrupted() is None
    with pytest.raises(UnknownNameError, match="no running or interrupted training"):
        three.serve("running")


def test_a_foreign_resume_file_counts_as_none(three: Checkpoints) -> None:
    torch.save({"identity": "x"}, three.resume_path)
    assert three.interrupted() is None


def test_weights_that_vanish_after_the_list_was_made_are_bad_input(
    three: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.versions()
    monkeypatch.setattr("zeus_app.training.checkpoint_files._stamp", lambda path: (0, 0))
    three.versions()
    half(three.folder / "v0003.pt")
    with pytest.raises(InputError, match=f"v0003.*{UNTRAINED}"):
        three.load("v0003", trained_with=TOWERS)
