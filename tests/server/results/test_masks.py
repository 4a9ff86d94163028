"""Who made a mask, as far as Zeus can know it."""

from pathlib import Path
from typing import Any

import pytest

from tests.server.results.dicom_study import LESION, DicomServer, labels
from zeus_app.dicom.segmentation.writing import Authorship
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.results.masks import Masks, MaskVersion

LABEL = labels(LESION)


@pytest.fixture
def server(tmp_path: Path) -> DicomServer:
    return DicomServer(tmp_path)


def newest(server: DicomServer, tag: str = "") -> MaskVersion:
    ctx = server.ctx
    return Masks(ctx.datastore, ctx.click_history, ctx.target).newest(server.study, tag)


def click(server: DicomServer) -> None:
    """Store a user's clicks, as an older request left them."""
    path = server.ctx.state.clicks / "0011223344556677" / f"{server.study}.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")


def test_a_prediction_is_automatic_and_its_version_is_its_checkpoint(server: DicomServer) -> None:
    server.predict(LABEL, checkpoint="v0007")
    mask = newest(server, "original")
    assert mask.authorship == Authorship("AUTOMATIC", algorithm_version="v0007")
    assert mask.version == "v0007"


def test_a_label_without_a_prediction_and_without_clicks_is_manual(server: DicomServer) -> None:
    server.submit(LABEL, user="anna")
    assert newest(server).authorship == Authorship("MANUAL", creator="anna")


def test_a_label_after_a_prediction_is_semiautomatic_by_its_checkpoint(
    server: DicomServer,
) -> None:
    server.predict(LABEL, checkpoint="v0007")
    server.submit(LABEL)
    mask = newest(server)
    assert mask.authorship == Authorship("SEMIAUTOMATIC", algorithm_version="v0007")
    assert mask.sequences == ("T2", "FLAIR")


def test_a_prediction_after_the_label_makes_it_no_less_manual(server: DicomServer) -> None:
    server.submit(LABEL)
    newer = server.ctx.datastore.history.newest(server.study, "final")
    assert newer is not None
    server.ctx.datastore.history.update_info(server.study, "final", {"ts": newer.info["ts"] - 60})
    server.predict(LABEL)
    assert newest(server, "final").authorship.made_by == "MANUAL"


def test_a_label_of_a_study_with_clicks_is_semiautomatic(server: DicomServer) -> None:
    server.submit(LABEL)
    click(server)
    assert newest(server).authorship.made_by == "SEMIAUTOMATIC"


@pytest.mark.parametrize(
    ("info", "made_by"),
    [
        ({"imported_from": "/masks/a.nii.gz"}, "MANUAL"),
        ({"imported_from": "1.2.3", "made_by": "SEMIAUTOMATIC"}, "SEMIAUTOMATIC"),
        ({"model": "zeus", "params": {"checkpoint": "v0003"}}, "AUTOMATIC"),
        ({"model": "clicks_3d", "params": {"steps": 2}}, "SEMIAUTOMATIC"),
    ],
)
def test_what_zeus_noted_with_a_label_decides(
    server: DicomServer, info: dict[str, Any], made_by: str
) -> None:
    server.submit(LABEL)
    server.ctx.datastore.history.update_info(server.study, "final", info)
    assert newest(server).authorship.made_by == made_by


def test_without_a_tag_the_final_label_comes_before_the_prediction(server: DicomServer) -> None:
    server.predict(LABEL)
    assert newest(server).tag == "original"
    server.submit(LABEL)
    assert newest(server).tag == "final"


def test_a_missing_mask_is_told_with_what_to_do(server: DicomServer) -> None:
    server.predict(LABEL)
    with pytest.raises(UnknownNameError, match="PUT /datastore/label"):
        newest(server, "final")


def test_a_draft_becomes_no_result(server: DicomServer) -> None:
    server.submit(LABEL, tag="draft")
    with pytest.raises(InputError, match="send the tag final"):
        newest(server, "draft")
