"""Checks of the whole repository: sizes, paths, files that load, commands that exist."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from setuptools import find_namespace_packages, find_packages

from zeus_app.types import MIB

ROOT = Path(__file__).resolve().parents[1]
LARGEST_BYTES = 2 * MIB
MACHINE_PATH = re.compile(r"(?<![\w/.$}])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/")
# Tests make up paths to check messages with.
MAY_NAME_PATHS = ("tests/",)


def tracked_files() -> list[Path]:
    """What git tracks or would add: everything that .gitignore does not leave out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # a picture


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))


def shell_lines(document: Path) -> list[str]:
    """The lines of a document's shell blocks, continued lines joined, comments dropped."""
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text_of(document), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip()]


def test_no_tracked_file_is_larger_than_two_mebibytes() -> None:
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked_files()}
    assert {name: size for name, size in sizes.items() if size > LARGEST_BYTES} == {}


def test_no_file_names_a_path_of_somebody_s_machine() -> None:
    paths = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked_files()
        if not str(path.relative_to(ROOT)).startswith(MAY_NAME_PATHS)
        for match in MACHINE_PATH.finditer(text_of(path))
    ]
    assert paths == []


def test_no_medical_image_and_no_weight_is_tracked() -> None:
    endings = (".nii", ".nii.gz", ".dcm", ".pth", ".pt", ".gguf", ".safetensors")
    assert [path.name for path in tracked_files() if path.name.endswith(endings)] == []


def test_every_yaml_loads() -> None:
    yamls = [path for path in tracked_files() if path.suffix in {".yaml", ".yml"}]
    assert yamls
    for path in yamls:
        assert isinstance(yaml.safe_load(text_of(path)), dict | list), path


def test_every_make_target_is_phony_and_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert make_targets() == explained == set(phony.split())


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"(?:^|[`\s(])make ([a-z-]+)\b(?=[`\s),.;:]|$)", "\n".join(
        [*shell_lines(document), *re.findall(r"`(make [^`]*)`", text_of(document))]
    ), flags=re.MULTILINE))  # fmt: skip
    assert named <= make_targets()


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_every_zeus_command_that_a_document_names_parses(document: Path) -> None:
    from typer.testing import CliRunner

    from zeus_app.commands.main import app

    for line in shell_lines(document):
        command_line = re.match(r"(?:\.venv/bin/)?zeus ((?:[a-z][a-z0-9-]* ?){1,2})", line)
        if not command_line:
            continue
        groups = {group.name for group in app.registered_groups}
        words = command_line[1].split()
        command = words[:2] if words[0] in groups else words[:1]
        result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0, line
        for option in re.findall(r"--[a-z-]+", line):
            assert option in result.output, f"{line}: {option}"


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_every_file_that_a_document_links_to_exists(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(document))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_every_requirement_is_pinned_exactly() -> None:
    lines = (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-dev.txt").read_text()
    named = [line.split("#")[0].strip() for line in lines.splitlines()]
    loose = [line for line in named if line and not line.startswith("-r") and "==" not in line]
    assert loose == []


def test_the_environment_holds_what_requirements_say() -> None:
    pins = re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(pins) > 20
    assert {name: version(name) for name, _ in pins} == dict(pins)


def test_constraints_agree_with_requirements() -> None:
    def pins(name: str) -> dict[str, str]:
        pairs = re.findall(r"^([\w-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
        return {package.lower().replace("_", "-"): number for package, number in pairs}

    constraints = pins("constraints.txt")
    required = {**pins("requirements.txt"), **pins("requirements-dev.txt")}
    shared = required.keys() & constraints.keys()
    assert {name: constraints[name] for name in shared} == {name: required[name] for name in shared}


def test_every_package_takes_the_python_that_debian_12_ships() -> None:
    refusing = [
        f"{package.name} {package.version}"
        for package in distributions()
        if "3.11.2" not in SpecifierSet(str(package.metadata.json.get("requires_python", "")))
    ]
    assert refusing == []


def test_no_index_and_no_host_is_written_into_requirements() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        assert "://" not in (ROOT / name).read_text()


def packages_and_data() -> tuple[set[str], dict[str, list[str]]]:
    """The packages that setuptools finds, and the patterns of their data files."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    settings = tools["setuptools"]
    include = settings["packages"]["find"]["include"]
    return set(find_packages(str(ROOT), include=include)), settings["package-data"]


def test_every_folder_of_code_is_a_package() -> None:
    packages, _ = packages_and_data()
    folders = find_namespace_packages(str(ROOT), include=["zeus_app*", "infer*", "trainers*"])
    with_code = {name for name in folders if any((ROOT / name.replace(".", "/")).glob("*.py"))}
    assert with_code == packages


def test_every_file_of_a_package_is_shipped_in_a_wheel() -> None:
    packages, data = packages_and_data()
    shipped = {path for name in packages for path in (ROOT / name.replace(".", "/")).glob("*.py")}
    for name, patterns in data.items():
        folder = ROOT / name.replace(".", "/")
        shipped |= {path for pattern in patterns for path in folder.glob(pattern)}
    ours = {path for path in tracked_files()
            if path.relative_to(ROOT).parts[0] in {"zeus_app", "infer", "trainers"}}  # fmt: skip
    assert ROOT / "zeus_app" / "py.typed" in shipped
    assert {str(path.relative_to(ROOT)) for path in ours - shipped} == set()


def quick_arguments() -> list[str]:
    """What scripts/quick.sh gives to pytest: the tests, and those that it leaves out."""
    script = (ROOT / "scripts" / "quick.sh").read_text(encoding="utf-8")
    names, left_out = (
        re.search(rf'^{variable}="([^"]*)"', script, re.MULTILINE)
        for variable in ("TESTS", "LEFT_OUT")
    )
    assert names
    assert left_out
    return ["-m", "not slow and not real", "-k", f"not {left_out[1]}", *shlex.split(names[1])]


def test_quick_runs_at_least_700_tests_without_a_server_or_weights() -> None:
    # The listing imports the test modules without weights, in a process that has no monailabel.
    block = (
        "import sys, pytest; sys.modules['monailabel'] = None; sys.exit(pytest.main(sys.argv[1:]))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", block, "--collect-only", "-q", "-p", "no:cacheprovider",
         *quick_arguments()],
        cwd=ROOT, env={**os.environ, "ZEUS_WEIGHTS": "/nonexistent"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stdout + listed.stderr
    names = [line for line in listed.stdout.splitlines() if "::" in line]
    assert len(names) >= 700
    assert [name for name in names if name.startswith("tests/server")] == []


def test_pre_commit_runs_the_programs_of_make_check() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = {tuple(hook["entry"].split()[:2]) for hook in config["repos"][0]["hooks"]}
    checks = {(".venv/bin/ruff", "check"), (".venv/bin/ruff", "format"), (".venv/bin/mypy",)}
    assert hooks == checks


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_every_program_of_the_environment_that_a_document_names_exists(document: Path) -> None:
    programs = {match[1] for line in shell_lines(document)
                if (match := re.match(r"\.venv/bin/([\w-]+)", line))}  # fmt: skip
    folder = Path(sys.executable).parent
    assert [name for name in sorted(programs) if not (folder / name).exists()] == []


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_every_issue_template_asks_for_the_output_of_zeus_doctor(name: str) -> None:
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
    template = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(template)
    fields = {field.get("id"): field for field in template["body"]}
    assert fields["doctor"]["validations"] == {"required": True}
    assert ".venv/bin/zeus doctor" in fields["doctor"]["attributes"]["description"]
