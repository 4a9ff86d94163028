"""Headers tell the sequence of a series before its names do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.studies.tiny_files import SAGITTAL, dicom_series
from zeus_app.dicom.series import read_header
from zeus_app.dicom.series_kind import Series, SeriesKind, chaos_folder, kind_of, series_of
from zeus_app.targets import load_target
from zeus_app.targets.naming import Names

BRAIN = Names.of(load_target("brain_tumour"))
PROSTATE = Names.of(load_target("prostate"))
ABDOMEN = Names.of(load_target("abdomen"))
POSITIONS = ((0, 0, 0), (0, 0, 3), (0, 0, 6))


def series(root: Path, description: str, folder: str = "x", **elements: Any) -> list[Series]:
    dicom_series(root / folder, description, **elements)
    return series_of([read_header(path) for path in sorted((root / folder).iterdir())], root)


def kind(root: Path, description: str, names: Names = BRAIN, **elements: Any) -> SeriesKind:
    (only,) = series(root, description, **elements)
    return kind_of(only, names)


def test_a_description_tells_the_sequence(tmp_path: Path) -> None:
    found = kind(tmp_path, "AX T1 POST x")
    assert (found.sequence, found.evidence, found.extra) == ("T1Gd", "T1, POST", 2)
    assert (found.reason, found.traits, found.b_value) == ("", frozenset(), 0)


def test_the_protocol_tells_it_if_the_description_does_not(tmp_path: Path) -> None:
    assert kind(tmp_path, "AX 3D", ProtocolName="T2 TSE").sequence == "T2"
    assert kind(tmp_path / "b", "AX T1", ProtocolName="T2 TSE").sequence == "T1"


@pytest.mark.parametrize("description", ["AX POST FS", "Post contrast", "+C"])
def test_a_word_for_contrast_in_the_description_counts_with_the_protocol(
    tmp_path: Path, description: str
) -> None:
    assert kind(tmp_path, description, ProtocolName="T1 SE").sequence == "T1Gd"


def test_the_folder_tells_it_last(tmp_path: Path) -> None:
    (only,) = series(tmp_path, "", folder="4_FLAIR")
    assert kind_of(only, BRAIN).sequence == "FLAIR"


@pytest.mark.parametrize(
    ("agent", "sequence"),
    [
        ("Gadovist", "T1Gd"), ("GADAVIST 7.5 ML", "T1Gd"), ("Yes", "T1Gd"), ("", "T1"),
        ("None", "T1"), ("NO CONTRAST", "T1"), ("Non Contrast", "T1"), ("ohne KM", "T1"),
        ("without", "T1"), ("w/o", "T1"), ("N/A", "T1"), ("0", "T1"),
    ],
)  # fmt: skip
def test_a_contrast_agent_in_the_header_makes_t1_t1gd(
    tmp_path: Path, agent: str, sequence: str
) -> None:
    assert kind(tmp_path, "AX T1", ContrastBolusAgent=agent).sequence == sequence


def test_a_description_that_says_before_contrast_wins_over_the_agent(tmp_path: Path) -> None:
    assert kind(tmp_path, "AX T1 PRE", ContrastBolusAgent="Gadovist").sequence == "T1"


def test_other_sequences_with_an_agent_are_second_choice(tmp_path: Path) -> None:
    found = kind(tmp_path, "AX FLAIR", ContrastBolusAgent="Gadovist")
    assert (found.sequence, found.traits) == ("FLAIR", frozenset({"after contrast"}))


@pytest.mark.parametrize(
    ("image_type", "reason"),
    [
        (("ORIGINAL", "PRIMARY", "P", "ND"), "is a phase image (P)"),
        (("DERIVED", "PRIMARY", "PHASE MAP"), "is a phase image (PHASE MAP)"),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "is a localizer (Image Type LOCALIZER)"),
        (("DERIVED", "PRIMARY", "SUBTRACTION"), "is a subtraction (Image Type SUBTRACTION)"),
        (("DERIVED", "PRIMARY", "PERFUSION"), "is perfusion (Image Type PERFUSION)"),
        (("DERIVED", "PRIMARY", "T1 MAP"), "is a map (Image Type T1 MAP)"),
    ],
)
def test_image_type_tells_what_is_no_sequence(
    tmp_path: Path, image_type: Sequence[str], reason: str
) -> None:
    found = kind(tmp_path, "AX T1", image_type=image_type)
    assert (found.sequence, found.reason) == ("", reason)


@pytest.mark.parametrize("value", ["MIP", "MPR", "PROJECTION IMAGE", "REFORMATTED", "MINIP"])
def test_projections_and_reformats_are_second_choice(tmp_path: Path, value: str) -> None:
    found = kind(tmp_path, "AX T1", image_type=("DERIVED", "SECONDARY", value))
    assert (found.sequence, found.traits) == ("T1", frozenset({"projection", "derived"}))


def test_the_plane_goes_by_the_orientation_not_by_the_name(tmp_path: Path) -> None:
    sagittal: dict[str, Any] = {"orientation": SAGITTAL, "positions": ((0, 0, 0), (3, 0, 0))}
    assert kind(tmp_path / "a", "AX T1", **sagittal).traits == {"off-axis"}
    assert kind(tmp_path / "b", "SAG T1").traits == frozenset()


@pytest.mark.parametrize(
    ("description", "b_values", "image_type", "sequence", "b_value"),
    [
        ("ep2d_diff", [1400], ("ORIGINAL", "PRIMARY"), "HBV", 1400),
        ("ep2d_diff", [50], ("ORIGINAL", "PRIMARY"), "DWI", 50),
        ("ep2d_diff_b1400", [], ("ORIGINAL", "PRIMARY"), "HBV", 1400),
        ("ep2d_diff_CALC_BVAL", [], ("DERIVED", "PRIMARY"), "HBV", float("inf")),
        ("series 7", [1000], ("ORIGINAL", "PRIMARY", "DIFFUSION"), "HBV", 1000),
        ("ep2d_diff_ADC", [], ("DERIVED", "PRIMARY", "ADC"), "ADC", 0),
        ("series 8", [], ("DERIVED", "PRIMARY", "ADC"), "ADC", 0),
    ],
)
def test_b_values_and_adc_come_from_the_headers(
    tmp_path: Path,
    description: str,
    b_values: list[float],
    image_type: Sequence[str],
    sequence: str,
    b_value: float,
) -> None:
    found = kind(tmp_path, description, PROSTATE, b_values=b_values, image_type=image_type)
    assert found.sequence == (sequence if sequence != "DWI" else "")
    if sequence == "DWI":
        assert found.reason.startswith("shows DWI")
    else:
        assert found.b_value == b_value
        assert "derived" not in found.traits


@pytest.mark.parametrize(
    ("value", "sequence"),
    [("IN_PHASE", "T1-in"), ("OUT_PHASE", "T1-out"), ("OPP_PHASE", "T1-out")],
)
def test_phases_of_a_dixon_series_come_from_image_type(
    tmp_path: Path, value: str, sequence: str
) -> None:
    found = kind(tmp_path, "LAVA", ABDOMEN, image_type=("DERIVED", "PRIMARY", value))
    assert (found.sequence, found.evidence) == (sequence, f"LAVA, Image Type {value}")


def test_the_reason_tells_what_a_series_shows(tmp_path: Path) -> None:
    reasons = [
        kind(tmp_path / str(n), text).reason
        for n, text in enumerate(["TOF 3D", "T1 PRE/POST", "series"])
    ]
    assert reasons == [
        "shows MRA (TOF), no sequence of the target",
        "could be T1 or T1Gd",
        "has no description that tells its sequence",
    ]


def test_a_double_echo_is_two_series(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    dicom_series(folder, "PD T2 TSE", EchoTime=90.0, EchoNumbers=2, names=["a", "b", "c"])
    first = read_header(folder / "a")
    dicom_series(
        folder, "PD T2 TSE", EchoTime=12.0, EchoNumbers=1, names=["d", "e", "f"],
        SeriesInstanceUID=first.series_uid,
    )  # fmt: skip
    found = series_of([read_header(path) for path in sorted(folder.iterdir())], tmp_path)
    assert [(one.echo, one.headers[0].echo[1]) for one in found] == [(1, 12.0), (2, 90.0)]
    kinds = [kind_of(one, BRAIN) for one in found]
    assert [one.sequence for one in kinds] == ["", "T2"]
    assert kinds[0].reason.startswith("shows PD")


def test_images_of_several_times_that_are_no_double_echo_stay_one_series(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    dicom_series(folder, "T1", EchoTime=12.0, names=["a", "b", "c"])
    uid = read_header(folder / "a").series_uid
    dicom_series(
        folder, "T1", EchoTime=13.0, names=["d"], positions=[(0, 0, 9)], SeriesInstanceUID=uid
    )
    (only,) = series_of([read_header(path) for path in sorted(folder.iterdir())], tmp_path)
    assert (only.echo, len(only.headers)) == (0, 4)


def test_files_come_in_the_order_of_their_positions(tmp_path: Path) -> None:
    (only,) = series(tmp_path, "T1", positions=tuple(reversed(POSITIONS)))
    assert [path.name for path in only.files] == ["002.dcm", "001.dcm", "000.dcm"]
    assert only.known_grid is not None


def test_images_that_are_no_volume_have_no_grid(tmp_path: Path) -> None:
    (only,) = series(tmp_path, "T1", positions=((0, 0, 0), (0, 0, 3), (0, 0, 20)))
    assert only.known_grid is None
    assert len(only.files) == 3


def test_messages_name_a_series_by_number_and_description(tmp_path: Path) -> None:
    (only,) = series(tmp_path, "T1 sag", orientation=SAGITTAL, positions=((0, 0, 0), (3, 0, 0)))
    assert str(only) == "'4 T1 sag' (2 images, not axial)"


def test_in_the_layout_of_chaos_folders_tell_the_phases(tmp_path: Path) -> None:
    for phase in ("InPhase", "OutPhase"):
        dicom_series(tmp_path / "1" / "T1DUAL" / "DICOM_anon" / phase, "", SeriesInstanceUID="1.2")
    headers = [read_header(path) for path in sorted(tmp_path.rglob("*.dcm"))]
    found = series_of(headers, tmp_path / "1")
    assert [kind_of(one, ABDOMEN).sequence for one in found] == ["T1-in", "T1-out"]
    assert chaos_folder(headers[0].path) == tmp_path / "1"
    assert chaos_folder(tmp_path / "x.dcm") is None
