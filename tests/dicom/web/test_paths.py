"""Addresses of DICOMweb: those of the standard are read, all others are refused."""

import pytest

from zeus_app.dicom.web.paths import read_path
from zeus_app.errors import UnknownNameError

IMAGE = "studies/1.2/series/1.3/instances/1.4"


@pytest.mark.parametrize(
    ("text", "uids", "kind"),
    [
        ("studies", ("", "", ""), "studies"),
        ("series", ("", "", ""), "series"),
        ("instances", ("", "", ""), "instances"),
        ("studies/1.2", ("1.2", "", ""), ""),
        ("studies/1.2/series", ("1.2", "", ""), "series"),
        ("studies/1.2/instances", ("1.2", "", ""), "instances"),
        ("studies/1.2/metadata", ("1.2", "", ""), "metadata"),
        ("studies/1.2/series/1.3", ("1.2", "1.3", ""), ""),
        ("studies/1.2/series/1.3/instances", ("1.2", "1.3", ""), "instances"),
        ("studies/1.2/series/1.3/metadata", ("1.2", "1.3", ""), "metadata"),
        ("studies/1.2/series/1.3/thumbnail", ("1.2", "1.3", ""), "thumbnail"),
        (IMAGE, ("1.2", "1.3", "1.4"), ""),
        (f"{IMAGE}/metadata", ("1.2", "1.3", "1.4"), "metadata"),
        (f"{IMAGE}/rendered", ("1.2", "1.3", "1.4"), "rendered"),
    ],
)
def test_an_address_names_a_resource(text: str, uids: tuple[str, ...], kind: str) -> None:
    path = read_path(text)
    assert (path.study, path.series, path.instance) == uids
    assert path.kind == kind
    assert path.text == text


def test_frames_are_counted_from_one() -> None:
    path = read_path(f"{IMAGE}/frames/1,12")
    assert (path.kind, path.frames) == ("frames", (1, 12))


def test_a_frame_may_be_rendered() -> None:
    path = read_path(f"{IMAGE}/frames/3/rendered")
    assert (path.kind, path.frames) == ("rendered", (3,))


@pytest.mark.parametrize("word", ["bulkdata", "bulk"])
def test_bulk_data_have_addresses_of_their_own(word: str) -> None:
    path = read_path(f"{IMAGE}/{word}/7fe00010/1")
    assert (path.kind, path.bulk) == ("bulkdata", "7fe00010/1")


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "study", "studies/", "studies//series", "studies/..", "studies/1.2/..",
        "studies/1.2/../../admin", "studies/1.2/series/1.3/instances/../../../instances",
        "studies/a", "studies/1..2", "studies/.1", "studies/1.", "studies/" + "1" * 65,
        "studies/1.2/reject", "studies/1.2/series/1.3/instances/1.4/reject",
        "studies/1.2?x=1", "studies/1.2#x", "studies/1.2%2F..", "studies/1.2\\..", "studies/1.2 ",
        "studies/1.2\n", "studies/\uff11.2", "http://127.0.0.1/studies", "//127.0.0.1/studies",
        "studies/1.2/http://evil.example", "studies@evil.example/", "studies/1.2/series/1.3/x",
        f"{IMAGE}/frames", f"{IMAGE}/frames/0", f"{IMAGE}/frames/a", f"{IMAGE}/frames/1,",
        f"{IMAGE}/frames/1,2/rendered", f"{IMAGE}/frames/1/metadata", f"{IMAGE}/frames/9999999",
        f"{IMAGE}/bulkdata", f"{IMAGE}/bulkdata/..", f"{IMAGE}/bulkdata/1/../../..",
        f"{IMAGE}/bulkdata//x", f"{IMAGE}/metadata/", f"{IMAGE}/studies", "bulkdata/1",
        "series/1.3", "instances/1.4", "studies/series",
    ],
)  # fmt: skip
def test_another_address_is_refused(text: str) -> None:
    with pytest.raises(UnknownNameError, match="DICOMweb address"):
        read_path(text)
