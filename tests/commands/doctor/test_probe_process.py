"""Imports in processes of their own: whatever a package does, the others are still tried."""

from pathlib import Path

import pytest

from zeus_app.commands.doctor import probe_process
from zeus_app.commands.doctor.probe_process import probe


def make_module(folder: Path, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code)


def test_a_module_that_is_missing_fails_or_ends_the_process_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_module(tmp_path, "zz_fails", "raise OSError('libz.so: cannot open')")
    make_module(tmp_path, "zz_aborts", "import os; os.abort()")
    make_module(tmp_path, "zz_exits", "import os; os._exit(7)")
    make_module(tmp_path, "zz_prints", "print('hello'); print('{\"a\"'); print('[1]')")
    make_module(tmp_path, "torch", "raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = ["zz_missing", "zz_aborts", "zz_fails", "zz_exits", "zz_prints", "json"]
    found = probe(names)
    assert found.failures == {
        "zz_missing": "ModuleNotFoundError: No module named 'zz_missing'",
        "zz_aborts": "it ends the process with SIGABRT",
        "zz_fails": "OSError: libz.so: cannot open",
        "zz_exits": "it ends the process with status 7",
    }
    assert (found.gpu, found.runtime_key) == ("", "")


def test_a_module_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_module(tmp_path, "zz_hangs", "import time; time.sleep(60)")
    make_module(tmp_path, "torch", "raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(probe_process, "LONGEST_S", 1.0)
    assert probe(["json", "zz_hangs"]).failures["zz_hangs"] == "it takes longer than 1 s"


def test_a_python_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    assert "No such file" in probe(["json"]).failures["Python"]
