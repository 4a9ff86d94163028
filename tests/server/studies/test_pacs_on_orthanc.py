"""A whole examination in a real Orthanc is read as the same files in a folder are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom.test_source import assert_as_simpleitk
from tests.server.running import free_port
from zeus_app.commands.hospital.orthanc import Login, Orthanc
from zeus_app.server.context import ServerContext, open_context
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.types import StudyFiles

pytestmark = [pytest.mark.orthanc, pytest.mark.real]
LOGIN = Login("zeus", "s3cret")
EXAMINATION = Path(os.environ.get("ZEUS_REAL_DATA", ".")) / "prostate/ProstateX-0000/dicom"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc with the seven series of ProstateX-0000."""
    with Orthanc(tmp_path_factory.mktemp("orthanc"), port=free_port(), login=LOGIN) as started:
        started.upload(sorted(EXAMINATION.rglob("*.dcm")))
        yield started


@pytest.fixture
def ctx(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerContext:
    monkeypatch.setenv("ZEUS_PACS_USER", LOGIN.user)
    monkeypatch.setenv("ZEUS_PACS_PASSWORD", LOGIN.password)
    return open_context(orthanc.dicomweb_url, {"target": "prostate", "state": str(tmp_path)})


@pytest.fixture
def in_folder() -> StudyFiles:
    (study,) = find_studies(EXAMINATION, load_target("prostate")).studies.values()
    return study


def opened(ctx: ServerContext) -> StudyFiles:
    (study,) = ctx.datastore.list_images()
    return ctx.datastore.catalogue.resolve(study).files


def test_sequences_and_evidence_are_those_of_the_folder(
    ctx: ServerContext, in_folder: StudyFiles
) -> None:
    files = opened(ctx)
    assert files.study_uid == in_folder.study_uid
    assert [*files.sources] == ["T2", "ADC", "HBV"]
    assert files.evidence == in_folder.evidence


def test_the_grid_of_every_series_is_that_of_the_folder(
    ctx: ServerContext, in_folder: StudyFiles
) -> None:
    files = opened(ctx)
    assert files.series.keys() == in_folder.series.keys()
    assert len(files.series) == 7
    assert all(s.grid().matches(in_folder.series[uid].grid()) for uid, s in files.series.items())


def test_every_series_has_the_voxels_and_places_that_simpleitk_reads_of_the_files(
    ctx: ServerContext, in_folder: StudyFiles
) -> None:
    for uid, source in opened(ctx).series.items():
        assert_as_simpleitk(source, files=in_folder.series[uid].files)


def test_a_series_names_its_study(ctx: ServerContext, in_folder: StudyFiles) -> None:
    uid = next(uid for uid, s in in_folder.series.items() if s == in_folder.sources["ADC"])
    assert ctx.datastore.catalogue.resolve(uid).image_id == f"{in_folder.study_uid}/ADC"


def test_what_was_sent_now_changes_the_number_of_the_newest_change(
    ctx: ServerContext, orthanc: Orthanc
) -> None:
    web = ctx.datastore.catalogue.web  # type: ignore[attr-defined]
    before = web.last_change()
    assert isinstance(before, int)
    files = sorted(EXAMINATION.rglob("*.dcm"))
    orthanc.upload(files[:1])
    assert web.last_change() > before
