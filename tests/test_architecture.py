"""Who may import whom (docs/architecture.md), read from the syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_LINES = 400

BASE = {
    "config", "derived", "devices", "errors", "files", "named_yaml", "progress", "protocols",
    "registry", "state", "targets", "types", "weights",
}  # fmt: skip
LEAVES = {
    "baselines", "cache", "encoders", "fusion", "instructions", "metrics", "models",
    "profiles", "reporting", "studies",
}  # fmt: skip
ASSEMBLY = {
    "build", "clicks", "describe", "instruct", "launch", "pipeline", "server", "training", "zeus",
}  # fmt: skip
ENTRANCES = {"cache_cli", "cli", "demo", "real"}
LEVELS = {
    **dict.fromkeys(BASE, 0),
    **dict.fromkeys(LEAVES, 1),
    **dict.fromkeys(ASSEMBLY, 2),
    **dict.fromkeys(ENTRANCES | {"infer", "trainers"}, 3),
    "apps": 4,
}
LEAF_MAY_IMPORT = {("baselines", "instructions")}
ONLY_CORE = {"config", "errors", "registry", "types"}
MONAILABEL_ROOMS = {"apps", "infer", "server", "trainers"}

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


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(dotted: str) -> str | None:
    """The room of a module of ours, None for the world's: zeus_app.studies.align -> studies."""
    parts = dotted.split(".")
    if parts[0] in {"apps", "infer", "trainers"}:
        return parts[0]
    return parts[1] if parts[0] == "zeus_app" and len(parts) > 1 else None


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; `from a import b` gives a and a.b."""
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
    """Whether a room may import another; the package zeus_app itself may import nothing."""
    if room is None or other not in LEVELS or room not in LEVELS:
        return False
    if (room, other) in LEAF_MAY_IMPORT:
        return True
    return LEVELS[other] < LEVELS[room] or (LEVELS[other] == LEVELS[room] and room not in LEAVES)


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
    """Last names of what a statement calls, leaving out what lambdas would call later."""
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


def test_the_sources_are_found() -> None:
    assert {"config.py", "types.py", "cli.py"} <= {path.name for path in SOURCES}


def test_every_module_has_a_place_on_the_map() -> None:
    rooms = {room_of(dotted_name(path)) for path in SOURCES} - {None}
    assert rooms - LEVELS.keys() == set()


def test_imports_run_downward_and_leaves_do_not_import_each_other() -> None:
    wrong = [
        f"{name_of(path)} imports {other}"
        for path in SOURCES
        for other in sorted(room_imports(path))
        if not may_import(room_of(dotted_name(path)), other)
    ]
    assert wrong == []


def test_the_core_imports_nothing_of_zeus_but_itself() -> None:
    core = [path for path in SOURCES if room_of(dotted_name(path)) in ONLY_CORE]
    assert {name_of(path): room_imports(path) - ONLY_CORE for path in core} == {
        name_of(path): set() for path in core
    }


def test_monailabel_is_imported_in_four_rooms_alone() -> None:
    wrong = [
        name_of(path)
        for path in SOURCES
        if room_of(dotted_name(path)) not in MONAILABEL_ROOMS
        and any(module.split(".")[0] == "monailabel" for module in imports_of(path))
    ]
    assert wrong == []


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
    lines = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert {name: count for name, count in lines.items() if count > LONGEST_LINES} == {}


def test_there_is_no_drawer_called_utils() -> None:
    drawers = {"utils", "util", "helpers", "misc", "common"}
    assert [name_of(path) for path in SOURCES if path.stem in drawers] == []


def test_a_call_hidden_in_a_class_body_is_seen() -> None:
    tree = ast.parse("class A:\n    data = open('x').read()\n\ndef f():\n    run()\n")
    assert {n for s in run_on_import(tree) for n in called_names(s)} == {"open", "read"}


def test_a_relative_import_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    module = tmp_path / "zeus_app" / "studies" / "align.py"
    module.parent.mkdir(parents=True)
    module.write_text("from ..models import zeus\nfrom .slices import stack\n")
    assert list(imports_of(module)) == ["zeus_app.models", "zeus_app.studies.slices"]
