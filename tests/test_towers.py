"""The contract of every tower in the table: loading, counting without weights, and refusals."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zeus_app import profiles
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.profiles import Profile, load_profile
from zeus_app.settings import presets
from zeus_app.towers import TOWERS, LazyModel, LoadContext, run_before, tower
from zeus_app.weights import WEIGHTS

FIELDS = {
    "image encoder": "image_encoder",
    "vision tower": "vision",
    "language model": "llm",
    "text encoder": "text_encoder",
}
WITHOUT_WEIGHTS = {"none", "pooled", "endpoint"}
ALL = [(role, kind) for role, kinds in TOWERS.items() for kind in kinds]
WITH_WEIGHTS = [(role, kind) for role, kind in ALL if kind not in WITHOUT_WEIGHTS]


def shipped() -> list[Profile]:
    return [load_profile(name) for name in presets.shipped(profiles.__name__)]


def entry_of(role: str, kind: str, **changes: object) -> Any:
    """The entry of a shipped profile that names this tower, or of one with another kind."""
    entries = [getattr(profile, FIELDS[role]) for profile in shipped()]
    entry = next((entry for entry in entries if entry.kind == kind), entries[0])
    return entry.model_copy(update={"kind": kind, **changes})


@pytest.mark.parametrize(("role", "kind"), ALL)
def test_every_tower_is_counted_without_weights(
    role: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path))
    network = tower(role, kind).skeleton(entry_of(role, kind))
    assert isinstance(network, nn.Module)
    assert all(parameter.is_meta for parameter in network.parameters())
    assert (kind in WITHOUT_WEIGHTS) == (not list(network.parameters()))


@pytest.mark.parametrize(("role", "kind"), WITH_WEIGHTS)
def test_every_tower_refuses_a_file_that_is_not_its_weights(
    role: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"not weights")
    entry = entry_of(role, kind, weights=str(path))

    def load() -> None:
        loaded = tower(role, kind).load(entry, LoadContext(torch.device("cpu")))
        if isinstance(loaded, LazyModel):
            loaded.load()

    with pytest.raises(InputError):
        load()


@pytest.mark.parametrize("kind", TOWERS["image encoder"])
def test_every_image_encoder_brings_a_mask_decoder(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"not weights")
    decoder = tower("image encoder", kind).decoder
    assert decoder is not None
    with pytest.raises(InputError):
        decoder(entry_of("image encoder", kind, weights=str(path)))


@pytest.mark.parametrize("role", TOWERS)
def test_an_unknown_kind_is_refused_with_the_known_ones(role: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown {role} 'nonesuch'") as error:
        tower(role, "nonesuch")
    assert all(kind in str(error.value) for kind in TOWERS[role])


@pytest.mark.parametrize("profile", shipped(), ids=lambda profile: profile.name)
def test_the_table_has_every_tower_that_a_shipped_profile_names(profile: Profile) -> None:
    for role, field in FIELDS.items():
        assert getattr(profile, field).kind in TOWERS[role]


def test_the_towers_of_reference_small_alone_were_run_with_published_weights() -> None:
    names = {name for role, kind in ALL for name in tower(role, kind).run_with}
    assert names == {"lite-medsam", "smollm2-135m", "minilm-l6"}
    assert names <= WEIGHTS.keys()


@pytest.mark.parametrize(("profile", "runs"), [
    ("reference-small", [True, None, True, True]),
    ("paper", [False, False, False, False]),
    ("hospital-server", [True, None, None, True]),
])  # fmt: skip
def test_an_entry_says_whether_its_published_weights_were_run(
    profile: str, runs: list[bool | None]
) -> None:
    towers = load_profile(profile)
    assert [run_before(role, getattr(towers, field)) for role, field in FIELDS.items()] == runs


def test_a_grid_of_blip2_is_refused() -> None:
    entry = entry_of("vision tower", "blip2", grid=True)
    with pytest.raises(InputError, match="always gives 32 features"):
        tower("vision tower", "blip2").load(entry, LoadContext(torch.device("cpu")))
