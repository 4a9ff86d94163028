"""Which decoder serves a state folder when the settings leave the choice open."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder, state_folder, with_decoder


def versions_of(root: Path, *decoders: str) -> None:
    """A version trained with each decoder."""
    for decoder in decoders:
        config = ZeusConfig.from_conf({"state": str(root), "decoder": decoder})
        folder = state_folder(config, target="phantom", studies=root).checkpoints
        folder.mkdir(parents=True)
        (folder / "v0001.json").touch()


@pytest.mark.parametrize(
    ("trained", "chosen"), [((), "both"), (("sam",), "sam"), (("sam", "both"), "both")]
)
def test_a_state_folder_with_versions_of_sams_decoder_alone_goes_on_with_it(
    tmp_path: Path, trained: tuple[str, ...], chosen: str
) -> None:
    versions_of(tmp_path, *trained)
    config = ZeusConfig(state=tmp_path)
    assert with_decoder(config, target="phantom", studies=tmp_path).chosen_decoder == chosen


def test_a_decoder_that_the_settings_name_is_taken(tmp_path: Path) -> None:
    versions_of(tmp_path, "sam")
    config = ZeusConfig(state=tmp_path, decoder="readout")
    assert with_decoder(config, target="phantom", studies=tmp_path) is config


def test_both_looks_and_the_read_out_alone_share_their_versions(tmp_path: Path) -> None:
    folders = {
        state_folder(
            ZeusConfig(state=tmp_path, decoder=decoder), target="phantom", studies=tmp_path
        ).checkpoints
        for decoder in ("readout", "both", "auto")
    }
    assert [folder.parent.name for folder in folders] == ["reference-small-zeus-hybrid-readout"]


@pytest.mark.parametrize("name", ["../../x", "/etc", "..", ".", "", "a/b", "a\\b", "a\0b"])
@pytest.mark.parametrize("place", ["target", "profile", "model", "fusion"])
def test_no_name_leads_out_of_the_state_folder(tmp_path: Path, place: str, name: str) -> None:
    state = StateFolder(tmp_path, "t", "p", "m", "f")
    with pytest.raises(ValueError, match="leads out of the state folder"):
        replace(state, **{place: name})  # type: ignore[arg-type]  # the names are texts


def test_no_chosen_sequence_leads_out_of_the_state_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out of the state folder"):
        StateFolder(tmp_path, "t", "p", "m", "f", variant=("T2/../../..",))


def test_a_state_folder_whose_path_is_no_utf8_is_refused(tmp_path: Path) -> None:
    config = ZeusConfig(state=tmp_path / os.fsdecode(b"M\xfcller"))
    with pytest.raises(InputError, match=r"M\\xfcller, a name that is no UTF-8"):
        state_folder(config, target="phantom", studies=tmp_path)


def test_a_studies_folder_whose_path_is_no_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"M\\xfcller, a name that is no UTF-8"):
        state_folder(ZeusConfig(), target="phantom", studies=tmp_path / os.fsdecode(b"M\xfcller"))
