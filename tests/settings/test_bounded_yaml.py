"""YAML files are bounded before they are unfolded."""

import os
from pathlib import Path

import pytest
import yaml

from zeus_app.settings.bounded_yaml import BoundsError, Written, read_bounded

LAUGHS = "\n".join(
    ["a0: &a0 [ha, ha]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
)
MERGED = "base: &base {a: 1}\nother:\n  <<: *base\n"
ITSELF = "a: &a [*a]"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    return path


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    assert read_bounded(written(tmp_path, "a: [1, {b: c}]")) == {"a": [1, {"b": "c"}]}


def test_a_file_may_have_an_anchor_that_nothing_uses(tmp_path: Path) -> None:
    assert read_bounded(written(tmp_path, "a: &a 1")) == {"a": 1}


@pytest.mark.parametrize("text", [LAUGHS, MERGED, ITSELF], ids=["laughs", "merged", "itself"])
def test_aliases_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BoundsError, match=r"an alias, \*"):
        read_bounded(written(tmp_path, text))


@pytest.mark.parametrize("text", ["[" * 50_000, "{a: " * 50_000, "- " * 50_000])
def test_deep_nesting_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BoundsError, match="more than 32 deep"):
        read_bounded(written(tmp_path, text))


def test_many_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BoundsError, match="more than 100 values"):
        read_bounded(written(tmp_path, "a: [" + "1," * 100 + "]"), max_nodes=100)


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(BoundsError, match="more than 10 bytes"):
        read_bounded(written(tmp_path, "[" * 11), max_bytes=10)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "pipe.yaml")


def test_a_tag_makes_no_object(tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        read_bounded(written(tmp_path, "!!python/object/apply:os.system [ls]"))


def test_values_may_be_read_as_they_are_written(tmp_path: Path) -> None:
    path = written(tmp_path, "010: [0x1F, yes, null, 2026-99-99, '010', a, 1.50]")
    ((key, values),) = read_bounded(path, as_written=True).items()
    assert (key, values) == ("010", ["0x1F", "yes", "null", "2026-99-99", "010", "a", "1.50"])
    meanings = [v.meaning if isinstance(v, Written) else v for v in (key, *values)]
    assert meanings == [8, 31, True, None, "2026-99-99", "010", "a", 1.5]


@pytest.mark.parametrize("text", [LAUGHS, "!!python/object/apply:os.system [ls]", "!!int [1]"])
def test_values_as_they_are_written_are_bounded_too(tmp_path: Path, text: str) -> None:
    with pytest.raises((BoundsError, yaml.YAMLError)):
        read_bounded(written(tmp_path, text), as_written=True)
