"""Targets and profiles from YAML: a wrong file is refused at once, with the reason."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from zeus_app.errors import InputError
from zeus_app.settings import presets


class Shape(BaseModel):
    """What a file of these tests holds."""

    name: str
    size: dict[str, int] = {}


def load(path: Path) -> Shape:
    return presets.load("target", str(path), "zeus_app.targets", Shape)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_extends_another(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "name: base\nsize: {x: 1, y: 2}\n")
    changed = write(tmp_path / "changed.yaml", f"extends: {base}\nsize: {{y: 3}}\n")
    assert load(changed) == Shape(name="base", size={"x": 1, "y": 3})


def test_a_file_that_extends_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, f"extends: {path}\n")
    with pytest.raises(InputError, match=r"a.yaml extends itself"):
        load(path)


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write(first, f"extends: {second}\n")
    write(second, f"extends: {tmp_path}/../{tmp_path.name}/a.yaml\n")
    with pytest.raises(InputError, match=r"a.yaml extends itself, over .*b.yaml"):
        load(first)


def test_a_long_chain_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.yaml", "name: base\n")
    for number in range(1, 20):
        write(tmp_path / f"{number}.yaml", f"extends: {tmp_path / f'{number - 1}.yaml'}\n")
    with pytest.raises(InputError, match="at most 8 files"):
        load(tmp_path / "19.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nname: [*a, *a]\n",
        "[" * 100_000,
        "just a text",
        "- 1\n- 2\n",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "extends: [1]\n",
        "name: {a: 1}\n",
    ],
)
def test_a_file_of_something_else_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"odd|\[1\]"):
        load(path)


def test_a_base_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "- 1\n")
    changed = write(tmp_path / "changed.yaml", f"extends: {base}\nname: x\n")
    with pytest.raises(InputError, match=r"base.yaml"):
        load(changed)
