"""Who may import whom (docs/architecture.md), how large files grow, and where tests lie."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_LINES = 400

# The floors of the house, the lowest first. A room may import the rooms below its own floor.
FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        "errors progress types",
        "recognition",
        "devices protocols settings",
        "storage targets",
        "weights",
        "encoders instructions metrics models profiles reporting volumes",
        "baselines dicom towers",
        "studies",
        "labels prompts",
        "datasets evaluation export images2d training",
        "pipeline upgrade",
        "build",
        "api describe",
        "server",
        "bench",
        "commands infer trainers",
        "apps",
    )
)
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
MONAILABEL_ROOMS = {"apps", "commands", "infer", "server", "trainers"}
MOST_MODULES_AT_THE_ROOT = 10
MOST_LOOSE_MODULES_IN_SERVER = 6
LONGEST_TASK_LINES = 110

# Calls that start, fetch, write or delete something, by their last name.
ACTS = {
    "Popen", "Process", "Thread", "call", "check_call", "check_output", "connect", "download",
    "execve", "from_pretrained", "get_weights", "hf_hub_download", "load_state_dict", "locate",
    "makedirs", "mkdir", "mkdtemp", "open", "read_bytes", "read_text", "remove", "rmtree", "run",
    "rmdir", "safe_load", "start", "system", "unlink", "urlopen", "write_bytes", "write_text",
}  # fmt: skip

SOURCES = sorted(
    path
    for folder in ("apps", "infer", "trainers", "zeus_app")
    for path in (ROOT / folder).rglob("*.py")
)
ALL_CODE = sorted(
    path
    for folder in (*{name.relative_to(ROOT).parts[0] for name in SOURCES}, "benchmarks",
                   "sample_data", "scripts", "tests")
    for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip

# Tests of more than one module, by their path below tests/. Every other test file has the name of
# the module that it tests, and lies in the folder that mirrors this module's folder.
CROSS_CUTTING = {
    "encoders/test_sam_parity.py",
    "fuzz/test_openapi.py",
    "fuzz/test_params.py",
    "fuzz/test_target.py",
    "fuzz/test_volumes.py",
    "hospital/test_bundled_ohif.py",
    "hospital/test_command.py",
    "hospital/test_current_ohif.py",
    "hospital/test_geometry.py",
    "hospital/test_labels.py",
    "hospital/test_pacs_away.py",
    "hospital/test_slicer.py",
    "instructions/test_last_hidden.py",
    "instructions/test_skeletons.py",
    "labels/test_import_command.py",
    "prompts/test_orientation.py",
    "server/interactive/test_clicks.py",
    "server/jobs/test_interrupted_training.py",
    "server/jobs/test_never_blocked.py",
    "server/routes/test_bad_files.py",
    "server/routes/test_bad_input.py",
    "server/routes/test_download.py",
    "server/security/test_in_a_browser.py",
    "server/security/test_on_a_server.py",
    "server/studies/test_notes.py",
    "server/studies/test_pacs_on_orthanc.py",
    "server/tasks/test_scored_answers.py",
    "server/tasks/test_train_task.py",
    "server/test_client_options.py",
    "server/test_infer.py",
    "server/test_monailabel_endpoints.py",
    "server/test_loop.py",
    "server/test_old_state.py",
    "server/test_pacs_server.py",
    "server/test_privacy.py",
    "server/test_readme.py",
    "server/test_second_model.py",
    "server/test_slicer.py",
    "server/test_viewer.py",
    "storage/test_old_state.py",
    "studies/test_archives.py",
    "studies/test_odd_names.py",
    "studies/test_real_studies.py",
    "test_architecture.py",
    "test_prose.py",
    "test_repository.py",
    "training/test_projection.py",
    "upgrade/test_shared_former_ids.py",
    "upgrade/test_state_of_0_3.py",
    "weights/test_commands.py",
    "weights/test_registry.py",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(dotted: str) -> str | None:
    """The room of a module of this project (zeus_app.studies.align -> studies), else None."""
    parts = dotted.split(".")
    if parts[0] in {"apps", "infer", "trainers"}:
        return parts[0]
    return parts[1] if parts[0] == "zeus_app" and len(parts) > 1 else None


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """All modules that a file imports, also inside functions."""
    return tuple(find_imports(path))


def find_imports(path: Path) -> Iterator[str]:
    package = dotted_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module == "zeus_app":
                yield from (f"zeus_app.{alias.name}" for alias in node.names)
            else:
                yield module


def room_imports(path: Path) -> set[str]:
    rooms = {room_of(module) for module in imports_of(path)}
    return {room for room in rooms if room is not None} - {room_of(dotted_name(path))}


def may_import(room: str | None, other: str) -> bool:
    """Whether a room may import another; the package zeus_app itself re-exports api alone."""
    if room is None:
        return other == "api"
    return room in FLOOR_OF and other in FLOOR_OF and FLOOR_OF[other] < FLOOR_OF[room]


def run_on_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that an import executes: module and class bodies, not function bodies."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        statement = pending.pop()
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test):
            continue
        if isinstance(statement, ast.ClassDef):
            pending += statement.body
            continue
        yield statement


def called_names(statement: ast.stmt) -> Iterator[str]:
    """Last names of the functions that a statement calls. Bodies of lambdas do not count."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                yield function.attr
            elif isinstance(function, ast.Name):
                yield function.id
        pending += ast.iter_child_nodes(node)


def loose_modules(folder: str) -> list[str]:
    return sorted(path.name for path in (ROOT / folder).glob("*.py"))


def test_the_sources_are_found() -> None:
    assert {"config.py", "types.py", "main.py"} <= {path.name for path in SOURCES}


def test_every_module_has_a_floor_and_every_floor_has_modules() -> None:
    rooms = {room_of(dotted_name(path)) for path in SOURCES} - {None}
    assert rooms == FLOOR_OF.keys()


def test_imports_run_downward_only() -> None:
    wrong = [
        f"{name_of(path)} imports {other}"
        for path in SOURCES
        for other in sorted(room_imports(path))
        if not may_import(room_of(dotted_name(path)), other)
    ]
    assert wrong == []


def test_monailabel_is_imported_by_the_server_its_tasks_and_the_commands_alone() -> None:
    wrong = [
        name_of(path)
        for path in SOURCES
        if room_of(dotted_name(path)) not in MONAILABEL_ROOMS
        and any(module.split(".")[0] == "monailabel" for module in imports_of(path))
    ]
    assert wrong == []


def test_the_root_of_the_package_holds_few_modules() -> None:
    assert len(loose_modules("zeus_app")) <= MOST_MODULES_AT_THE_ROOT


def test_the_server_holds_few_loose_modules() -> None:
    assert len(loose_modules("zeus_app/server")) <= MOST_LOOSE_MODULES_IN_SERVER


def test_a_task_of_monai_label_holds_no_logic() -> None:
    lines = {name: len((ROOT / "infer" / name).read_text().splitlines())
             for name in loose_modules("infer")}  # fmt: skip
    assert {name: n for name, n in lines.items() if n > LONGEST_TASK_LINES} == {}


def test_importing_a_module_starts_reads_and_downloads_nothing() -> None:
    wrong = [
        f"{name_of(path)}:{statement.lineno} calls {name}"
        for path in SOURCES
        for statement in run_on_import(ast.parse(path.read_text(encoding="utf-8")))
        for name in called_names(statement)
        if name in ACTS
    ]
    assert wrong == []


def test_no_file_grows_too_long_to_read() -> None:
    lines = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in ALL_CODE}
    assert {name: count for name, count in lines.items() if count > LONGEST_LINES} == {}


def test_no_module_has_a_name_that_fits_everything() -> None:
    vague = {"utils", "util", "helpers", "misc", "common"}
    assert [name_of(path) for path in ALL_CODE if path.stem in vague] == []


def test_no_line_is_exempt_from_the_linter() -> None:
    mark = "# no" + "qa"
    assert [name_of(path) for path in ALL_CODE if mark in path.read_text(encoding="utf-8")] == []


def homes_of_test(test: Path) -> list[Path]:
    """The modules and packages that a test file may be named after.

    tests/labels/test_grids.py -> zeus_app/labels/grids.py; tests/targets/test_targets.py -> the
    package zeus_app/targets.
    """
    below, stem = test.relative_to(ROOT / "tests").parent, test.stem.removeprefix("test_")
    homes = [ROOT / "zeus_app" / below, ROOT / below]
    if not below.name:
        homes.append(ROOT / "scripts")
    packages = [home for home in homes if below.name == stem]
    return [*(home / f"{stem}.py" for home in homes), *(home / stem for home in homes), *packages]


def list_tests(folder: Path) -> list[Path]:
    return sorted(folder.rglob("test_*.py"))


def test_every_folder_of_tests_mirrors_a_package() -> None:
    tests = {path.relative_to(ROOT / "tests") for path in list_tests(ROOT / "tests")}
    folders = {path.parent for path in tests if str(path) not in CROSS_CUTTING}
    homes = (ROOT, ROOT / "zeus_app")
    assert [f for f in folders if not any((home / f).is_dir() for home in homes)] == []


def test_every_test_file_is_named_after_a_module_or_is_listed_as_cross_cutting() -> None:
    unnamed = {
        str(test.relative_to(ROOT / "tests"))
        for test in list_tests(ROOT / "tests")
        if not any(path.exists() for path in homes_of_test(test))
    }
    assert unnamed == CROSS_CUTTING


@pytest.mark.parametrize(
    ("room", "other", "allowed"),
    [
        ("pipeline", "models", True),
        ("models", "pipeline", False),
        ("models", "encoders", False),  # on the same floor
        (None, "api", True),  # the package itself re-exports it
        (None, "types", False),
    ],
)
def test_a_room_may_import_lower_floors_only(room: str | None, other: str, allowed: bool) -> None:
    assert may_import(room, other) is allowed


def test_a_call_hidden_in_a_class_body_is_seen() -> None:
    tree = ast.parse("class A:\n    data = open('x').read()\n\ndef f():\n    run()\n")
    assert {n for s in run_on_import(tree) for n in called_names(s)} == {"open", "read"}


def test_a_relative_import_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    module = tmp_path / "zeus_app" / "studies" / "align.py"
    module.parent.mkdir(parents=True)
    module.write_text("from ..models import zeus\nfrom .slices import stack\n")
    assert list(find_imports(module)) == ["zeus_app.models", "zeus_app.studies.slices"]
