from pathlib import Path

import pytest
from pydantic import ValidationError

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.settings.config import TrainConfig, ZeusConfig, default_state_folder


def test_settings_arrive_as_strings_and_become_typed() -> None:
    config = ZeusConfig.from_conf({"threshold": "0.4", "batch_slices": "3", "state": "/tmp/s"})
    assert (config.threshold, config.batch_slices, config.state) == (0.4, 3, Path("/tmp/s"))


def test_no_settings_give_the_reference_profile_on_the_phantoms() -> None:
    config = ZeusConfig.from_conf({})
    assert (config.target, config.profile, config.model, config.fusion) == (
        "phantom",
        "reference-small",
        "zeus",
        "hybrid",
    )


def test_training_defaults_are_the_paper_s() -> None:
    config = TrainConfig()
    assert (config.epochs, config.early_stop, config.batch_slices) == (300, 75, 10)
    assert (config.learning_rate, config.poly_power, config.weight_decay) == (1e-3, 0.9, 5e-4)


def test_the_name_of_a_recipe_does_not_keep_a_training_from_resuming() -> None:
    assert TrainConfig(recipe="default").identity == TrainConfig(recipe="paper").identity
    assert TrainConfig(augment=1).identity != TrainConfig().identity


def test_a_new_parameter_at_its_default_does_not_keep_an_old_training_from_resuming() -> None:
    assert "intensity" not in TrainConfig().identity
    assert TrainConfig(intensity=1).identity["intensity"] == 1


def test_an_unknown_setting_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'target'"):
        ZeusConfig.from_conf({"tarket": "prostate"})


def test_a_value_outside_its_range_names_the_setting_and_its_meaning() -> None:
    with pytest.raises(InputError, match=r"threshold='1.5'.*probability above which"):
        ZeusConfig.from_conf({"threshold": "1.5"})


def test_a_value_that_is_no_choice_is_refused() -> None:
    with pytest.raises(InputError, match="fusion='middle'"):
        ZeusConfig.from_conf({"fusion": "middle"})


def test_allowed_origins_and_hosts_are_lists_with_commas() -> None:
    config = ZeusConfig(allowed_origins="https://a.example, http://b:80", allowed_hosts="a,[::1]")
    assert config.origins == ("https://a.example", "http://b:80")
    assert config.hosts == ("a", "[::1]")
    assert ZeusConfig().origins == ZeusConfig().hosts == ()


@pytest.mark.parametrize(
    "setting",
    [{"allowed_origins": "*"}, {"allowed_origins": "viewer.example"}, {"allowed_origins": "null"},
     {"allowed_origins": "https://a/path"}, {"allowed_hosts": "https://a"}, {"allowed_hosts": "*"}],
)  # fmt: skip
def test_what_is_no_origin_or_host_is_refused(setting: dict[str, str]) -> None:
    with pytest.raises(InputError, match="comma-separated"):
        ZeusConfig.from_conf(setting)


def test_a_word_where_a_number_belongs_is_refused() -> None:
    with pytest.raises(InputError, match="epochs='many'"):
        TrainConfig.from_conf({"epochs": "many"})


@pytest.mark.parametrize("written", ["false", "0", "no"])
def test_a_switch_can_be_turned_off_in_words(written: str) -> None:
    assert TrainConfig.from_conf({"resume": written}).resume is False


def test_a_config_cannot_be_changed_once_made() -> None:
    config = ZeusConfig()
    with pytest.raises(ValidationError):
        config.target = "prostate"  # type: ignore[misc]


@pytest.mark.parametrize("settings", [ZeusConfig, TrainConfig])
def test_every_setting_says_what_it_means(settings: type[ZeusConfig] | type[TrainConfig]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


def test_state_lies_apart_from_the_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    studies = tmp_path / "studies"
    assert not default_state_folder(studies).is_relative_to(studies)


def test_two_studies_folders_have_two_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    first, second = default_state_folder(Path("/a/mri")), default_state_folder(Path("/b/mri"))
    assert first.parent == second.parent == Path("/data/zeus")
    assert first.name.startswith("a-mri-")
    assert second.name.startswith("b-mri-")


def test_folders_whose_names_run_together_have_two_states() -> None:
    assert default_state_folder(Path("/data/a-b")) != default_state_folder(Path("/data/a/b"))


def test_a_studies_folder_has_the_same_state_every_time() -> None:
    # First 8 digits of what `printf /mri | sha256sum` prints.
    assert default_state_folder(Path("/mri")).name == "mri-0455611a"


def test_without_xdg_the_state_lies_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    assert default_state_folder(Path("/mri")).parent == Path("/home/ada/.local/share/zeus")
