"""A series is divided into volumes where several images lie at one position."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.parts import Part, parts_of
from zeus_app.dicom.series import read_headers

POSITIONS = ((0, 0, 0), (0, 0, 3), (0, 0, 6))


def parts(*paths: Path) -> list[Part]:
    return parts_of(header for path in paths for header in read_headers(path))


def in_folder(folder: Path) -> list[Part]:
    return parts(*sorted(folder.iterdir()))


def described(found: Sequence[Part]) -> list[tuple[str, int]]:
    return [(part.label, len(part.headers)) for part in found]


def test_a_series_of_one_image_at_each_position_is_whole(tmp_path: Path) -> None:
    assert described(in_folder(dicom_series(tmp_path, "t2"))) == [("", 3)]


def test_b_values_are_parts_in_their_order(tmp_path: Path) -> None:
    found = in_folder(dicom_series(tmp_path, "dwi", b_values=(800, 0, 50)))
    assert described(found) == [
        ("b-value 0 s/mm²", 3), ("b-value 50 s/mm²", 3), ("b-value 800 s/mm²", 3)
    ]  # fmt: skip
    assert [part.headers[0].b_value for part in found] == [0, 50, 800]


def test_b_values_at_different_positions_divide_nothing(tmp_path: Path) -> None:
    dicom_series(tmp_path, "dwi", b_values=(0,))
    dicom_series(tmp_path, "dwi", b_values=(800,), names=("x",), positions=[(0, 0, 9)])
    assert described(in_folder(tmp_path)) == [("", 4)]


def test_a_b_value_that_misses_a_slice_leaves_the_others_whole(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "dwi", b_values=(0, 800))
    (folder / "001.dcm").unlink()
    assert described(in_folder(folder)) == [("b-value 0 s/mm²", 2), ("b-value 800 s/mm²", 3)]


def test_images_without_a_b_value_beside_others_are_a_part(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "dwi", b_values=(800,))
    dicom_series(folder, "dwi", names=("a", "b", "c"))
    assert described(in_folder(folder)) == [("no b-value", 3), ("b-value 800 s/mm²", 3)]


def test_the_mean_of_the_directions_is_told_from_single_directions(tmp_path: Path) -> None:
    diffusion = [("NONE", 0.0), *[("DIRECTIONAL", 800.0)] * 3, ("ISOTROPIC", 800.0)]
    frames = [Frame(p, b_value=b, directionality=d) for d, b in diffusion for p in POSITIONS]
    assert described(parts(enhanced_mr(tmp_path / "a.dcm", frames))) == [
        ("b-value 0 s/mm²", 3),
        ("b-value 800 s/mm², mean of the directions", 3),
        ("b-value 800 s/mm², single directions", 9),
    ]


def test_philips_tells_the_mean_of_the_directions_by_its_own_element(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "dwi", b_values=(800, 800))
    for number, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        block = data.private_block(0x2001, "Philips Imaging DD 001", create=True)
        block.add_new(0x04, "CS", "I" if number < 3 else "P")
        data.save_as(path)
    assert described(in_folder(folder)) == [("mean of the directions", 3), ("single directions", 3)]


def test_kinds_of_image_are_parts(tmp_path: Path) -> None:
    dixon: dict[str, Any] = {"SeriesInstanceUID": "1.2.5"}
    for kind in ("IN_PHASE", "OUT_PHASE"):
        names = [f"{kind}{number}" for number in range(3)]
        dicom_series(tmp_path, "dixon", image_type=("DERIVED", "PRIMARY", kind), names=names,
                     **dixon)  # fmt: skip
    assert described(in_folder(tmp_path)) == [
        ("DERIVED\\PRIMARY\\IN_PHASE", 3), ("DERIVED\\PRIMARY\\OUT_PHASE", 3)
    ]  # fmt: skip


def test_echoes_are_numbered_by_their_times(tmp_path: Path) -> None:
    frames = [Frame(p, echo_ms=echo) for p in POSITIONS for echo in (90, 12)]
    found = parts(enhanced_mr(tmp_path / "a.dcm", frames))
    assert [(p.label, p.echo, p.headers[0].echo[1]) for p in found] == [
        ("echo 1", 1, 12.0), ("echo 2", 2, 90.0)
    ]  # fmt: skip


def test_echoes_within_a_b_value_are_parts_of_it(tmp_path: Path) -> None:
    frames = [Frame(p, b_value=b, echo_ms=e) for b in (0, 800) for e in (60, 90) for p in POSITIONS]
    assert [part.label for part in parts(enhanced_mr(tmp_path / "a.dcm", frames))] == [
        "b-value 0 s/mm², echo 1", "b-value 0 s/mm², echo 2",
        "b-value 800 s/mm², echo 1", "b-value 800 s/mm², echo 2",
    ]  # fmt: skip


def test_time_points_stay_together_and_are_refused_later(tmp_path: Path) -> None:
    frames = [Frame(p, time_point=time) for time in (1, 2) for p in POSITIONS]
    assert described(parts(enhanced_mr(tmp_path / "a.dcm", frames))) == [("", 6)]


def test_images_without_a_position_stay_together(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "dwi", b_values=(0, 800), ImagePositionPatient=None)
    assert described(in_folder(folder)) == [("", 6)]
