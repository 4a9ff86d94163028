"""A study of a PACS is listed by its UID, recognised when it is opened, and read like any other."""

import gzip
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.dicom.fake_pacs import FakePacs, served
from tests.studies.tiny_files import SAGITTAL, dicom_series
from tests.waiting import wait_until
from zeus_app.dicom.web.errors import NotInPacsError
from zeus_app.errors import InputError, PacsAwayError, PacsError, UnknownNameError
from zeus_app.labels.files import write_volume
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.server.studies.labelled import labelled_studies
from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.types import Volume

STUDY = "1.2.3"


def examination(folder: Path) -> Iterator[Path]:
    dicom_series(folder / "3", "t2_tse_sag", orientation=SAGITTAL,
                 positions=[(0, 0, 0), (3, 0, 0)])  # fmt: skip
    dicom_series(folder / "4", "t2_tse_tra")
    adc = ("DERIVED", "DIFFUSION", "ADC")
    dicom_series(folder / "7", "ep2d_diff", b_values=(800,), image_type=adc)
    return folder.rglob("*.dcm")


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[FakePacs]:
    with served(FakePacs()) as running:
        running.add_files(examination(tmp_path / "source" / "anna"))
        yield running


def opened(pacs: FakePacs, state: Path, **conf: str) -> ServerContext:
    settings = {"pacs_timeout_s": "5", "target": "prostate", "state": str(state), **conf}
    return open_context(pacs.url, settings)


@pytest.fixture
def catalogue(pacs: FakePacs, tmp_path: Path) -> Catalogue:
    return opened(pacs, tmp_path / "state").datastore.catalogue


def test_a_study_is_listed_by_its_uid_and_not_opened(pacs: FakePacs, catalogue: Catalogue) -> None:
    assert [*catalogue.studies] == [STUDY]
    assert catalogue.study_of(STUDY) == STUDY
    assert pacs.count("metadata") == 0


def test_an_opened_study_has_the_sequences_of_the_same_study_in_a_folder(
    pacs: FakePacs, catalogue: Catalogue, tmp_path: Path
) -> None:
    files = catalogue.resolve(STUDY).files
    folder = find_studies(tmp_path / "source", load_target("prostate")).studies["anna"]
    assert files.evidence == folder.evidence
    assert files.sources.keys() == folder.sources.keys() == {"T2", "ADC"}
    assert files.series.keys() == folder.series.keys()
    for name, source in folder.sources.items():
        assert files.sources[name].grid().matches(source.grid())
    assert pacs.count("/metadata") == 1
    assert pacs.count("/series/") == 0  # no voxel was asked for


def test_the_voxels_are_those_of_the_files(catalogue: Catalogue, tmp_path: Path) -> None:
    folder = find_studies(tmp_path / "source", load_target("prostate")).studies["anna"]
    study = catalogue.read(catalogue.resolve(STUDY))
    for name, source in folder.sources.items():
        assert np.array_equal(study.volumes[name].array, source.load().array)


def test_an_enhanced_file_of_several_b_values_is_that_of_the_folder(
    pacs: FakePacs, tmp_path: Path
) -> None:
    places = [(0.0, 0.0, 3.0 * n) for n in range(3)]
    frames = [Frame(place, b_value=b) for b in (50.0, 1400.0) for place in places]
    folder = tmp_path / "enhanced"
    path = enhanced_mr(
        folder / "bob" / "1.dcm", frames, "ep2d_diff", is_rle=True, StudyInstanceUID="1.2.5"
    )
    pacs.add_files([path])
    catalogue = opened(pacs, tmp_path / "state").datastore.catalogue
    here = find_studies(folder, load_target("prostate")).studies["bob"]
    there = catalogue.resolve("1.2.5").files
    assert there.evidence == here.evidence
    assert there.sources.keys() == here.sources.keys() == {"HBV"}
    source = there.sources["HBV"]
    assert source.grid().matches(here.sources["HBV"].grid())
    assert np.array_equal(source.load().array, here.sources["HBV"].load().array)


def test_a_study_is_opened_once_for_many_requests(pacs: FakePacs, catalogue: Catalogue) -> None:
    pacs.fault = {f"/studies/{STUDY}/metadata": "slow"}
    threads = [threading.Thread(target=catalogue.resolve, args=(STUDY,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: pacs.count("metadata"))
    assert [*catalogue.studies] == [STUDY]  # the list waits for nobody
    pacs.released.set()
    for thread in threads:
        thread.join()
    assert pacs.count("metadata") == 1


def test_headers_are_not_asked_for_again_after_a_restart(
    pacs: FakePacs, catalogue: Catalogue, tmp_path: Path
) -> None:
    catalogue.resolve(STUDY)
    again = opened(pacs, tmp_path / "state").datastore.catalogue
    assert again.resolve(STUDY).files.sources.keys() == {"T2", "ADC"}
    assert pacs.count("metadata") == 1


def test_headers_are_asked_for_again_when_the_study_got_more_images(
    pacs: FakePacs, tmp_path: Path
) -> None:
    store = opened(pacs, tmp_path / "state").datastore
    store.catalogue.resolve(STUDY)
    trace = ("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW")
    more = dicom_series(tmp_path / "more", "ep2d_diff", b_values=(1400,), image_type=trace)
    pacs.add_files(more.glob("*"))
    store.refresh()
    assert store.catalogue.resolve(STUDY).files.sources.keys() == {"T2", "ADC", "HBV"}


def test_no_patient_id_is_stored_or_shown(
    pacs: FakePacs, catalogue: Catalogue, tmp_path: Path
) -> None:
    catalogue.read(catalogue.resolve(STUDY))
    state = tmp_path / "state"
    assert catalogue.studies[STUDY].patient == Pseudonyms.of_folder(state).of("anna")
    texts = [path.read_bytes() for path in state.rglob("*.json")]
    texts += [gzip.decompress(path.read_bytes()) for path in state.rglob("*.json.gz")]
    assert len(texts) >= 2
    assert not any(b"anna" in text for text in texts)


def test_other_users_of_the_machine_do_not_see_the_images(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    catalogue.read(catalogue.resolve(STUDY))
    assert (tmp_path / "state" / "pacs").stat().st_mode & 0o077 == 0


def test_a_patient_that_the_list_does_not_name_is_taken_from_the_headers(
    pacs: FakePacs, tmp_path: Path
) -> None:
    del pacs.rows[STUDY]["00100020"]
    catalogue = opened(pacs, tmp_path / "state").datastore.catalogue
    patient = Pseudonyms.of_folder(tmp_path / "state").of("anna")
    assert catalogue.resolve(STUDY).files.patient == patient


def test_a_study_without_a_sequence_of_the_target_becomes_a_problem_with_the_reason(
    pacs: FakePacs, tmp_path: Path
) -> None:
    knee = dicom_series(tmp_path / "knee", "pd_tse_fs", study_uid="1.2.4")
    pacs.add_files(knee.glob("*"))
    store = opened(pacs, tmp_path / "state").datastore
    with pytest.raises(InputError, match=r"no series is a sequence .*'4 pd_tse_fs'"):
        store.catalogue.resolve("1.2.4")
    assert [*store.catalogue.studies] == [STUDY]
    assert [problem.id for problem in store.catalogue.problems] == ["1.2.4"]
    store.refresh()
    assert pacs.count("1.2.4/metadata") == 1


def test_headers_of_another_study_are_not_taken(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_row("1.2.9")
    pacs.images["1.2.9"] = pacs.images[STUDY]
    with pytest.raises(InputError, match="the PACS has no image of it"):
        opened(pacs, tmp_path / "state").datastore.catalogue.resolve("1.2.9")


def test_a_reason_names_the_series_and_no_folder(pacs: FakePacs, tmp_path: Path) -> None:
    gap = dicom_series(tmp_path / "gap", "t2_tse_tra", study_uid="1.2.4",
                       positions=[(0, 0, 0), (0, 0, 3), (0, 0, 9)])  # fmt: skip
    pacs.add_files(gap.glob("*"))
    (series,) = pacs.images["1.2.4"]
    with pytest.raises(InputError, match="a slice is missing") as refusal:
        opened(pacs, tmp_path / "state").datastore.catalogue.resolve("1.2.4")
    assert f"series {series}: slices" in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_a_series_names_its_study_before_and_after_it_is_opened(
    pacs: FakePacs, catalogue: Catalogue
) -> None:
    sagittal, axial, _ = pacs.images[STUDY]
    assert catalogue.resolve(sagittal).image_id == f"{STUDY}/{sagittal}"
    assert catalogue.resolve(axial).image_id == f"{STUDY}/T2"
    assert pacs.count("/series?") == 1


@pytest.mark.parametrize("image", ["1.2.9", "anna", f"{STUDY}/T3", "../1.2.3"])
def test_an_unknown_id_is_refused(catalogue: Catalogue, image: str) -> None:
    with pytest.raises(UnknownNameError):
        catalogue.resolve(image)


def test_a_study_that_is_gone_leaves_the_list_and_its_labels_stay(
    pacs: FakePacs, tmp_path: Path
) -> None:
    store = opened(pacs, tmp_path / "state").datastore
    store.history.save(STUDY, "final", store.catalogue.read(store.catalogue.resolve(STUDY))
                       .volumes["T2"], {})  # fmt: skip
    pacs.remove(STUDY)
    store.refresh()
    assert store.list_images() == []
    (orphan,) = store.orphaned_labels
    assert orphan.id == STUDY
    assert "The PACS does not list such a study" in orphan.reason


def test_a_study_that_goes_before_it_is_opened_is_told_as_gone(
    pacs: FakePacs, catalogue: Catalogue
) -> None:
    pacs.remove(STUDY)
    with pytest.raises(NotInPacsError):
        catalogue.resolve(STUDY)
    assert catalogue.studies == {}


@pytest.mark.parametrize("fault", [503, 500, "html", "half"])
def test_a_pacs_that_fails_costs_no_study_and_no_sequence(
    pacs: FakePacs, catalogue: Catalogue, fault: object
) -> None:
    resolved = catalogue.resolve(STUDY)
    pacs.fault = {"/studies/1.2.3/series": fault}
    for read in (catalogue.read, catalogue.usable, catalogue.fetch, catalogue.volume_file):
        with pytest.raises(PacsError):
            read(resolved)
    pacs.fault = {}
    assert catalogue.read(catalogue.resolve(STUDY)).volumes.keys() == {"T2", "ADC"}
    assert catalogue.problems == ()


def test_a_study_whose_headers_were_read_opens_without_the_pacs(
    pacs: FakePacs, catalogue: Catalogue, tmp_path: Path
) -> None:
    catalogue.read(catalogue.resolve(STUDY))
    pacs.fault = {"/": 503}
    away = opened(pacs, tmp_path / "state").datastore.catalogue
    assert away.read(away.resolve(STUDY)).volumes.keys() == {"T2", "ADC"}


def test_a_study_that_was_never_opened_is_told_to_wait_for_the_pacs(
    pacs: FakePacs, catalogue: Catalogue
) -> None:
    pacs.fault = {"/": 503}
    with pytest.raises(PacsAwayError, match="try again later"):
        catalogue.resolve(STUDY)
    assert [*catalogue.studies] == [STUDY]


def test_a_labelled_study_that_cannot_be_opened_ends_no_training(
    pacs: FakePacs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = opened(pacs, tmp_path / "state")
    mask = Volume(np.ones((5, 4, 3), np.uint8), np.eye(4))
    ctx.datastore.history.save(STUDY, "final", mask, {})
    pacs.fault = {"/": 503}
    assert labelled_studies(ctx.datastore, ctx.target) == []
    assert f"study {STUDY} is not learnt from" in caplog.text
    pacs.fault = {}
    (labelled,) = labelled_studies(ctx.datastore, ctx.target)
    assert labelled.read_study().volumes.keys() == {"T2", "ADC"}


def test_an_opened_study_stays_opened_when_its_files_come_and_go(
    pacs: FakePacs, tmp_path: Path
) -> None:
    ctx = opened(pacs, tmp_path / "state")
    resolved = ctx.datastore.catalogue.resolve(STUDY)
    before = ctx.open_study(resolved)  # downloads
    for path in (tmp_path / "state" / "pacs" / "series").glob("*/*/*.dcm"):
        path.unlink()
    assert ctx.open_study(resolved).stack is before.stack
    assert pacs.count("/series/") == 2


def test_a_label_that_was_drawn_in_a_folder_is_that_of_the_study_in_the_pacs(
    pacs: FakePacs, tmp_path: Path
) -> None:
    conf = {"target": "prostate", "state": str(tmp_path / "state")}
    folder = open_context(str(tmp_path / "source"), conf).datastore
    label = tmp_path / "label.nii.gz"
    label.write_bytes(Path(folder.get_image_uri("anna")).read_bytes())
    grid = folder.catalogue.grid(folder.catalogue.resolve("anna"))
    write_volume(label, Volume(np.ones(grid.shape, np.uint8), grid.affine_ras))
    folder.save_label("anna", str(label), "final", {})
    store = opened(pacs, tmp_path / "state").datastore
    assert store.get_labeled_images() == [STUDY]
    assert store.get_label_info(STUDY, "final")["study_uid"] == STUDY
    assert store.orphaned_labels == ()


def test_ten_thousand_studies_are_listed_without_opening_one(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.add_rows(10_000)
    pacs.page = 500
    store = opened(pacs, tmp_path / "state").datastore
    assert len(store.list_images()) == 10_000
    assert store.status()["total"] == 10_000
    assert len(store.json()["objects"]) == 10_000
    store.look()
    assert pacs.count("metadata") == 0
    assert len(pacs.requests) <= 21 + 2  # the list; is it an Orthanc?
