from pathlib import Path

import pytest
from typer.testing import CliRunner

from zeus_app.commands.hospital import orthanc
from zeus_app.commands.hospital.run import HospitalPaths, write_phantoms
from zeus_app.commands.main import app
from zeus_app.errors import InputError


def test_without_phantoms_set_up_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no sample studies.*make setup"):
        write_phantoms(HospitalPaths(phantoms=tmp_path, out=tmp_path), 1)


def test_without_orthanc_its_packages_are_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orthanc, "PLUGIN", tmp_path / "none.so")
    result = CliRunner().invoke(app, ["hospital", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "apt-get install orthanc orthanc-dicomweb" in result.output
    assert not (tmp_path / "out").exists()
