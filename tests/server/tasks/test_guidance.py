"""What a request says about the instructions."""

import pytest

from zeus_app.errors import InputError
from zeus_app.server.tasks.guidance import read_guidance, refuse_settings
from zeus_app.targets import load_target

PHANTOM = load_target("phantom")  # T2 and FLAIR; lesion and cyst


def test_scope_and_texts_are_read_together() -> None:
    guidance = read_guidance({"scope": "key", "instructions": {"T2/cyst": "dark"}}, PHANTOM)
    assert guidance.scope == "key"
    assert guidance.texts == {("T2", "cyst"): "dark"}


def test_an_unknown_scope_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="none, target, series, key, all"):
        read_guidance({"scope": "some"}, PHANTOM)


def test_settings_of_the_server_are_no_parameters() -> None:
    with pytest.raises(InputError, match="--conf threshold VALUE"):
        refuse_settings({"threshold": 0.3})
